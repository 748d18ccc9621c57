"use strict";
(() => {
  const words = document.body.dataset;
  const value = cell => {
    const text = (cell.dataset.sort ?? cell.dataset.text ?? cell.textContent).trim();
    const number = parseFloat(text.replace(/−/g, "-").replace(/[,%><+ ]/g, "").replace("e-", "e-"));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  const sort = (head, place) => {
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [value(row.cells[place]), row]);
    rows.sort(([a], [b]) => typeof a === typeof b && !up ? compare(b, a) : compare(a, b));
    for (const [, row] of rows) body.append(row);
    body.classList.add("sorted");
  };
  for (const head of document.querySelectorAll("table.sorts thead th")) {
    const button = document.createElement("button");
    button.className = "sort";
    button.title = words.sort;
    button.setAttribute("aria-label", words.sort);
    button.addEventListener("click", () => sort(head, head.cellIndex));
    head.insertBefore(button, head.querySelector(".soft"));
  }
  const copied = async text => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const code of document.querySelectorAll("code.copies")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.textContent = words.copy;
    button.addEventListener("click", async () => {
      await copied(code.textContent);
      button.textContent = words.copied;
      setTimeout(() => { button.textContent = words.copy; }, 1500);
    });
    code.after(" ", button);
  }
  const unfold = () => {
    const fold = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.querySelector("details");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; });
})();

"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const theme = layout => {
    const ink = read("--ink"), soft = read("--soft"), grid = read("--grid"), line = read("--line");
    const patch = {
      "font.color": soft, "font.family": getComputedStyle(document.body).fontFamily, "font.size": 13,
      "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
      "hoverlabel.bgcolor": read("--panel"), "hoverlabel.bordercolor": line, "hoverlabel.font.color": ink,
    };
    for (const axis of Object.keys(layout).filter(key => /^[xy]axis/.test(key))) {
      patch[axis + ".gridcolor"] = grid;
      patch[axis + ".zerolinecolor"] = soft;
      patch[axis + ".linecolor"] = line;
    }
    return patch;
  };
  const spread = (layout, patch) => {
    for (const [path, value] of Object.entries(patch)) {
      const keys = path.split("."), last = keys.pop();
      let inner = layout;
      for (const key of keys) inner = inner[key] ??= {};
      inner[last] = value;
    }
    return layout;
  };
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll("[data-figure]")];
  const config = {displayModeBar: false, responsive: true, showTips: false};
  const draw = place => {
    const {data, layout} = figures[place.dataset.figure];
    return Plotly.newPlot(place, data, spread(layout, theme(layout)), config);
  };
  const repaint = () => places.forEach(place => place.layout && Plotly.relayout(place, theme(place.layout)));
  places.forEach(draw);
  dark.addEventListener("change", repaint);
  addEventListener("beforeprint", repaint);
  addEventListener("afterprint", repaint);
  document.querySelectorAll("details").forEach(fold => fold.addEventListener("toggle", () =>
    fold.querySelectorAll("[data-figure]").forEach(place => Plotly.Plots.resize(place))));
})();

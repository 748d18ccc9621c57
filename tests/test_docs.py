"""What the pages under docs print is run: Python in the order of its page, commands as they stand, but small."""

import functools
import json
import re
import shlex
from pathlib import Path
from shutil import copy, copytree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

import isthmus
from isthmus.cli import main
from isthmus.registry import OWN

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
FORMS = ("forms/pictures.md", "forms/activations.md", "forms/counts.md")
ELSEWHERE = ("families/", "fields/", "data.md", "sampling.md", *FORMS)  # have tests of their own
PYTHON = {
    name: blocks
    for name, text in PAGES.items()
    if not name.startswith(ELSEWHERE) and (blocks := re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))
}
STUDY = ["--replicates", "2", "--configs", "1", "--steps", "40", "--jobs", "1"]
FEW = ["--families", "plain", "--facets", "reconstruction"]


def commands(text: str) -> list[str]:
    """Calls of isthmus, in blocks, in lines of their own and in the text; without those that leave a place to fill, and
    those that never end."""
    lines = re.findall(r"^(?: {4})?(isthmus .*[^\\])$", text, re.M) + re.findall(r"`(isthmus [^`]*)`", text)
    calls = [" ".join(shlex.split(line, comments=True)[1:]) for line in lines]
    open_ = r"\b[A-Z]+\b|^compare --json|^train --checkpoint|^serve |\.\.\."  # serve has a page of tests of its own
    return [call for call in calls if " " in call and not re.search(open_, call)]


CALLS = list(dict.fromkeys(call for text in PAGES.values() for call in commands(text)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*before it converged")
@pytest.mark.filterwarnings("ignore:X. .*(overrules|filled in)")
@pytest.mark.parametrize("page", list(PYTHON))
def test_python_runs(page, few_digits, monkeypatch):
    """Names that stand for the reader's own rows are digits."""
    quick = {"families": "plain,vae", "replicates": 2, "configs": 1, "facets": "features", "jobs": 1}
    monkeypatch.setattr(isthmus, "compare", functools.partial(isthmus.compare, **quick))
    scope = dict.fromkeys(("X", "rows", "noisy", "clean", "X_new", "X_labelled"), few_digits[0])
    scope["y_labelled"] = few_digits[1]
    before = set(OWN)
    for block in PYTHON[page]:
        exec(compile(block, page, "exec"), scope)
    for registered in set(OWN) - before:
        del OWN[registered]


def _counts(random):
    """Rows of counts."""
    counts = random.poisson(random.gamma(0.5, 1, (60, 20)))
    sparse.save_npz("cells.npz", sparse.csr_array(counts))
    pd.DataFrame(counts).add_prefix("g").to_csv("table.csv", index=False)


def _counted(call):
    """What a call on counts needs besides them: a file that needs an extra, a model."""
    if "cells.h5ad" in call:
        pytest.importorskip("h5py", reason="reading .h5ad needs h5py: pip install 'isthmus[counts]'")
        copy(Path(__file__).parent / "data" / "h5ad" / "cells.h5ad", ".")
    if call.startswith("sample counted"):
        assert main(["train", "vae", "cells.npz", "--measure", "none", "--out", "counted"]) == 0


def _features(random):
    """Rows that are sums of features."""
    features = random.normal(size=(6, 4))
    np.save("features.npy", features)
    np.save("rows.npy", random.exponential(size=(60, 6)) * (random.random((60, 6)) < 0.3) @ features)


def _new():
    """New rows of a table, and many normal ones, with what they weigh."""
    weighed = pd.read_csv("rows.csv").assign(ratio=lambda rows: 2.0 ** (rows["kind"] == "red"))
    weighed.to_csv("new.csv", index=False)
    pd.concat([weighed] * 20).to_csv("normal.csv", index=False)


def _convertible(name):
    """A dictionary of that name: ours, in one file or in a folder, or that of another library."""
    ours = "model" if name == "sae" else name
    assert main(["train", "topk", "rows.csv", "--label", "kind", "--measure", "none", "--out", ours]) == 0
    if name == "sae":
        assert main(["convert", "model", "--to", "saelens", "--out", "sae"]) == 0


def _more(words):
    """What makes a command small."""
    if "--more" in words:
        return ["--jobs", "1"]
    if words[0] == "compare":
        return STUDY + FEW[: 2 if {"--facets", "--for"} & {*words} else None]
    return STUDY + FEW[2:] if words[0] == "ablate" else []


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with files of the names that the pages give their own."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _written(np.random.default_rng(0))
    return folder


def _written(random):
    for name in ("rows", "a", "b"):
        rows = [f"{a:.3f},{b:.3f},{c:.3f},{'red' if a > b else 'blue'}" for a, b, c in random.normal(size=(60, 3))]
        Path(f"{name}.csv").write_text("\n".join(["a,b,c,kind", *rows, ""]))
    pd.read_csv("rows.csv").to_parquet("rows.parquet")
    pd.read_csv("rows.csv", usecols=["a", "b", "c"]).to_parquet("big.parquet")
    cells = [f"{i % 7 or ''},{'north' if i % 3 else 'south'},{'low' if i % 2 else 'high'}" for i in range(60)]
    Path("people.csv").write_text("\n".join(["age,region,income", *cells, ""]))
    reviews = [f"a {'fine' if i % 2 else 'dull'} film about {'cats' if i % 3 else 'dogs'}, {i}" for i in range(60)]
    Path("news.csv").write_text("\n".join(["text,class", *(f'"{one}",{i % 2}' for i, one in enumerate(reviews)), ""]))
    Path("letters.txt").write_text("\n".join(reviews))
    for i, one in enumerate(reviews):
        Path("mail", ("ham", "spam")[i % 2]).mkdir(parents=True, exist_ok=True)
        Path("mail", ("ham", "spam")[i % 2], f"{i}.txt").write_text(one)
    Path("reviews.csv").write_text(
        "\n".join(["review;stars", *(f"{one};{i % 2}" for i, one in enumerate(reviews)), ""])
    )
    steps = [f"{i},{np.sin(i / 5):.3f},{random.normal():.3f},{int(i % 45 == 40)}" for i in range(500)]
    for name in ("sensors", "new"):
        Path(f"{name}.csv").write_text("\n".join(["when,temp,flow,fault", *steps, ""]))
    np.savez("c.npz", X=random.normal(size=(60, 4)), y=np.arange(60) % 2)
    np.savez("images.npz", X=random.random((60, 8, 8)), y=np.arange(60) % 2)
    for i, pixels in enumerate(random.integers(0, 256, (60, 8, 8), np.uint8)):
        Path("pictures", "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path("pictures", "ab"[i % 2], f"{i}.png"))
    Path("layer8").mkdir()
    for i in range(2):
        np.save(Path("layer8", f"{i}.npy"), random.normal(size=(30, 3)).astype("f2"))
    _counts(random)
    _features(random)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_commands_run(call, files, few_digits, capsys):
    """On files of the names that the pages give their own."""
    copytree(files, ".", dirs_exist_ok=True)
    _counted(call)
    words = call.split()
    model = next((word for word in words if word.endswith(".isthmus") and words[0] == "flag"), "model")
    if "new.csv" in words and "watcher" not in words:
        _new()
    if "watcher" in words and words[0] != "train":
        series = ["--window", "16", "--time", "when", "--drop", "fault", "--measure", "none", "--out", "watcher"]
        assert main(["train", "plain", "sensors.csv", *series]) == 0
    if words[0] in {"compress", "decompress", "score", "flag", "encode", "monitor", "card"}:
        data = ["pictures"] if "pictures" in words else ["rows.csv", "--label", "kind"]
        assert main(["train", "plain", *data, "--measure", "none", "--out", model]) == 0
    if words[0] == "convert":
        _convertible(words[1])
    if words[0] == "impute":
        assert main(["train", "masked", "people.csv", "--label", "income", "--measure", "none", "--out", "filler"]) == 0
    if words[0] == "take" or "--more" in words:
        assert main(["compare", "digits", *STUDY, *FEW]) == 0
    if words[0] == "decompress":
        assert main(["compress", "model", "rows.csv", "--bound", "0.1"]) == 0
    assert main([*words, *_more(words)]) == 0, capsys.readouterr().err


def test_what_a_comparison_says_in_json_is_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "iris", "--json", *STUDY, *FEW]) == 0
    (table,) = re.findall(r"`isthmus compare --json` gives\n\n(.*?)\n\n", PAGES["cli.md"], re.S)
    listed = {key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == set(json.loads(capsys.readouterr().out))

"""Activations of a language model as shards: a tiny one, made here with weights drawn from a seed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from isthmus.cli import main
from isthmus.data.collect import collect
from isthmus.data.read import read
from isthmus.errors import BadInput

REASON = "collecting activations needs transformers: pip install 'isthmus[lm]'"
transformers = pytest.importorskip("transformers", reason=REASON)
WORDS = ["the", "a", "cat", "dog", "sees", "likes", "big", "small", "red", "and", "old", "new"]
RANDOM = np.random.default_rng(0)
LINES = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 30))) for _ in range(40)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("collect")
    tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *WORDS])}, unk_token="?"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="?").save_pretrained(folder / "model")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=13, n_positions=64, n_embd=16, n_layer=3, n_head=2)
    transformers.GPT2Model(config).save_pretrained(folder / "model")
    (folder / "text.txt").write_text("\n".join([*LINES[:20], "", *LINES[20:], ""]))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows_are_what_the_model_gives_for_each_token(place: Path, tmp_path: Path) -> None:
    made = collect(place / "model", place / "text.txt", 2, tmp_path / "out", texts=16)
    model = transformers.AutoModel.from_pretrained(place / "model").eval()
    ids = [[WORDS.index(word) + 1 for word in line.split()] for line in LINES]
    with torch.no_grad():
        want = [model(torch.tensor([one]), output_hidden_states=True).hidden_states[2][0].numpy() for one in ids]
    data = read(tmp_path / "out")
    np.testing.assert_allclose(data.x, np.concatenate(want), atol=1e-5)
    assert (made.shards, made.rows, made.width, made.before) == (3, len(data.x), 16, 0)
    assert data.told[0].startswith("3 shards of float32, ")


def test_no_socket_is_opened(place: Path, tmp_path: Path) -> None:
    """Under an audit hook, in a process of its own: the model is a folder here, and nobody is asked for more."""
    code = (
        "import sys; seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(('socket.', 'urllib.')) "
        "and event != 'socket.gethostname' else None)\n"
        "from isthmus.cli import main\n"
        "code = main(sys.argv[1:]); print(seen, file=sys.stderr); sys.exit(code or bool(seen))"
    )
    words = ["collect", place / "model", place / "text.txt", "--layer", "2", "--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_layers_count_from_the_embeddings_and_from_the_end(place: Path, tmp_path: Path) -> None:
    for name, layer in (("last", -1), ("third", 3), ("first", 0)):
        collect(place / "model", place / "text.txt", layer, tmp_path / name)
    assert content(tmp_path / "last") == content(tmp_path / "third") != content(tmp_path / "first")
    for layer in (4, -5):
        with pytest.raises(BadInput, match=f"no layer {layer}; it has blocks 1 to 3"):
            collect(place / "model", place / "text.txt", layer, tmp_path / "none")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_are_of_the_type_that_is_asked_for(place: Path, tmp_path: Path, dtype: str) -> None:
    whole = collect(place / "model", place / "text.txt", 1, tmp_path / "whole").folder
    half = collect(place / "model", place / "text.txt", 1, tmp_path / "half", dtype=dtype).folder
    shard = next(half.iterdir())
    with safe_open(shard, "pt") as held:
        assert str(held.get_tensor("activations").dtype) == f"torch.{dtype}"
    np.testing.assert_allclose(read(half).x, read(whole).x, rtol=0.01, atol=0.01)
    assert shard.stat().st_size < 0.6 * (whole / shard.name).stat().st_size


def test_long_texts_are_cut_into_pieces(place: Path, tmp_path: Path) -> None:
    short = collect(place / "model", place / "text.txt", 3, tmp_path / "short", length=4)
    whole = collect(place / "model", place / "text.txt", 3, tmp_path / "whole")
    assert short.rows == whole.rows
    here, there = read(short.folder).x, read(whole.folder).x
    assert np.allclose(here[:4], there[:4], atol=1e-5)
    assert not np.allclose(here, there, atol=1e-3)


def test_a_folder_of_texts_is_one_text_a_file(place: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for i, line in enumerate(LINES):
        (tmp_path / "texts" / f"{i:03}.txt").write_text(line)
    found = collect(place / "model", tmp_path / "texts", 1, tmp_path / "out").folder
    want = collect(place / "model", place / "text.txt", 1, tmp_path / "want").folder
    np.testing.assert_array_equal(read(found).x, read(want).x)


def test_what_is_there_is_kept_and_what_is_of_something_else_is_refused(place: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": place / "model", "text": place / "text.txt", "layer": 1, "texts": 8}
    first = collect(**asked, out=tmp_path / "out")
    before = content(first.folder)
    (first.folder / "shard000002.safetensors").unlink()
    (first.folder / ".shard000003.safetensors.x.tmp").write_bytes(b"half")
    again = collect(**asked, out=first.folder)
    assert (again.before, again.shards, again.rows) == (4, 5, first.rows)
    assert content(first.folder) == before
    other = tmp_path / "other.txt"
    other.write_text("the cat\nthe dog")
    for change in ({"layer": 2}, {"dtype": "float16"}, {"text": other}, {"length": 8}, {"texts": 9}):
        with pytest.raises(BadInput, match="is no shard of this model, text, layer and type"):
            collect(**{**asked, **change}, out=first.folder)
    (first.folder / "notes.md").write_text("mine")
    with pytest.raises(BadInput, match=r"notes\.md is no shard"):
        collect(**asked, out=first.folder)


def test_damaged_and_missing_things_are_said_in_a_line(place: Path, tmp_path: Path) -> None:
    text = place / "text.txt"
    with pytest.raises(BadInput, match="no folder of a model; give one on this machine, nothing is downloaded"):
        collect("gpt2", text, 1, tmp_path / "out")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(BadInput, match="no weights in safetensors, and others are not unpacked"):
        collect(tmp_path / "pickled", text, 1, tmp_path / "out")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(BadInput, match="can't be read as a model of transformers"):
        collect(tmp_path / "broken", text, 1, tmp_path / "out")
    (tmp_path / "empty.txt").write_text("\n\n  \n")
    for bad in (tmp_path / "empty.txt", tmp_path / "none.txt", tmp_path / "rows.csv"):
        with pytest.raises(BadInput, match=bad.name):
            collect(place / "model", bad, 1, tmp_path / "out")
    with pytest.raises(BadInput, match="dtype must be float32, float16 or bfloat16; got 'int8'"):
        collect(place / "model", text, 1, tmp_path / "out", dtype="int8")
    with pytest.raises(BadInput, match="texts must be a whole number of at least 1"):
        collect(place / "model", text, 1, tmp_path / "out", texts=0)


def test_numbers_that_do_not_fit_are_refused(place: Path, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(place / "model")
    with torch.no_grad():
        model.wte.weight.mul_(1e7)
    model.save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(place / "model").save_pretrained(tmp_path / "model")
    with pytest.raises(BadInput, match="a number is beyond float16; take --dtype bfloat16 or float32"):
        collect(tmp_path / "model", place / "text.txt", 0, tmp_path / "out", dtype="float16")
    assert collect(tmp_path / "model", place / "text.txt", 0, tmp_path / "out", dtype="bfloat16").rows


@pytest.mark.slow
def test_one_that_is_killed_goes_on_to_the_same_bytes(place: Path, tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("\n".join(LINES * 3))
    whole = collect(place / "model", text, 2, tmp_path / "whole", texts=2).folder
    cut = tmp_path / "cut"
    command = [sys.executable, "-m", "isthmus", "collect", str(place / "model"), str(text), "--layer", "2"]
    command += ["--texts", "2", "--out", str(cut)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(cut.glob("shard*"))) < 3:
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    there = {path.name: path.stat().st_mtime_ns for path in cut.glob("shard*")}
    assert 3 <= len(there) < 60
    subprocess.run(command, check=True, capture_output=True)
    assert content(cut) == content(whole)
    assert all((cut / name).stat().st_mtime_ns == when for name, when in there.items())


@pytest.mark.slow
def test_shards_are_data_of_a_study(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [
        "collect",
        str(place / "model"),
        str(place / "text.txt"),
        "--layer",
        "1",
        "--length",
        "16",
        "--texts",
        "20",
    ]
    assert main([*asked, "--dtype", "bfloat16", "--out", "layer1"]) == 0
    assert capsys.readouterr().out == "layer1\n"
    few = ["--families", "pca", "--facets", "reconstruction", "--replicates", "2", "--jobs", "1", "--json"]
    assert main(["compare", "layer1", *few]) == 0
    assert json.loads(capsys.readouterr().out)

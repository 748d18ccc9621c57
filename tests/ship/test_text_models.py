"""Models of free text at work: lines and columns in, codes, scores and terms out; no training text in their files."""

import io
import re
import types

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import main

WORDS = ["cat", "dog", "house", "garden", "river", "stone", "apple", "music", "night", "winter"]


def sentences(n, seed=0):
    """Sentences of two subjects, each with a name of its own that stands nowhere else."""
    draw = np.random.default_rng(seed)
    halves = [WORDS[:5], WORDS[5:]]
    return [f"secret{seed}x{i} the " + " and the ".join(draw.choice(halves[i % 2], 4)) for i in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("text")
    (place / "lines.txt").write_text("\n".join(sentences(200)) + "\n")
    said = [
        "train",
        "vae",
        str(place / "lines.txt"),
        "--measure",
        "none",
        "--steps",
        "60",
        "--out",
        str(place / "model"),
    ]
    assert main([*said, "--quiet"]) == 0
    new = [*sentences(3, seed=1), "", "nothing known", "the cat and the\tdog"]
    (place / "new.txt").write_bytes("\r\n".join(new).encode("utf-16"))
    return place


def answer(folder, capsysbinary, *said):
    assert main([*said[:1], str(folder / "model"), *said[1:]]) == 0
    return pd.read_csv(io.BytesIO(capsysbinary.readouterr().out))


def test_no_training_text_is_in_the_files(folder):
    held = b"".join(path.read_bytes() for path in (folder / "model").rglob("*") if path.is_file())
    assert b"garden" in held
    assert not re.search(rb"secret0|the cat and|and the", held)


def test_a_table_of_no_rows_has_no_answers(folder, capsysbinary):
    (folder / "none.csv").write_text(f"{isthmus.load(folder / 'model').fields[0].name}\n")
    assert list(answer(folder, capsysbinary, "score", str(folder / "none.csv"))) == ["score", "p_value"]
    assert len(answer(folder, capsysbinary, "encode", str(folder / "none.csv"))) == 0


def test_lines_are_encoded_scored_flagged_and_told_by_their_terms(folder, capsysbinary):
    new = str(folder / "new.txt")
    codes, scores = answer(folder, capsysbinary, "encode", new), answer(folder, capsysbinary, "score", new)
    flags = answer(folder, capsysbinary, "flag", new, "--rate", "0.1")
    assert len(codes) == len(scores) == len(flags) == 6
    assert codes.shape[1] > 1, "a text is wider than one column"
    assert np.isfinite(codes).all(axis=None)
    assert np.isfinite(scores["score"]).all()
    model = isthmus.load(folder / "model")
    given = pd.DataFrame({"text": [*sentences(3, seed=1), None, "nothing known", "the cat and the dog"]})
    np.testing.assert_allclose(model.encode(given), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.scores(given), scores["score"], rtol=1e-5)
    told = answer(folder, capsysbinary, "reconstruct", new)["text"]
    assert set(" ".join(told.dropna()).split()) <= {*WORDS, "the", "and"}
    drawn = answer(folder, capsysbinary, "sample", "-n", "20")["text"]
    assert set(" ".join(drawn.dropna()).split()) <= {*WORDS, "the", "and"}
    assert model.reconstruct(given)["text"].tolist() == told.tolist()


def test_codes_come_back_as_terms(folder, capsysbinary, tmp_path):
    assert main(["encode", str(folder / "model"), str(folder / "new.txt"), "-o", str(tmp_path / "codes.parquet")]) == 0
    told = answer(folder, capsysbinary, "decode", str(tmp_path / "codes.parquet"))["text"]
    assert told.tolist() == answer(folder, capsysbinary, "reconstruct", str(folder / "new.txt"))["text"].tolist()


@pytest.mark.parametrize(
    "content", [b"a cat\n\nthe river", b"text\n\na cat\n", b'"text","n"\n"a, cat",3\n"",4\n"b",1\n']
)
def test_a_pipe_may_bring_lines_or_a_table(folder, capsysbinary, monkeypatch, content):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
    rows = {b"a": 3, b"t": 1, b'"': 3}[content[:1]]
    assert len(answer(folder, capsysbinary, "score", "-")) == rows


def test_a_folder_of_texts_is_scored_file_by_file(folder, capsysbinary, tmp_path):
    for n, text in enumerate(["the cat and the dog", "", "nothing known"]):
        (tmp_path / f"{n}.txt").write_text(text)
    found = answer(folder, capsysbinary, "score", str(tmp_path))
    assert found["file"].tolist() == ["0.txt", "1.txt", "2.txt"]
    assert np.isfinite(found["score"]).all()


def test_pieces_of_a_file_of_lines_change_nothing(folder, capsysbinary, monkeypatch):
    whole = answer(folder, capsysbinary, "score", str(folder / "lines.txt"))
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 1000)
    pieces = answer(folder, capsysbinary, "score", str(folder / "lines.txt"))
    assert len(pieces) == 200
    np.testing.assert_allclose(pieces["score"], whole["score"], rtol=1e-5)


@pytest.mark.parametrize(
    ("said", "content", "words"),
    [
        (["compress"], None, "this model is of a table with text"),
        (["export", "-o", "model.onnx"], None, "a column of kind text has no graph yet"),
        (["score"], b"good lines\n" * 3 + b"\xff\xfa\x81\xfe\n", "line 4: is neither UTF-8 nor Windows-1252"),
        (["score"], b"lines\0with\n", "binary data"),
        (["score"], b"x" * 3000, "a line of more than 1,000 bytes"),
    ],
    ids=["compress", "export", "letters", "binary", "long"],
)
def test_what_cannot_be_is_refused_in_one_line(folder, capsysbinary, monkeypatch, tmp_path, said, content, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.txt").write_bytes(content or b"a line\n")
    if "bytes" in words:
        monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 500)
        monkeypatch.setattr("isthmus.data.text_pieces.LONGEST", 1000)
    data = [] if said[0] == "export" else ["odd.txt"]
    assert main([said[0], str(folder / "model"), *data, *said[1:]]) == 2
    printed = capsysbinary.readouterr().err.decode()
    assert words in printed
    assert len(printed.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_table_of_words_and_numbers_fills_its_gaps(tmp_path):
    frame = pd.DataFrame({"said": sentences(200), "subject": ["animal", "thing"] * 100, "n": np.arange(200) ** 2 % 9})
    frame.to_csv(tmp_path / "table.csv", index=False)
    said = ["train", "masked", str(tmp_path / "table.csv"), "--measure", "none", "--steps", "400", "--quiet"]
    assert main([*said, "--out", str(tmp_path / "model")]) == 0
    asked = frame.assign(
        subject=frame["subject"].where(frame.index >= 100), said=frame["said"].where(frame.index < 150)
    )
    asked.to_csv(tmp_path / "gaps.csv", index=False)
    assert main(["impute", str(tmp_path / "model"), str(tmp_path / "gaps.csv"), "-o", str(tmp_path / "whole.csv")]) == 0
    whole = pd.read_csv(tmp_path / "whole.csv")
    assert whole["said"][:150].tolist() == frame["said"][:150].tolist()
    assert not whole.isna().any(axis=None)
    assert (whole["subject"][:100] == frame["subject"][:100]).mean() > 0.9, "the words tell the subject"

"""Free text in buckets: those of scikit-learn's hashing, weighed on training rows, and no word is kept."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

import isthmus
from isthmus.data.fields import Field
from isthmus.data.fields.hashed import Hashed, pieces
from isthmus.data.fields.text import FEWEST
from isthmus.data.layout import Table, from_json
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

WORDS = ["garden", "kitchen", "running", "runner", "house", "friend", "letter", "better"]
RANDOM = np.random.default_rng(0)
SENTENCES = [" ".join(RANDOM.choice(WORDS, 5)) + f" {n}" for n in range(80)]
TEXTS = np.array([*SENTENCES, None], dtype=object)[:-1]
FRAME = pd.DataFrame({"said": SENTENCES, "size": np.arange(80) % 7})


def whole(column: Hashed, texts: list[str]) -> np.ndarray:
    return column.encode(np.array([*texts, None], dtype=object)[:-1]) * column.scale + np.array(column.means)


def test_buckets_are_those_of_scikit_learn() -> None:
    column = Hashed.fit(TEXTS, Field("said", "hashed", terms=50))
    counts = HashingVectorizer(analyzer=pieces, n_features=50, norm=None).transform(SENTENCES)
    weights = TfidfTransformer(smooth_idf=True).fit(abs(counts)).idf_
    hits = counts.toarray() * weights
    want = hits / np.linalg.norm(hits, axis=1, keepdims=True)
    np.testing.assert_allclose(whole(column, SENTENCES), want, atol=1e-12)
    laid = column.encode(TEXTS)
    np.testing.assert_allclose(laid.mean(axis=0), 0, atol=1e-12)
    assert laid.var(axis=0).sum() == pytest.approx(np.sqrt(50))


def test_parts_of_words_have_marks_and_a_long_word_has_parts_alone() -> None:
    assert pieces("To BE") == ["to", "<to", "to>", "<to>", "be", "<be", "be>", "<be>"]
    assert "x" * 60 not in pieces("x" * 60)
    assert len(pieces("x" * 60)) == 60 + 59 + 58


def test_a_new_word_is_near_those_that_share_its_parts() -> None:
    column = Hashed.fit(TEXTS, Field("said", "hashed", terms=1000))
    runs, other, known = whole(column, ["runnings", "zzzzzz", "running"])
    assert runs @ known > 0.4
    assert abs(other @ known) < 0.2


def test_the_kind_and_its_buckets_are_asked_for() -> None:
    plain, asked = read(FRAME), read(FRAME, kinds={"said": "hashed"}, terms=40)
    assert [plain.fields[0].kind, asked.fields[0].kind] == ["text", "hashed"]
    assert "column 'said' is read as free text, hashed into buckets (--kind COLUMN=KIND overrules)" in asked.cautions
    assert Table.fit(asked.x, asked.fields).columns[0].width == 40
    unasked = read(FRAME, kinds={"said": "hashed"})
    usual = Table.fit(unasked.x[:20], unasked.fields)
    assert usual.columns[0].width == FEWEST
    with pytest.raises(BadInput, match="ask for"):
        Hashed.fit(np.broadcast_to(np.array("word", dtype=object), 1 << 17), Field("said", "hashed", terms=1 << 15))


def test_a_model_holds_no_word_and_reads_texts_again(tmp_path) -> None:
    data = read(FRAME, kinds={"said": "hashed"}, terms=60)
    recipe = isthmus.named("plain").set_params(latents=3)
    made = fit(recipe, data.x, fields=data.fields, columns=data.columns, plan=Plan(steps=20))
    layout = Table.fit(data.x, data.fields)
    again = from_json(json.loads(json.dumps(layout.to_json())))
    np.testing.assert_array_equal(again.apply(data.x), layout.apply(data.x))
    isthmus.save(made, tmp_path / "model")
    written = b"".join(path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file())
    assert not any(word.encode() in written for word in WORDS)
    model = isthmus.load(tmp_path / "model")
    np.testing.assert_allclose(model.encode(FRAME[:9]), made.encode(data.x[:9]), rtol=1e-5, atol=1e-6)
    assert model.encode(pd.DataFrame({"said": ["", None], "size": [1, 2]})).shape == (2, 3)
    back = model.reconstruct(FRAME[:5])["said"]
    assert back.str.fullmatch(r"(#\d+ ?)*").all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"idf": []}, "buckets"),
        ({"idf": [0.0, 1.0]}, "positive"),
        ({"scale": 0.0}, "positive"),
        ({"more": 1}, "exactly"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(change, why) -> None:
    with pytest.raises(BadInput, match=why):
        Hashed.from_json({"idf": [1.0, 1.0], "means": [0.0, 0.0], "scale": 1.0, **change})

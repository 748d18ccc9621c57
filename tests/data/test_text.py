"""Free text: a column, lines; laid out as scikit-learn weighs terms, fitted on training rows, and never in the way."""

import gzip
import json
import random

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

import isthmus
from isthmus.data import layout
from isthmus.data.fields import Field
from isthmus.data.fields.text import FEWEST, MOST, Characters, Text
from isthmus.data.layout import Table
from isthmus.data.read import cells, read
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.families import named
from isthmus.train.fitted import fit

SUBJECTS, VERBS = ["the cat", "a dog", "my old friend", "nobody"], ["sleeps in", "walks to", "never leaves"]
PLACES = ["the garden", "Oslo", "a small house", "the kitchen at night", "school"]
SENTENCES = [
    f"{a} {b} {c}, {n}" for n, (a, b, c) in enumerate((a, b, c) for a in SUBJECTS for b in VERBS for c in PLACES)
]


def texts(values):
    return np.array([*values, None], dtype=object)[:-1]


def table(sentences=SENTENCES, **options):
    data = read(pd.DataFrame({"said": sentences, "size": np.arange(len(sentences)) ** 2 % 7}), **options)
    return data, Table.fit(data.x, data.fields) if data.fields else None


@pytest.mark.parametrize(("kind", "analyzer", "lengths"), [(Text, "word", (1, 1)), (Characters, "char_wb", (2, 4))])
def test_weights_are_those_of_scikit_learn(kind, analyzer, lengths):
    column = kind.fit(texts(SENTENCES), Field("said", kind.kind))
    usual = TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=lengths,
        token_pattern=r"\w+" if analyzer == "word" else None,
        sublinear_tf=True,
        vocabulary=column.terms,
    ).fit(SENTENCES)
    asked = [*SENTENCES[:9], "cat cat CAT dog", "unheard-of", ""]
    laid = column.encode(texts(asked)) * column.scale + np.array(column.means)
    np.testing.assert_allclose(laid, usual.transform(asked).toarray(), atol=1e-12)


def test_columns_have_mean_0_and_together_the_root_of_their_number_as_variance():
    laid = Text.fit(texts(SENTENCES), Field("said", "text")).encode(texts(SENTENCES))
    np.testing.assert_allclose(laid.mean(axis=0), 0, atol=1e-12)
    assert laid.var(axis=0).sum() == pytest.approx(np.sqrt(laid.shape[1]))


def test_terms_come_from_training_rows_alone_and_stand_in_two_of_them():
    told = [f"{one} once{n}" for n, one in enumerate(SENTENCES)]
    data, _ = table([*told, *["later words only"] * 5])
    made = Table.fit(data.x[: len(told)], data.fields)
    kept = made.columns[0].terms
    assert "cat" in kept
    assert not {"later", "words", "only"} & set(kept)
    assert "once" not in json.dumps(made.to_json())
    assert Table.fit(data.x, data.fields).columns[0].terms != kept


def test_so_many_terms_are_kept_as_are_asked_for_and_the_commonest_first():
    for asked in (3, 7):
        data, made = table(terms=asked)
        assert made.columns[0].width == asked == data.fields[0].terms
        assert data.asked["terms"] == asked
    words = " ".join(SENTENCES).replace(",", "").lower().split()
    assert "the" in made.columns[0].terms
    assert all(words.count(term) >= 15 for term in made.columns[0].terms)


@pytest.mark.parametrize(("rows", "kept"), [(20, FEWEST), (400, 400), (MOST + 50, MOST)])
def test_the_usual_number_of_terms_follows_from_the_rows(rows, kept):
    drawn = random.Random(0).choices([f"word{n}" for n in range(MOST + 200)], k=40 * rows)
    some = texts([" ".join(drawn[40 * n : 40 * n + 40]) for n in range(rows)])
    assert Text.fit(some, Field("said", "text")).width == kept


@pytest.mark.parametrize("asked", [0, -1, 1 << 20, 2.5, True])
def test_a_number_of_terms_that_is_none_is_refused(asked):
    with pytest.raises(BadInput, match="terms"):
        table(terms=asked)


def test_terms_of_a_table_without_text_are_refused():
    with pytest.raises(BadInput, match="no column is one"):
        read(pd.DataFrame({"a": np.arange(20.0), "b": ["x", "y"] * 10}), terms=5)


def test_more_than_memory_holds_is_refused_before_it_is_taken():
    rows = np.broadcast_to(np.array("word", dtype=object), 1 << 17)
    with pytest.raises(BadInput, match=r"16\.0 GiB.*ask for 4,096 terms at most"):
        Text.fit(rows, Field("said", "text", terms=1 << 15))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (SENTENCES, "text"),
        (["这部电影非常好看啊" + chr(0x4E00 + n) for n in range(60)], "characters"),
        (["とても良い映画でした" + chr(0x4E00 + n) for n in range(60)], "characters"),
        ([f"{n} word " + "x" * 1001 for n in range(60)], "text"),
        ([f"blob{n} of{n} nothing{n} common{n}" for n in range(60)], None),
        ([f"John Smith {n}" for n in range(60)], None),
        ([f"p-{n}" for n in range(60)], None),
        (["a sentence that stands in many rows", "and another one that does"] * 30, "category"),
    ],
    ids=["english", "chinese", "japanese", "long", "apart", "names", "codes", "answers"],
)
def test_sentences_are_recognised_and_said(values, kind):
    data, _ = table(values)
    found = {field.name: field.kind for field in data.fields}
    assert found.get("said") == kind
    aside = "set aside: it holds" if kind is None else "--kind COLUMN=KIND overrules"
    assert any("'said'" in one and aside in one for one in data.told)


@pytest.mark.parametrize("kind", ["text", "characters", "category", "drop"])
def test_the_kind_is_overruled(kind):
    data, _ = table(kinds={"said": kind})
    assert {field.name: field.kind for field in data.fields}.get("said", "drop") == kind


def test_a_kind_that_so_long_texts_cannot_be_is_refused():
    with pytest.raises(BadInput, match=r"up to 1,001 characters and cannot be of kind category"):
        table([f"{n:04}" + "x" * 997 for n in range(60)], kinds={"said": "category"})


def test_odd_texts_are_laid_out_like_any_other():
    data, made = table([*SENTENCES, None])
    odd = texts(["", "zzz qqq", "the\0cat", "cat " * 2_500_000, "\ud7ff\u202e cat", "猫", np.nan, "ＣＡＴ", "cat"])
    rows = np.column_stack([odd, np.zeros(len(odd))])
    laid = made.apply(rows)
    assert np.isfinite(laid).all()
    said = dict(zip(made.names, laid.T, strict=True))
    assert np.array_equal(said["said missing"] > 0.5, [False] * 6 + [True] + [False] * 2)
    assert np.array_equal(said["said: cat"] > 0.1, [False, False, True, True, True, False, False, True, True])
    back = made.invert(laid)
    assert back[-1, 0] == "cat"
    assert np.isnan(back[6, 0])
    assert data.x[60, 0] != data.x[60, 0]


def test_blocks_change_nothing(monkeypatch):
    data, made = table()
    whole = made.apply(data.x)
    monkeypatch.setattr(layout, "BLOCK", 7 * made.width)
    assert np.array_equal(made.apply(data.x), whole)


def test_digests_tell_texts_apart():
    assert table()[0].digest == table()[0].digest
    assert len({table([*SENTENCES[:-1], last])[0].digest for last in ("a b c d", "a b c e", "a b c d ")}) == 2


def test_a_text_that_says_nothing_that_repeats_is_refused():
    with pytest.raises(BadInput, match="no word stands in two training rows"):
        table([f"a{n} b{n} c{n} d{n}" for n in range(60)], kinds={"said": "text"})


def test_a_layout_comes_back_from_plain_data():
    for kind in ("text", "characters"):
        data, made = table(kinds={"said": kind}, terms=30)
        plain = json.loads(json.dumps(made.to_json()))
        again = layout.from_json(plain)
        assert again.to_json() == plain
        assert np.array_equal(again.apply(data.x), made.apply(data.x))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("terms",), []),
        (("terms",), ["a"]),
        (("terms", 0), ""),
        (("terms", 0), 7),
        (("terms", 0), "x" * 41),
        (("terms", 0), "the"),
        (("idf", 0), 0.0),
        (("idf", 0), float("nan")),
        (("idf",), 3),
        (("means", 0), "1"),
        (("means",), []),
        (("scale",), 0.0),
        (("scale",), True),
        (("new",), 1),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(place, value):
    _, made = table()
    plain = json.loads(json.dumps(made.to_json()))
    inside = plain["columns"][0]["layout"]
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    with pytest.raises(BadInput):
        layout.from_json(plain)


@pytest.mark.parametrize("value", [-1, 1.0, "3", 1 << 30])
def test_a_field_with_another_number_of_terms_is_refused(value):
    plain = json.loads(json.dumps(table(terms=5)[1].to_json()))
    plain["columns"][0]["field"]["terms"] = value
    with pytest.raises(BadInput, match="terms"):
        layout.from_json(plain)


# ------------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("plain.txt", lambda text: text.encode()),
        ("windows.txt", lambda text: text.replace("\n", "\r\n").encode()),
        ("old.txt", lambda text: text.replace("\n", "\r").encode()),
        ("marked.txt", lambda text: b"\xef\xbb\xbf" + text.encode()),
        ("wide.txt", lambda text: text.encode("utf-16")),
        ("western.txt", lambda text: text.encode("cp1252")),
        ("packed.txt.gz", lambda text: gzip.compress(text.encode())),
    ],
)
def test_lines_are_read_in_any_encoding(tmp_path, name, pack):
    given = [*SENTENCES, "", 'un café, "s\'il vous plaît"\x0b…\x0c']
    (tmp_path / name).write_bytes(pack("\n".join(given) + "\n"))
    data = read(tmp_path / name)
    assert [field.kind for field in data.fields] == ["text"]
    assert data.x[:60, 0].tolist() == SENTENCES
    assert data.x[60, 0] != data.x[60, 0]
    assert data.x[61, 0] == given[61].strip()
    assert ("read as letters in Windows-1252, because they are not UTF-8" in data.told) == (name == "western.txt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n \n\t\n" * 10, "no text in the file"),
        (b"one\ntwo\n\xff\xfe\xfa\x81three", "line 3: is neither UTF-8 nor Windows-1252"),
        (b"one\0two\n" * 20, "binary data"),
        (b"%PDF-1.4\n" * 20, "a PDF"),
        (b"only a few\nlines of text\n", "only 2 rows"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, said):
    (tmp_path / "odd.txt").write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(tmp_path / "odd.txt")


def test_lines_have_no_labels_of_their_own(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(SENTENCES))
    with pytest.raises(NoSuchColumn, match="give the labels as a second array"):
        read(path, label="text")
    assert read(path, labels=["a", "b"] * 30).classes == ("a", "b")


# ------------------------------------------------------------------------------------------------------------ models


def test_a_model_takes_new_texts_and_tells_rows_by_their_terms():
    frame = pd.DataFrame({"said": SENTENCES, "size": np.arange(60) ** 2 % 7}, index=np.arange(60) * 10)
    with pytest.warns(UserWarning, match="free text, by its words"):
        model = fit(named("pca").set_params(latents=16), frame)
    codes = model.encode(frame)
    assert codes.shape == (60, 16)
    new = pd.DataFrame({"size": [1, 2], "said": ["the cat never leaves the kitchen", None]})
    assert np.isfinite(model.encode(new)).all()
    assert np.array_equal(model.encode(cells(new, model.fields)), model.encode(new))
    made = model.reconstruct(frame)
    assert made.index.equals(frame.index)
    assert {"cat", "sleeps", "garden"} & set(made["said"].iloc[0].split())
    assert model.decode(codes)[0, 0] == made["said"].iloc[0]
    with pytest.raises(BadInput, match="expected a text"):
        model.encode(np.array([[3.0, 1.0]], dtype=object))
    with pytest.raises(BadInput, match="2 columns"):
        model.encode(np.array([["a"]], dtype=object))


def test_a_profile_says_what_a_study_makes_of_text():
    sentences = [*SENTENCES[:-2], SENTENCES[0], None]
    frame = pd.DataFrame({"said": sentences, "size": np.arange(60) ** 2 % 7, "again": sentences})
    found = isthmus.profile(frame)
    assert any("free text, by the weights of its" in use for *_, use in found.told().columns)
    (column,) = [one for one in found.found.columns if one.name == "said"]
    assert (column.kind, column.gaps, column.distinct, column.common) == ("text", 1, 58, SENTENCES[0][:40])
    assert [(twin.name, twin.of, twin.how) for twin in found.found.twins] == [("again", "said", "equal")]


def test_cells_as_numbers_alone():
    data, _ = table([*SENTENCES[:3], "b", "a", "b", None, *SENTENCES[:53]])
    places, lengths = layout.coded(data.x, data.fields), layout.measured(data.x, data.fields)
    assert places[4, 0] < places[3, 0] == places[5, 0]
    assert np.array_equal(lengths[:7, 0], [*map(len, SENTENCES[:3]), 1, 1, 1, np.nan], equal_nan=True)
    assert np.array_equal(places[:, 1], data.x[:, 1].astype(float))
    assert places.dtype == lengths.dtype == float


# ----------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def mail(tmp_path):
    for n, sentence in enumerate(SENTENCES):
        place = tmp_path / "mail" / ("ham" if n % 3 else "spam")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{n:03}.TXT").write_bytes(f"{sentence}\r\nsecond line é".encode("cp1252" if n == 5 else "utf-8"))
    (tmp_path / "mail" / "ham" / "notes.pdf").write_bytes(b"%PDF")
    return tmp_path / "mail"


def test_a_folder_of_texts_is_a_column_and_its_folders_are_classes(mail):
    data = read(mail)
    assert (data.name, data.classes, data.x.shape) == ("mail", ("ham", "spam"), (60, 1))
    assert np.bincount(data.y).tolist() == [40, 20]
    assert data.x[0, 0] == f"{SENTENCES[1]}\r\nsecond line é"
    said = " ".join(data.told)
    assert "some texts are read as letters in Windows-1252" in said
    assert "classes are the 2 folders 'ham', 'spam'" in said
    assert "1 file left out whose names are not those of texts: 'ham/notes.pdf'" in said


def test_a_folder_of_texts_that_holds_something_else_is_refused_by_name(mail):
    (mail / "spam" / "bad.txt").write_bytes(b"a\0b" * 9)
    with pytest.raises(BadInput, match=r"spam/bad.txt: holds binary data"):
        read(mail)


def test_a_folder_with_more_pictures_than_texts_holds_pictures(tmp_path):
    for n in range(12):
        Image.new("L", (8, 8), n * 20).save(tmp_path / f"{n}.png")
        if n < 5:
            (tmp_path / f"{n}.txt").write_text("a caption of the picture")
    assert read(tmp_path).x.shape == (12, 8, 8)


def test_lines_without_blanks_between_words_are_counted_by_characters(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"这部电影非常好看啊{chr(0x4E00 + n)}" for n in range(60)))
    assert read(path).fields[0].kind == "characters"
    assert read(path, kinds={"text": "text"}).fields[0].kind == "text"


@pytest.mark.slow
def test_damaged_files_of_lines_are_read_or_refused_in_one_line(tmp_path):
    draw = random.Random(0)
    whole, path, refused = ("\n".join(SENTENCES) + "\nün café\n").encode(), tmp_path / "lines.txt", []
    packed = gzip.compress(whole)
    for k in range(200):
        content = bytearray(packed if k % 3 == 0 else whole)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content))
            match draw.randrange(4):
                case 0:
                    content[at] = draw.randrange(256)
                case 1:
                    del content[at : at + draw.randint(1, 400)]
                case 2:
                    content[at:at] = draw.choice([b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x1b[31m", b"\n" * 99])
                case _:
                    content = content[: at + 1]
        place = path.with_suffix(".txt.gz") if k % 3 == 0 else path
        place.write_bytes(content)
        try:
            data = read(place)
        except BadInput as error:
            refused.append(str(error))
            continue
        assert np.isfinite(Table.fit(data.x, data.fields).apply(data.x)).all()
    assert 40 < len(refused) < 160
    assert all(said.isprintable() for said in refused)

"""Folders of pictures: sizes, modes, classes, what is left out, and what is refused."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from isthmus.cli import main
from isthmus.data.encoded import gallery
from isthmus.data.images import Source, Wanted, draw, labels, sized
from isthmus.data.read import read
from isthmus.errors import BadInput

RANDOM = np.random.default_rng(0)


def save(path, pixels, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **how)


def grey(shape=(8, 8)):
    return RANDOM.integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Twelve grey pictures of two classes, and their pixels in the order of their names."""
    found = [grey() for _ in range(12)]
    for i, pixels in enumerate(found):
        save(tmp_path / "set" / ("cat" if i < 6 else "dog") / f"{i:02}.png", pixels)
    return tmp_path / "set", np.stack(found)


def test_rows_are_the_pixels_as_bytes_and_sub_folders_are_classes(folder):
    place, pixels = folder
    data = read(place)
    assert data.x.dtype == np.uint8
    np.testing.assert_array_equal(data.x, pixels)
    assert data.images
    assert data.name == "set"
    assert data.classes == ("cat", "dog")
    assert data.y.tolist() == [0] * 6 + [1] * 6
    assert data.cautions == (
        "12 pictures (12 PNG) of 8 x 8 pixels, read as grey",
        "classes are the 2 folders 'cat', 'dog'",
    )


def test_bytes_and_floats_have_one_digest(folder):
    place, pixels = folder
    again = read(pixels.astype(np.float32), labels=["cat"] * 6 + ["dog"] * 6, images=True)
    assert read(place).digest == again.digest


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/1", "a/2", "b/3", "b/4"], ["a", "a", "b", "b"]),
        (["top/a/1", "top/a/2", "top/b/x/3", "top/b/y/4"], ["a", "a", "b", "b"]),
        (["train/a/1", "train/b/2", "test/a/3", "test/b/4"], ["a", "b", "a", "b"]),
        (["1", "2", "a/3", "b/4"], None),
        (["1", "2", "3"], None),
        (["a/1", "a/2"], None),
        (["train/1", "test/2"], None),
        (["a/1", "b/2", "c/3"], None),
    ],
)
def test_the_class_is_the_first_folder_that_tells_pictures_apart(names, expected):
    assert labels([PurePosixPath(name) for name in names])[0] == expected


def test_what_is_no_picture_is_left_out_and_told(folder):
    place, _ = folder
    for name in (".DS_Store", "cat/Thumbs.db", ".hidden/x.png"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"?")
    (place / "notes.txt").write_text("about")
    save(place.parent / "secret.png", grey())
    (place / "cat" / "link.png").symlink_to(place.parent / "secret.png")
    (place / "dog" / "round").symlink_to(place)
    data = read(place)
    assert len(data.x) == 12
    assert data.cautions[2:] == (
        "2 links left out: links are not followed, so copy what they lead to",
        "1 file left out whose names are not those of pictures: 'notes.txt'",
        "3 hidden or system files left out",
    )


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("x.png", {}),
        ("x.bmp", {}),
        ("x.gif", {}),
        ("x.webp", {"lossless": True}),
        ("x.tif", {}),
        ("x.tiff", {"compression": "tiff_lzw"}),
        ("x.pgm", {}),
        ("X.PNG", {}),
    ],
)
def test_formats_without_loss_give_their_pixels(folder, name, how):
    place, _ = folder
    pixels = grey()
    save(place / "dog" / name, pixels, **how)
    data = read(place, gray=True)
    np.testing.assert_array_equal(data.x[-1], pixels)


def test_jpeg_is_near(folder):
    place, _ = folder
    pixels = np.tile(np.arange(0, 256, 32, dtype=np.uint8), (8, 1))
    save(place / "dog" / "x.jpeg", pixels, quality=95)
    assert np.abs(read(place).x[-1].astype(int) - pixels).max() < 12


def test_orientation_of_exif_is_followed(folder):
    place, _ = folder
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8, 0] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen, it is turned by 90 degrees clockwise
    save(place / "dog" / "x.png", pixels, exif=exif)
    save(place / "dog" / "y.jpg", pixels, exif=exif, quality=98, subsampling=0)
    seen = read(place, size="16x8", gray=False).x[-2:].astype(int)
    assert np.abs(seen - np.rot90(pixels, -1).astype(int)).max() < 8


def test_palettes_bits_and_transparency(folder):
    place, _ = folder
    colours = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
    colours[:, 4:] = [10, 200, 30]
    Image.fromarray(colours).quantize(64).save(place / "dog" / "a.png")
    Image.fromarray(np.eye(8, dtype=bool)).save(place / "dog" / "b.png")
    save(place / "dog" / "c.png", np.dstack([colours, np.full((8, 8), 0, np.uint8)]))
    x = read(place)
    assert x.shape == (8, 8, 3)
    seen = x.x[-3:]
    assert (seen[0, :, 4:] == [10, 200, 30]).all()
    np.testing.assert_array_equal(seen[1, ..., 0], 255 * np.eye(8))
    assert (seen[2] == 255).all()
    assert "what is transparent in them is laid on white" in x.cautions


def test_colours_that_are_all_greys_are_one_channel(tmp_path):
    pixels = [grey() for _ in range(10)]
    for i, one in enumerate(pixels):
        save(tmp_path / f"{i:02}.png", np.repeat(one[..., None], 3, axis=2))
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x, pixels)
    assert "all colours in them are greys, so one channel is kept (--color keeps three)" in data.cautions
    assert read(tmp_path, gray=False).shape == (8, 8, 3)


def test_gray_makes_one_channel_of_colours(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i:02}.png", np.full((8, 8, 3), [200, 100, 50], np.uint8))
    assert read(tmp_path).shape == (8, 8, 3)
    grey = read(tmp_path, gray=True)
    assert grey.shape == (8, 8)
    assert set(np.unique(grey.x)) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}


def test_sixteen_bits_are_kept_among_grey_pictures(tmp_path):
    deep = RANDOM.integers(0, 65536, (5, 8, 8)).astype(np.uint16)
    for i in range(5):
        save(tmp_path / f"a{i}.png", deep[i])
        save(tmp_path / f"b{i}.png", np.full((8, 8), 255, np.uint8))
    data = read(tmp_path)
    assert data.x.dtype == np.uint16
    np.testing.assert_array_equal(data.x[:5], deep)
    assert (data.x[5:] == 65535).all()
    save(tmp_path / "c.png", np.full((8, 8, 3), [0, 0, 200], np.uint8))
    mixed = read(tmp_path)
    assert mixed.x.dtype == np.uint8
    np.testing.assert_array_equal(mixed.x[:5, ..., 1], np.rint(deep / 257))


def test_pictures_of_several_sizes_are_resized_or_cut(tmp_path):
    for i in range(12):
        pixels = np.zeros((20, 40), np.uint8)
        pixels[:, 30:] = 200
        save(tmp_path / f"{i:02}.png", pixels if i % 2 else np.full((20, 20), 7, np.uint8))
    data = read(tmp_path, size=(10, 10))
    assert data.shape == (10, 10)
    assert data.cautions[0].endswith("of 20 x 20 to 20 x 40 pixels, read as grey, resized to 10 x 10")
    assert (data.x[1, :, :7] == 0).all()
    assert (data.x[1, :, 8:] == 200).all()
    cut = read(tmp_path, size="10", crop=True)
    assert "the middle cut out to 10 x 10" in cut.cautions[0]
    assert (cut.x[1, :, :9] == 0).all()
    wide = read(tmp_path, size="10x20", crop=True)
    assert (wide.x[1, :, :14] == 0).all()
    assert (wide.x[1, :, 16:] == 200).all()


def test_the_default_size_is_the_usual_one_and_small(tmp_path):
    for i in range(11):
        save(tmp_path / f"{i:02}.png", np.zeros((100, 200 if i else 180), np.uint8))
    data = read(tmp_path)
    assert data.shape == (32, 64)
    assert "resized to 32 x 64 (--size says otherwise)" in data.cautions[0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "there are no bytes"),
        (b"no picture", "not a picture of a known format, or damaged at its beginning"),
    ],
)
def test_a_damaged_picture_is_refused_by_its_name_or_left_out(folder, content, what):
    place, pixels = folder
    (place / "dog" / "bad.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad.png: .*; leave such pictures out with --skip-damaged") as refused:
        read(place)
    assert what in str(refused.value)
    data = read(place, skip_damaged=True)
    np.testing.assert_array_equal(data.x, pixels)
    assert data.cautions[1].startswith("1 damaged picture left out, the first: dog/bad.png: ")


def test_a_picture_that_ends_early_is_damaged(folder):
    place, pixels = folder
    out = io.BytesIO()
    Image.fromarray(grey((64, 64))).save(out, "PNG")
    (place / "cat" / "00.png").write_bytes(out.getvalue()[:900])
    with pytest.raises(BadInput, match=r"00.png: can't be read as a picture"):
        read(place)
    np.testing.assert_array_equal(read(place, skip_damaged=True, size=8).x, pixels[1:])


def png_of(width, height):
    """A PNG of zeros, which says that it has these sides."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def wide(kind, sides):
    """A picture of a few hundred bytes that says that it has these sides."""
    if kind == "png":
        return png_of(*sides)
    out = io.BytesIO()
    Image.new("RGB" if kind == "webp" else "L", (16, 16)).save(
        out, kind, **({"lossless": True} if kind == "webp" else {})
    )
    data = bytearray(out.getvalue())
    if kind == "webp":
        data[21:25] = struct.pack("<I", (sides[0] - 1) | (sides[1] - 1) << 14)
    elif kind == "gif":
        data[6:10] = struct.pack("<HH", *sides)
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", *sides)
    else:
        for tag, side in zip((256, 257), sides, strict=True):
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at + 8 : at + 12] = struct.pack("<I", side)
    return bytes(data)


MEASURE = """
import resource, sys
import numpy, PIL.Image, PIL.ImageOps, PIL.WebPImagePlugin, PIL.TiffImagePlugin
from isthmus.data.read import read
from isthmus.errors import BadInput
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for place in sys.argv[1:]:
    try:
        read(place)
    except BadInput as bad:
        print(bad)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
BOMBS = [
    ("png", (60000, 60000), "134,217,728"),
    ("png", (12000, 11000), "would unpack to 132,000,000 or more"),
    ("webp", (16000, 16000), "134,217,728"),
    ("webp", (8000, 8000), "would unpack to 192,000,000 or more"),
    ("gif", (60000, 60000), "134,217,728"),
    ("bmp", (12000, 11000), "would unpack to 132,000,000 or more"),
    ("tiff", (60000, 60000), "134,217,728"),
]


@pytest.mark.slow
def test_bombs_are_refused_before_they_take_memory(tmp_path):
    places = [tmp_path / str(i) / f"bomb.{kind}" for i, (kind, _, _) in enumerate(BOMBS)]
    for place, (kind, sides, _) in zip(places, BOMBS, strict=True):
        place.parent.mkdir()
        place.write_bytes(wide(kind, sides))
    child = [sys.executable, "-c", MEASURE, *(place.parent for place in places)]
    *told, taken = subprocess.run(child, capture_output=True, text=True, check=True).stdout.splitlines()
    assert int(taken) < 64
    for place, said, (_, _, what) in zip(places, told, BOMBS, strict=True):
        assert said.startswith(f"{place}: ")
        assert what in said


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"give one file in it, or a folder of pictures .* or of shards"):
        read(tmp_path)


def test_options_of_pictures_are_refused_of_other_data():
    for option in ({"size": 8}, {"crop": True}, {"gray": False}, {"skip_damaged": True}):
        with pytest.raises(BadInput, match="are for encoded pictures"):
            read(np.arange(40.0).reshape(20, 2), **option)


@pytest.mark.parametrize("size", ["x", "0", "8x", "1x2x3", True, -1, (1, 2, 3)])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(BadInput, match="size must be"):
        sized(size)


def encode(pixels, kind="PNG"):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@pytest.fixture
def twenty():
    return RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)


def test_a_parquet_column_of_bytes_is_pictures(tmp_path, twenty):
    table = {"image": [encode(one) for one in twenty], "kind": ["a", "b"] * 10, "note": list(range(20))}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    data = read(tmp_path / "p.parquet", label="kind")
    np.testing.assert_array_equal(data.x, twenty)
    assert data.classes == ("a", "b")
    assert data.name == "p"
    assert data.cautions == (
        "20 pictures (20 PNG) of 8 x 8 pixels, read as colour",
        "column 'image' holds the pictures, 'kind' their labels",
        "'note' left out",
    )
    assert read(tmp_path / "p.parquet").y is None
    with pytest.raises(BadInput, match="holds the pictures; name another one"):
        read(tmp_path / "p.parquet", label="image")
    with pytest.raises(BadInput, match="no label column 'kin'"):
        read(tmp_path / "p.parquet", label="kin")


def test_the_struct_of_the_hugging_face_hub_and_its_names(tmp_path, twenty):
    cells = [{"bytes": encode(one), "path": f"{i}.png"} for i, one in enumerate(twenty)]
    cells[7]["bytes"] = None
    codes = [i % 2 for i in range(20)]
    about = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pa.table({"image": cells, "label": codes})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(about)}), tmp_path / "p.parquet")
    with pytest.raises(BadInput, match=r"p.parquet, row 8 \('7.png'\): there are no bytes; leave such pictures out"):
        read(tmp_path / "p.parquet")
    data = read(tmp_path / "p.parquet", skip_damaged=True, size=4, gray=True)
    assert data.shape == (4, 4)
    assert data.classes == ("cat", "dog")
    assert data.y.tolist() == [code for i, code in enumerate(codes) if i != 7]
    assert any("1 damaged picture left out, the first: row 8 ('7.png')" in said for said in data.cautions)


def test_columns_of_other_bytes_are_no_pictures(tmp_path):
    table = {"id": [f"{i}".encode() for i in range(20)], "a": np.arange(20.0), "b": np.arange(20.0) ** 2}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert "a" in read(tmp_path / "t.parquet").columns
    with pytest.raises(BadInput, match="size, crop, gray and skip_damaged are for encoded pictures"):
        read(tmp_path / "t.parquet", size=8)


def test_two_columns_of_pictures_are_refused(tmp_path, twenty):
    cells = [encode(one) for one in twenty]
    pq.write_table(pa.table({"a": cells, "b": cells}), tmp_path / "p.parquet")
    with pytest.raises(BadInput, match="several columns hold pictures"):
        read(tmp_path / "p.parquet")


def test_arrays_of_bytes_stay_bytes_until_they_are_scaled(twenty):
    assert read(twenty).x.dtype == np.uint8
    assert read(twenty, images=False).x.dtype == np.float32
    assert read(twenty).digest == read(twenty.astype(np.float32), images=True).digest


def originals():
    """Pictures of every format and mode, small, as bytes."""
    random = np.random.default_rng(1)
    grey, colour = random.integers(0, 256, (9, 12), np.uint8), random.integers(0, 256, (9, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "grey.png": (grey, {}),
        "colour.png": (colour, {"exif": exif}),
        "deep.png": (grey.astype(np.uint16) * 200, {}),
        "alpha.png": (np.dstack([colour, grey]), {}),
        "colour.jpg": (colour, {"exif": exif}),
        "colour.bmp": (colour, {}),
        "grey.gif": (grey, {}),
        "lossy.webp": (colour, {"exif": exif}),
        "whole.webp": (np.dstack([colour, grey]), {"lossless": True}),
        "lzw.tif": (colour, {"compression": "tiff_lzw"}),
        "deep.tif": (grey.astype(np.uint16) * 200, {"compression": "tiff_adobe_deflate"}),
        "plain.tiff": (grey, {}),
        "colour.ppm": (colour, {}),
    }
    found = {}
    for name, (pixels, how) in made.items():
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, Image.registered_extensions()[name[name.index(".") :]], **how)
        found[name] = out.getvalue()
    palette, out = Image.fromarray(colour).quantize(16), io.BytesIO()
    palette.save(out, "GIF", save_all=True, append_images=[palette.rotate(90, expand=True)])
    found["frames.gif"] = out.getvalue()
    return found


def mutated(random, content):
    """The same with something wrong: an end, a hole, other bytes, a large number in the header, zeros."""
    data = bytearray(content)
    kind = random.integers(6)
    at = int(random.integers(len(data)))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        return bytes(data[:at] + data[at + int(random.integers(1, 20)) :])
    if kind == 2:
        for _ in range(int(random.integers(1, 6))):
            data[int(random.integers(len(data)))] = int(random.integers(256))
    elif kind == 3:
        at = int(random.integers(min(60, len(data))))
        data[at : at + 4] = random.choice([b"\xff\xff\xff\xff", b"\0\0\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\0\0"])
    elif kind == 4:
        data[at : at + 30] = bytes(len(data[at : at + 30]))
    else:
        data[at:at] = random.bytes(int(random.integers(1, 40)))
    return bytes(data)


def damaged(count, seed):
    random, known = np.random.default_rng(seed), originals()
    for i in range(count):
        name = random.choice(list(known))
        other = random.choice(list(known)) if i % 10 == 0 else name  # a name that says another format
        yield f"{i}-{other}", mutated(random, known[name])


def survives(count, seed):
    """How many of so many damaged pictures are read all the same; whatever else happens, their name is said."""
    kept = 0
    for name, content in damaged(count, seed):
        try:
            found = draw("here", [Source(name, f"here/{name}", lambda content=content: io.BytesIO(content))], WANTED)
            assert found.x.shape[1:3] == (8, 8)
        except BadInput as error:
            text = str(error)
            if "only 1 row" in text:
                kept += 1
                continue
            assert text.startswith(f"here/{name}: ")
            assert "\n" not in text
            assert len(text) < 400
    return kept


WANTED = Wanted(size=(8, 8))


def test_damaged_pictures_are_refused_by_name_or_read():
    assert 20 < survives(200, 0) < 180


@pytest.mark.slow
def test_two_thousand_damaged_pictures_are_refused_by_name_or_read():
    assert 200 < survives(2000, 1) < 1800


@pytest.mark.slow
def test_folders_of_damaged_pictures_end_with_code_2_or_go_on_without_them(folder, capfd):
    place, _ = folder
    for i, (name, content) in enumerate(damaged(8, 2)):
        bad = place / "dog" / f"{i}{PurePosixPath(name).suffix}"
        bad.write_bytes(content)
        code = main(["train", "pca", str(place), "--size", "8", "--measure", "none", "--dry-run"])
        told, said = capfd.readouterr()
        assert code in (0, 2)
        assert "Traceback" not in said + told
        if code == 2:
            assert f"dog/{bad.name}: " in said
            assert main(["train", "pca", str(place), "--size", "8", "--dry-run", "--skip-damaged"]) == 0
            assert "1 damaged picture left out" in capfd.readouterr().err
        bad.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_spelled_out(tmp_path):
    for i in range(12):
        place = os.path.join(os.fsencode(tmp_path), [b"caf\xe9", b"two\nlines"][i % 2], b"%d\xff.png" % i)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(encode(grey()))
    data = read(tmp_path)
    assert data.classes == ("caf\\udce9", "two\nlines")
    assert all(said.isprintable() for said in data.cautions)
    assert gallery(tmp_path).table.column("file")[0].as_py() == "caf\\udce9/0\\udcff.png"
    with open(place, "wb") as file:
        file.write(b"no picture")
    with pytest.raises(BadInput) as refused:
        read(tmp_path)
    assert str(refused.value).isprintable()

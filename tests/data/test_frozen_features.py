"""Features of a frozen network as rows: what goes into the graph, what comes out, and what is refused."""

import io
import sys

import numpy as np
import onnx
import pyarrow.csv as pc
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from isthmus.cli import main
from isthmus.data.features import Network
from isthmus.data.read import read
from isthmus.errors import BadInput, MissingExtra
from isthmus.ship import artefact
from isthmus.study import document
from isthmus.study.outline import outline

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(6 * 6 * 3, 5)).astype(np.float32)


def graph(path, shape=("N", 3, 6, 6), kind=TensorProto.FLOAT, weights=WEIGHTS, opset=17):
    """Cast -> Flatten -> MatMul -> Relu."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, (shape[0], weights.shape[1]))]
    made = helper.make_graph(nodes, "features", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def expected(pixels, weights=WEIGHTS):
    """The same in numpy."""
    return np.maximum(pixels.reshape(len(pixels), -1).astype(np.float32) @ weights, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty pictures of two classes, and their pixels."""
    place, pixels = tmp_path_factory.mktemp("pictures"), RANDOM.integers(0, 256, (40, 6, 6, 3), np.uint8)
    for i, one in enumerate(pixels):
        (place / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(one).save(place / "ab"[i % 2] / f"{i:02}.png")
    order = [*range(0, 40, 2), *range(1, 40, 2)]
    return place, pixels[order]


def test_features_are_those_of_the_graph(folder, tmp_path):
    place, pixels = folder
    data = read(place, features=graph(tmp_path / "f.onnx"))
    np.testing.assert_allclose(data.x, expected(pixels.transpose(0, 3, 1, 2) / np.float32(255)), rtol=1e-5, atol=1e-5)
    assert data.columns == tuple(f"feature{j}" for j in range(5))
    assert data.classes == ("a", "b")
    assert not data.images
    assert "rows are 5 features of each picture, by f.onnx" in data.cautions


@pytest.mark.parametrize("batch", ["N", 1, 16])
def test_bytes_channels_last_and_batches_of_a_fixed_size(folder, tmp_path, batch):
    place, pixels = folder
    data = read(place, features=graph(tmp_path / "f.onnx", (batch, 6, 6, 3), TensorProto.UINT8))
    np.testing.assert_allclose(data.x, expected(pixels), rtol=1e-5)


def test_grey_graphs_take_grey_pictures_and_size_follows_the_graph(folder, tmp_path):
    weights = RANDOM.normal(size=(16, 2)).astype(np.float32)
    for shape in (("N", 4, 4), ("N", 1, 4, 4), ("N", 4, 4, 1)):
        data = read(folder[0], features=graph(tmp_path / "f.onnx", shape, weights=weights))
        grey = read(folder[0], size=4, gray=True).x / np.float32(255)
        np.testing.assert_allclose(data.x, expected(grey, weights), rtol=1e-5, atol=1e-5)
    with pytest.raises(BadInput, match="takes pictures of 4 x 4; leave --size out"):
        read(folder[0], features=tmp_path / "f.onnx", size=6)
    with pytest.raises(BadInput, match="takes pictures with 1 channels; leave --gray and --color out"):
        read(folder[0], features=tmp_path / "f.onnx", gray=False)


def test_arrays_have_features_too(folder, tmp_path):
    place, pixels = folder
    path = graph(tmp_path / "f.onnx")
    found = read(pixels.transpose(0, 3, 1, 2), features=path)
    np.testing.assert_array_equal(found.x, read(place, features=path).x)
    np.testing.assert_array_equal(read(pixels.transpose(0, 3, 1, 2), features=path, images=False).x, found.x)
    np.testing.assert_allclose(read(pixels / 255, images=True, features=path).x, found.x, rtol=1e-4, atol=1e-4)
    with pytest.raises(BadInput, match=r"pictures are 5 pixels high, and .* takes 6"):
        read(pixels[:, :5], features=path)
    with pytest.raises(BadInput, match="features are of pictures"):
        read(pixels.reshape(40, -1), features=path)


def test_what_is_no_graph_of_pictures_is_refused(folder, tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no graph at all")
    cases = {
        tmp_path / "no.onnx": "it is damaged, or no ONNX file",
        tmp_path / "gone.onnx": "can't be read",
        graph(tmp_path / "flat.onnx", ("N", 108)): "its input is of shape",
        graph(tmp_path / "long.onnx", ("N", 3, 6, 6), TensorProto.INT64): r"takes tensor\(int64\)",
        graph(tmp_path / "wrong.onnx", weights=WEIGHTS[:7]): "can't be read as a",
    }
    for path, what in cases.items():
        with pytest.raises(BadInput, match=rf"{path.name}: .*{what}"):
            read(folder[0], features=path)


def test_the_package_that_is_missing_is_named(folder, tmp_path, monkeypatch):
    path = graph(tmp_path / "f.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[runtime\]'"):
        Network(path)


@pytest.mark.slow
def test_a_model_of_features_takes_pictures_with_its_graph_only(folder, tmp_path, capfd):
    place, _ = folder
    path, model = graph(tmp_path / "f.onnx"), tmp_path / "model"
    few = ("--steps", "5", "--measure", "none", "--out", str(model))
    assert main(["train", "plain", str(place), "--features", str(path), *few]) == 0
    capfd.readouterr()
    assert main(["score", str(model), str(place), "--features", str(path)]) == 0
    found = pc.read_csv(io.BytesIO(capfd.readouterr().out.encode()))
    wanted = artefact.load(model).scores(read(place, features=path).x)
    np.testing.assert_allclose(found.column("score").to_numpy(), wanted, rtol=1e-4)
    assert found.column("file").to_pylist()[0] == "a/00.png"
    for verb in ("encode", "reconstruct", "flag"):
        out = str(tmp_path / f"{verb}.npy")
        assert main([verb, str(model), str(place), "--features", str(path), "-o", out]) == 0
        assert len(np.load(out)) == 40
    assert main(["doctor", str(model), "--data", str(place), "--features", str(path)]) in (0, 1)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    capfd.readouterr()
    assert main(["encode", str(model), str(tmp_path / "bad"), "--features", str(path)]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith('"x.png",,')
    for more, what in (
        ([], "the model was trained on features of pictures; give their graph (--features)"),
        (["--features", str(graph(tmp_path / "other.onnx", weights=WEIGHTS + 1))], "not the graph of the training"),
    ):
        assert main(["score", str(model), str(place), *more]) == 2
        assert what in capfd.readouterr().err


def test_a_study_remembers_its_graph(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    graph(tmp_path / "f.onnx")
    planned = outline(folder[0], features="f.onnx", out=tmp_path / "s", facets="reconstruction", families="pca")
    assert planned.design.data["shape"] == [5]
    assert document.Reading(**planned.note["reading"]).features == str(tmp_path / "f.onnx")
    place = tmp_path / "study"
    place.mkdir()
    (place / "study.json").write_text("{}")
    assert main(["doctor", str(place), "--features", "f.onnx"]) == 2
    assert "--features is for a saved model" in capfd.readouterr().err


def test_a_model_of_pixels_takes_no_graph(folder, tmp_path, capfd):
    model = tmp_path / "model"
    assert main(["train", "pca", str(folder[0]), "--measure", "none", "--out", str(model)]) == 0
    path = graph(tmp_path / "f.onnx")
    assert main(["encode", str(model), str(folder[0]), "--features", str(path)]) == 2
    assert "was not trained on features of encoded pictures" in capfd.readouterr().err


@pytest.mark.slow
def test_programs_of_torch_are_refused_with_what_to_do(folder, tmp_path):
    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)

    torch.export.save(torch.export.export(Flat(), (torch.zeros(2, 1, 4, 4),)), tmp_path / "f.pt2")
    torch.save(Flat().state_dict(), tmp_path / "f.pt")
    for name in ("f.pt2", "f.pt"):
        with pytest.raises(BadInput, match=r"never done here; export the network as ONNX \(torch.onnx.export\)"):
            read(folder[0], features=tmp_path / name)

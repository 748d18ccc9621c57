"""Sparse dictionaries of other libraries: read and written as those libraries compute them, or refused in one line.

``expected/make_convert.py`` ran the libraries. Their numbers lie on a grid: float32 sums are exact in any order.
"""

import base64
import json
import math
import os
import random
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from dictionaries import CASES, UNITS, WIDE, ours

import isthmus
from isthmus.cli import main
from isthmus.data.scale import Scaler
from isthmus.errors import BadEnvironment, BadInput
from isthmus.parts.gates import cut
from isthmus.ship import artefact, convert
from isthmus.ship.convert import agree, members
from isthmus.ship.convert.own import logarithm
from isthmus.ship.deployed import Deployed

EXPECTED = {
    name: json.loads((Path(__file__).parent / "expected" / f"convert_{name}.json").read_text())
    for name in convert.LAYOUTS
}
OWN = [(name, case) for name, found in EXPECTED.items() for case in found["own"]]
WRITTEN = [(name, case) for name, found in EXPECTED.items() for case in found["written by isthmus"]]
FAMILY = {
    "standard": "sae",
    "standard free": "sae",
    "matching_pursuit": "matching",
    "skip_transcoder": "transcoder",
    "skip transcoder": "transcoder",
    "expanded": "topk",
    "AutoEncoder": "sae",
    "AutoEncoderNew": "sae",
    "GatedAutoEncoder": "gated",
    "JumpReluAutoEncoder": "jumprelu",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "batchtopk",
    "MatryoshkaBatchTopKSAE": "matryoshka",
    "ReLU": "sae",
}
FAMILY["sae"] = "topk"  # sparsify's
REORDERED = ("gated", "Gated", "matching", "skip")
"""Where sums are taken in another order here than there."""
ROUNDED = ("gated", "GatedAutoEncoder")
"""Its exponential may differ in the last bit between processors."""


def put(folder: Path, case: dict) -> Path:
    folder.mkdir()
    for name, content in case["files"].items():
        (folder / name).write_bytes(base64.b64decode(content))
    return folder


@pytest.fixture
def theirs(tmp_path: Path):
    """The folder of a dictionary that a library saved, with its configuration or its tensors changed if wanted."""

    def make(layout: str, case: str, change=None, tensors=None) -> Path:
        folder = put(tmp_path / "theirs", EXPECTED[layout]["own"][case])
        words, numbers = (folder / name for name in convert.LAYOUTS[layout].files)
        if change is not None:
            config = json.loads(words.read_text())
            change(config)
            words.write_text(json.dumps(config))
        if tensors is not None:
            found = safetensors.torch.load_file(numbers)
            tensors(found)
            safetensors.torch.save_file(found, numbers)
        return folder

    return make


def refused(folder: Path, *words: str, layout: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        convert.read(folder, layout)
    line = str(caught.value)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 700
    for word in words:
        assert word in line
    return line


def same(got, wanted, case: str) -> None:
    wanted = np.array(wanted, np.float32)
    if case.split(maxsplit=1)[0] in ROUNDED:
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(got, wanted)


# ------------------------------------------------------------------------------------ what the libraries themselves say


@pytest.mark.parametrize(("layout", "case"), OWN)
def test_what_a_library_saved_is_read_as_it_computes(layout: str, case: str, tmp_path: Path) -> None:
    given = EXPECTED[layout]["own"][case]
    read = convert.read(put(tmp_path / "theirs", given))
    assert (read.layout, read.model.recipe.family) == (layout, FAMILY.get(case, case.split(maxsplit=1)[0]))
    if case != "matching_pursuit":
        assert read.agreement.units == UNITS + 2 * (case == "expanded")
    assert read.agreement.codes < 2e-5
    assert read.agreement.made < 2e-5
    assert read.agreement.exact or any(word in case for word in REORDERED)
    model = artefact.load(artefact.save(read.model, tmp_path / "model"))
    x = np.array(given["x"], np.float32)
    codes = model.encode(x)
    same(codes[:, : len(given["codes"][0])], given["codes"], case)
    same(model.decode(codes), given["rows"], case)
    assert (np.array(given["codes"]) > 0).any()


@pytest.mark.parametrize(("layout", "case"), WRITTEN)
def test_what_we_write_is_what_a_library_computed(layout: str, case: str, tmp_path: Path) -> None:
    """The files are those that the library read, and its codes are those of our model."""
    given = EXPECTED[layout]["written by isthmus"][case]
    model = ours(case.removesuffix(" scaled"), scaled=case.endswith("scaled"))
    done = convert.write(model, tmp_path / "new", layout)
    words, numbers = convert.LAYOUTS[layout].files
    there = put(tmp_path / "there", given)
    assert json.loads((done.folder / words).read_text()) == json.loads((there / words).read_text())
    old, new = (safetensors.torch.load_file(place / numbers) for place in (there, done.folder))
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        torch.testing.assert_close(new[name], tensor, rtol=1e-6, atol=0)
    x = np.array(given["x"], np.float32)
    codes = model.encode(x)
    same(codes[:, : len(given["codes"][0])], given["codes"], case)
    same(model.decode(codes), given["rows"], case)


def test_every_architecture_that_both_know_was_tried() -> None:
    """What is not among the files is refused, and the page's table says the same."""
    page = (Path(__file__).parents[2] / "docs" / "convert.md").read_text()
    for case in CASES:
        row = next(
            line
            for line in page.splitlines()
            if line.startswith(f"| `{case.split(maxsplit=1)[0]}`") and _fits(line, case)
        )
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        for layout, cell in zip(convert.LAYOUTS, cells[1:], strict=True):
            assert ((layout, case) in WRITTEN) == (cell != "–"), (case, layout)


def _fits(line: str, case: str) -> bool:
    name = line.split("|")[1]
    return all(word in name for word in case.split()[1:] if word != "skip")


# ------------------------------------------------------------------------------------------------ there and back again


@pytest.mark.parametrize("layout", list(convert.LAYOUTS))
@pytest.mark.parametrize("case", list(CASES))
def test_what_we_wrote_is_read_as_it_was_and_written_the_same(case: str, layout: str, tmp_path: Path) -> None:
    if (layout, case) not in WRITTEN:
        with pytest.raises(BadInput):
            convert.write(ours(case), tmp_path / "a", layout)
        assert not os.listdir(tmp_path)
        return
    first = convert.write(ours(case), tmp_path / "a", layout)
    read = convert.read(first.folder)
    exact = not any(word in case for word in REORDERED)
    again = convert.write(read.model, tmp_path / "b", layout, exact=exact)
    assert read.agreement.exact or not exact
    old, new = (
        safetensors.torch.load_file(place / convert.LAYOUTS[layout].files[1]) for place in (first.folder, again.folder)
    )
    for name, tensor in old.items():
        torch.testing.assert_close(new[name], tensor, rtol=4e-6, atol=0)
    x = (np.random.default_rng(0).integers(-16, 17, (50, WIDE)) / 8).astype(np.float32)
    codes = ours(case).encode(x)
    wide = codes.shape[1] - (2 if "skip" in case else 0)
    if not {"topk", "row", "archetypal", "matching"} & set(case.split()):  # where rows of a grid tie
        np.testing.assert_allclose(read.model.encode(x)[:, :wide], codes[:, :wide], atol=1e-6)


def test_a_trained_model_keeps_its_function(tmp_path: Path) -> None:
    """Numbers on no grid: rounding is measured and told, and exact refuses it."""
    rows = np.random.default_rng(0).normal(2.0, 3.0, (200, 12)).astype(np.float32)
    plan = isthmus.Plan(steps=20, check=10)
    fitted = isthmus.fit(
        isthmus.named("jumprelu").set_params(latents=24), rows, plan=plan, columns=tuple("abcdefghijkl")
    )
    done = convert.write(fitted, tmp_path / "sae", "saelens")
    assert done.folded == ("the scaling of the rows", "the pre-bias")
    assert done.lost == ("the names of the columns",)
    assert 0 < done.agreement.codes < 1e-4
    read = convert.read(done.folder).model
    assert read.encode(rows) == pytest.approx(fitted.encode(rows), abs=1e-4)
    assert read.reconstruct(rows) == pytest.approx(fitted.reconstruct(rows), abs=1e-4)
    with pytest.raises(BadInput, match="not exact: the scaling of the rows and the pre-bias would be multiplied out"):
        convert.write(fitted, tmp_path / "exact", "saelens", exact=True)
    assert sorted(os.listdir(tmp_path)) == ["sae"]
    assert convert.write(read, tmp_path / "exact", "saelens", exact=True).agreement.exact


@pytest.mark.slow
def test_a_wide_code_is_read_and_written_too(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(3)
    model = isthmus.named("topk").set_params(latents=4096, k=8, head="gaussian").build((32,), "gaussian")
    with torch.no_grad():
        model.encoder.last.bias.normal_(0, 0.1, generator=draw)
    assert model.wide
    fitted = replace(
        ours("topk"), recipe=isthmus.named("topk").set_params(latents=4096, k=8, head="gaussian"), model=model
    )
    done = convert.write(fitted, tmp_path / "a", "sparsify")
    assert done.agreement.codes < 1e-5
    assert done.agreement.ties < 16
    read = convert.read(done.folder)
    assert read.model.model.wide
    assert read.agreement.codes < 1e-5


def test_thresholds_lose_nothing_but_rounding() -> None:
    draw = np.random.default_rng(0)
    wanted = torch.tensor(np.exp(draw.uniform(-9, 6, 4000)), dtype=torch.float32)
    got = cut(logarithm(wanted).exp())
    assert (got >= wanted).all()
    assert float((got / wanted - 1).max()) < 3e-6
    low = cut(logarithm(torch.tensor([0.0, 1e-7])).exp())
    assert (low > 0).all()
    assert (low < 3.1e-6).all()


def test_a_code_on_its_threshold_does_not_pass(theirs) -> None:
    def border(tensors):
        tensors["threshold"].fill_(0.5)
        tensors["b_enc"].fill_(0.5)

    read = convert.read(theirs("saelens", "jumprelu", tensors=border))
    on = read.model.model.pre.detach().numpy()[None]
    assert (read.model.encode(on) == 0).all()


def test_thresholds_that_are_all_zero_are_a_rectifier(theirs) -> None:
    def free(tensors):
        tensors["threshold"].copy_(-torch.arange(UNITS).float())

    read = convert.read(theirs("saelens", "jumprelu", tensors=free))
    assert read.model.recipe.family == "sae"
    assert read.agreement.exact


def test_rows_of_an_image_go_in_flat(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3, 4)).astype(np.float32)
    fitted = isthmus.fit(
        isthmus.named("topk").set_params(latents=8), rows, plan=isthmus.Plan(steps=3, check=1), images=False
    )
    done = convert.write(fitted, tmp_path / "a", "sparsify")
    assert "the shape (3, 4): rows go in flat" in done.lost
    assert convert.read(done.folder).model.encode(rows.reshape(60, 12)) == pytest.approx(fitted.encode(rows), abs=1e-4)


def test_a_score_and_its_threshold_are_told_to_stay_behind(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, WIDE)).astype(np.float32)
    shipped = Deployed.of(ours("sae"), rows, normal=rows[:100])
    done = convert.write(artefact.load(artefact.save(shipped, tmp_path / "model")), tmp_path / "a", "saelens")
    assert done.lost == ("how odd a row is, and the threshold for it",)
    assert convert.write(ours("sae"), tmp_path / "b", "saelens").lost == ()


# ---------------------------------------------------------------------------------------------- what a check would miss


@pytest.mark.parametrize("layout", list(convert.LAYOUTS))
def test_a_difference_is_noticed(layout: str, theirs) -> None:
    """Each tensor that bears on codes or rows is changed on one side only: the comparison refuses it."""
    foreign = convert.LAYOUTS[layout]
    case = {"saelens": "jumprelu", "dictionary_learning": "JumpReluAutoEncoder", "sparsify": "sae", "openai": "ReLU"}
    folder = theirs(layout, case[layout])
    config = members.words(folder / foreign.files[0])
    tensors = safetensors.torch.load_file(folder / foreign.files[1])
    form, model = foreign.parse(config, tensors), convert.read(folder).model
    inert = {"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"}
    for name, tensor in tensors.items():
        if name in inert:
            continue
        changed = tensors | {name: tensor + 0.25 * (torch.arange(tensor.numel()) % 3 == 1).reshape(tensor.shape)}
        with pytest.raises(BadInput, match=r"not the same in float32|not one function"):
            agree.compared(model, foreign, config, changed, form, agree.probes(form))
    assert agree.compared(model, foreign, config, tensors, form, agree.probes(form)).exact


def test_probe_rows_wake_every_unit() -> None:
    for case in ("sae", "jumprelu", "batchtopk", "gated"):
        found = convert.own.told(ours(case)).form
        raw = (torch.from_numpy(agree.probes(found)) - found.pre) @ found.weight.t() + found.bias
        over = 0.0 if found.threshold is None else found.threshold
        assert bool((raw > over).any(0).all())
        assert bool((raw <= over).any(0).all())


def test_a_mean_far_from_zero_is_refused_where_float32_has_no_room(tmp_path: Path) -> None:
    far = Scaler("standard", np.full(WIDE, 1e7), np.ones(WIDE))
    with pytest.raises(BadInput, match="train on centred ones"):
        convert.write(replace(ours("transcoder relu"), layout=far, target_layout=far), tmp_path / "a", "saelens")


# -------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("layout", "case", "change", "words"),
    [
        ("saelens", "standard", lambda c: c.update(architecture="os.system"), "architecture must be"),
        ("saelens", "standard", lambda c: c.update(architecture="batchtopk"), "save_inference_model"),
        ("saelens", "standard", lambda c: c.update(architecture="temporal"), "architecture must be"),
        ("saelens", "standard", lambda c: c.update(architecture=["standard"]), "architecture must be"),
        ("saelens", "standard", lambda c: c.update(finetuning_scaling_factor=True), "finetuning_scaling_factor"),
        ("saelens", "standard", lambda c: c.update(k=3), "unknown key 'k'"),
        ("saelens", "standard", lambda c: c.update(normalize_activations="layer_norm"), "normalize_activations"),
        (
            "saelens",
            "standard",
            lambda c: c.update(normalize_activations="expected_average_only_in"),
            "fold it into the weights",
        ),
        ("saelens", "standard", lambda c: c.update(reshape_activations="hook_z"), "reshape_activations"),
        ("saelens", "standard", lambda c: c.update(dtype="bfloat16"), "float32"),
        ("saelens", "standard", lambda c: c.update(apply_b_dec_to_input=1), "apply_b_dec_to_input must be true or"),
        ("saelens", "standard", lambda c: c.update(d_in=-1), "d_in must be a whole number"),
        ("saelens", "standard", lambda c: c.update(d_sae=1 << 60), "d_sae must be a whole number"),
        ("saelens", "standard", lambda c: c.update(d_sae=1 << 24), "must be F32 of shape"),
        ("saelens", "standard", lambda c: c.update(metadata=3), "metadata must be an object"),
        ("saelens", "topk", lambda c: c.update(k=11), "k must be a whole number from 1 to 10"),
        ("saelens", "topk", lambda c: c.update(rescale_acts_by_decoder_norm=True), "fold_W_dec_norm()"),
        ("saelens", "transcoder", lambda c: c.update(apply_b_dec_to_input=True), "apply_b_dec_to_input must be false"),
        ("saelens", "matching_pursuit", lambda c: c.update(residual_threshold=0.01), "residual_threshold"),
        ("saelens", "matching_pursuit", lambda c: c.update(stop_on_duplicate_support=True), "stop_on_duplicate"),
        ("saelens", "matching_pursuit", lambda c: c.update(max_iterations=None), "max_iterations"),
        (
            "dictionary_learning",
            "AutoEncoder",
            lambda c: c["trainer"].update(dict_class="os.system"),
            "dict_class must",
        ),
        ("dictionary_learning", "AutoEncoder", lambda c: c["trainer"].update(norm_factor=3.0), "norm_factor"),
        ("dictionary_learning", "AutoEncoder", lambda c: c["trainer"].update(dict_size=9), "dict_size must be 10"),
        ("dictionary_learning", "AutoEncoder", lambda c: c.update(trainer=[]), "trainer must be an object"),
        ("dictionary_learning", "AutoEncoder", lambda c: c.update(more=1), "unknown key 'more'"),
        ("dictionary_learning", "BatchTopKSAE", lambda c: c["trainer"].update(k=4), "k is 4 in config.json and 3"),
        (
            "dictionary_learning",
            "MatryoshkaBatchTopKSAE",
            lambda c: c["trainer"].update(group_sizes=[5, 3, 2]),
            "group_sizes must add up",
        ),
        ("dictionary_learning", "MatryoshkaBatchTopKSAE", lambda c: c["trainer"].pop("group_sizes"), "group_sizes"),
        ("sparsify", "sae", lambda c: c.update(activation="groupmax"), "activation must be topk"),
        ("sparsify", "sae", lambda c: c.update(signed=True), "signed must be False"),
        ("sparsify", "sae", lambda c: c.update(skip_connection=True), "isthmus has a skip in transcoders only"),
        ("sparsify", "sae", lambda c: c.update(num_latents=True), "num_latents must be a whole number"),
        ("sparsify", "expanded", lambda c: c.update(expansion_factor=1 << 23), "expansion_factor"),
        ("sparsify", "transcoder", lambda c: c.update(skip_connection=True), "missing tensor 'W_skip'"),
        ("openai", "ReLU", lambda c: c.update(activation="TopK"), "rows normalised"),
        ("openai", "ReLU", lambda c: c.update(activation="Identity"), "activation must be ReLU"),
        ("openai", "ReLU", lambda c: c.update(activation_state_dict={"k": 3}), "activation_state_dict"),
    ],
)
def test_a_configuration_that_cannot_be_expressed_is_refused(layout, case, change, words, theirs) -> None:
    refused(theirs(layout, case, change), words)


def test_tensors_that_cannot_be_expressed_are_refused(theirs, tmp_path: Path) -> None:
    def check(layout, case, change, *words):
        folder = theirs(layout, case, tensors=change)
        refused(folder, *words)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    check("saelens", "jumprelu", lambda t: t.pop("threshold"), "missing tensor 'threshold'")
    check("saelens", "standard", lambda t: t.update(threshold=torch.ones(UNITS)), "unknown tensor 'threshold'")
    check("saelens", "standard", lambda t: t.update(scaling_factor=torch.ones(UNITS)), "unknown tensor")
    check("saelens", "standard", lambda t: t.update(W_enc=t["W_enc"].t().contiguous()), "W_enc must be F32 of shape")
    check("saelens", "standard", lambda t: t.update(W_enc=t["W_enc"].bfloat16()), "got BF16", "model.float()")
    check("saelens", "standard", lambda t: t.update(W_enc=t["W_enc"].double()), "got F64")
    check("saelens", "standard", lambda t: t["W_dec"].view(-1)[3:4].fill_(math.nan), "not finite")
    check("saelens", "standard", lambda t: t["W_dec"].view(-1)[3:4].fill_(-math.inf), "not finite")
    check("saelens", "standard", lambda t: t["W_dec"].view(-1)[3:4].fill_(1e30), "beyond 1e+18")
    dropped = "encode(use_threshold=True)", "set it to -1"
    check("dictionary_learning", "AutoEncoderTopK", lambda t: t["threshold"].fill_(0.3), *dropped)
    check("dictionary_learning", "AutoEncoder", lambda t: t["decoder.weight"].mul_(2), "unit norm")
    check("dictionary_learning", "BatchTopKSAE", lambda t: t.update(k=t["k"].long()), "k must be I32")
    wrong = torch.tensor([2, 3, -5])
    check(
        "dictionary_learning", "MatryoshkaBatchTopKSAE", lambda t: t.update(group_sizes=wrong), "group_sizes must add"
    )
    check("openai", "ReLU", lambda t: t.update(pre_bias=torch.zeros(7)), "pre_bias must be F32")
    check("openai", "ReLU", lambda t: t.pop("encoder.weight"), "expected a matrix encoder.weight")
    check("dictionary_learning", "AutoEncoder", lambda t: t.pop("encoder.weight"), "has a matrix")


def test_models_that_no_library_has_are_refused(tmp_path: Path) -> None:
    def check(words: str, fitted=None, to: str = "saelens", **recipe):
        with pytest.raises(BadInput, match=words):
            convert.write(fitted or trained(**recipe), tmp_path / "a", to)
        assert not (tmp_path / "a").exists()

    rows = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    plan = isthmus.Plan(steps=2, check=1)

    def trained(family: str, x=rows, **fields):
        return isthmus.fit(isthmus.named(family).set_params(latents=6, **fields), x, plan=plan)

    check("no counterpart in these libraries", family="vae")
    check("no counterpart in these libraries", family="plain")
    check("abstopk has signed codes", family="abstopk")
    check("one affine layer each way", family="topk", hidden=(8,))
    check("sigmoid", family="topk", x=rows.clip(0, 1))
    check("unknown layout 'nnsight'", ours("sae"), to="nnsight")
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInput, match="choose another path"):
        convert.write(ours("sae"), tmp_path / "there", "saelens")


def test_a_table_is_refused(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0, None, 4.0] * 10, "b": list("xyxy") * 10})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = isthmus.fit(isthmus.named("topk").set_params(latents=4), frame, plan=isthmus.Plan(steps=2, check=1))
    with pytest.raises(BadInput, match="columns of several kinds"):
        convert.write(fitted, tmp_path / "a", "saelens")


# ----------------------------------------------------------------------------------------------- files from anywhere


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    folder = tmp_path / "theirs"
    folder.mkdir()
    torch.save(Bomb(), folder / "ae.pt")
    (folder / "config.json").write_text("{}")
    refused(folder, "ae.pt: a pickle", "never opened here", "docs/convert.md")
    refused(folder, "ae.pt: a pickle", layout="dictionary_learning")
    (folder / "ae.safetensors").write_bytes((folder / "ae.pt").read_bytes())
    refused(folder, "not a safetensors file")
    assert not (tmp_path / "boom").exists()


def test_links_and_devices_are_not_followed(theirs, tmp_path: Path) -> None:
    folder = theirs("saelens", "standard")
    weights = folder / "sae_weights.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    refused(folder, "not a plain file")
    weights.unlink()
    os.mkfifo(weights)
    refused(folder, "not a plain file")
    weights.unlink()
    weights.mkdir()
    refused(folder, "not a plain file")
    refused(tmp_path / "elsewhere", "no folder")
    refused(tmp_path, "no model of a known layout")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (1 << 40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{",
        (61).to_bytes(8, "little") + b'{"W_enc":{"dtype":"F32","shape":[6,10],"data_offsets":[0,240]',
        (64).to_bytes(8, "little") + b'{"W_enc":{"dtype":"F32","shape":[6,1e9],"data_offsets":[0,240]}}',
        (64).to_bytes(8, "little") + b'{"W_enc":{"dtype":"PKL","shape":[6,109],"data_offsets":[0,240]}}',
        (70).to_bytes(8, "little") + b'{"W_enc":{"dtype":"F32","shape":[6,999999999],"data_offsets":[0,240]}}',
        (4).to_bytes(8, "little") + b'{"a"',
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(content: bytes, theirs) -> None:
    folder = theirs("saelens", "standard")
    (folder / "sae_weights.safetensors").write_bytes(content)
    refused(folder, "sae_weights.safetensors")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"a": NaN}',
        '{"d_in": 6, "d_in": 7}',
        '{"a": ' * 3000 + "1" + "}" * 3000,
        '{"d_in": ' + "9" * 6000 + "}",
        '{"architecture": "standard\\n\\u001b[31m", "\\ud800": 1}',
        "{" + '"' + "x" * (1 << 21) + '": 1}',
    ],
)
def test_a_configuration_that_is_no_such_json_is_refused(text: str, theirs) -> None:
    folder = theirs("saelens", "standard")
    (folder / "cfg.json").write_text(text)
    refused(folder, "cfg.json")


def mutants(content: bytes, count: int, draw: random.Random):
    """Copies with flipped, lost, doubled and added bytes."""
    for number in range(count):
        bad, at = bytearray(content), draw.randrange(len(content))
        if number % 5 == 0:
            bad[at] ^= 1 << draw.randrange(8)
        elif number % 5 == 1:
            del bad[at : at + draw.randrange(1, 9)]
        elif number % 5 == 2:
            bad[at:at] = bad[at : at + draw.randrange(1, 9)]
        elif number % 5 == 3:
            bad[at] = draw.randrange(256)
        else:
            bad[at:at] = draw.choice([b"\0", b"NaN", b'{"', b"}", b"1e999", b",", b'"a":1,', b"-"])
        yield bytes(bad)


def tried(folder: Path, count: int) -> int:
    """How many mutants of a folder's files are refused, each in one line; the others must agree with the formula."""
    draw, caught = random.Random(0), 0
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        head = 8 + int.from_bytes(good[:8], "little") if path.suffix == ".safetensors" else len(good)
        for bad in mutants(good[:head], count, draw):
            path.write_bytes(bad + good[head:])
            try:
                convert.read(folder)
            except BadInput as error:
                line, caught = str(error), caught + 1
                assert line.isprintable()
                assert len(line) < 700
        path.write_bytes(good)
    return caught


def test_mutated_files_are_refused_or_read_rightly(theirs) -> None:
    assert tried(theirs("saelens", "jumprelu"), 40) > 50


@pytest.mark.slow
def test_two_thousand_mutated_files(tmp_path: Path) -> None:
    """Weights carry no checksum there: a changed number is another dictionary. All else is refused in one line."""
    chosen = [("saelens", "jumprelu"), ("dictionary_learning", "MatryoshkaBatchTopKSAE")]
    chosen += [("sparsify", "skip transcoder"), ("openai", "ReLU")]
    found = [tried(put(tmp_path / layout, EXPECTED[layout]["own"][case]), 250) for layout, case in chosen]
    assert sum(found) > 1500


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "put", full)
    with pytest.raises(BadEnvironment, match="No space left on device"):
        convert.write(ours("sae"), tmp_path / "a", "saelens")
    assert not os.listdir(tmp_path)


# ----------------------------------------------------------------------------------------------------- from the shell


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_converts_both_ways(tmp_path: Path, capsys) -> None:
    artefact.save(ours("jumprelu"), tmp_path / "model")
    code, out, err = run(capsys, "convert", tmp_path / "model", "--to", "saelens", "-o", tmp_path / "sae")
    assert (code, err) == (0, "")
    assert "multiplied out: the pre-bias" in out
    assert "largest difference" in out
    code, out, err = run(capsys, "convert", tmp_path / "sae", "--from", "saelens", "-o", tmp_path / "again")
    assert (code, err) == (0, "")
    assert "max |difference| = 0" in out
    assert artefact.load(tmp_path / "again").recipe.family == "jumprelu"
    code, out, err = run(capsys, "convert", tmp_path / "sae", "--to", "dictionary_learning", "-o", tmp_path / "dl")
    assert (code, err) == (0, "")
    assert f'load_dictionary("{tmp_path / "dl"}", "cpu")' in out
    assert convert.read(tmp_path / "dl").layout == "dictionary_learning"


def test_the_command_says_it_to_machines(theirs, tmp_path: Path, capsys) -> None:
    folder = theirs("sparsify", "transcoder")
    code, out, _ = run(capsys, "convert", folder, "-o", tmp_path / "model", "--json")
    said = json.loads(out)
    assert code == 0
    assert said["from"] == "sparsify"
    assert said["to"] == "isthmus"
    assert said["family"] == "transcoder"
    assert said["reading"] == {"rows": 256, "units": 10, "codes": 0, "made": 0, "ties": 0}


def test_the_command_refuses_in_one_line(theirs, tmp_path: Path, capsys) -> None:
    def fails(*arguments):
        code, out, err = run(capsys, "convert", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    artefact.save(ours("jumprelu"), tmp_path / "model")
    assert "no other gate" in fails(tmp_path / "model", "--to", "sparsify", "-o", tmp_path / "a")
    assert "not exact" in fails(tmp_path / "model", "--to", "saelens", "--exact", "-o", tmp_path / "a")
    assert "it is a model of isthmus" in fails(tmp_path / "model")
    assert "it is a model of isthmus" in fails(tmp_path / "model", "--from", "saelens", "-o", tmp_path / "a")
    folder = theirs("saelens", "standard", lambda c: c.update(scale=2))
    assert "unknown key" in fails(folder, "-o", tmp_path / "a")
    assert "autoencoder.json: missing" in fails(folder, "--from", "openai", "-o", tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == ["model", "theirs"]


def test_exact_holds_when_reading_too(theirs, tmp_path: Path, capsys) -> None:
    def odd(tensors):
        tensors["b_gate"] += 0.1
        tensors["r_mag"] += 0.1

    folder = theirs("saelens", "gated", tensors=odd)
    assert not convert.read(folder).agreement.exact
    code, _, err = run(capsys, "convert", folder, "--exact", "-o", tmp_path / "a")
    assert code == 2
    assert "not exact" in err

"""Values that stand in an order: laid out by steps, learnt by cumulative logits, given back as values of the column."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import isthmus
from isthmus.data.fields.field import Field
from isthmus.data.fields.ordered import Ordered
from isthmus.data.layout import Table, from_json
from isthmus.data.read import cells, read
from isthmus.errors import BadInput
from isthmus.families import DEFAULT, named
from isthmus.imputer import Imputer
from isthmus.parts.heads import Slot, TableHead
from isthmus.sampler import outcomes
from isthmus.testing import check_gradcheck, check_stack, check_tape
from isthmus.train.fitted import fit
from isthmus.train.likelihood import of_table
from isthmus.train.plan import Plan

SIZES = ("tiny", "small", "large", "huge")
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=600)
SIZE = np.searchsorted([-1.0, 0.3, 1.2], WEIGHT + 0.1 * RANDOM.normal(size=600))
GONE = np.arange(600) % 15 == 0
FRAME = pd.DataFrame(
    {
        "size": pd.Categorical.from_codes(np.where(GONE, -1, SIZE), SIZES, ordered=True),
        "weight": WEIGHT,
        "town": RANDOM.choice(["Bergen", "Oslo"], 600),
    }
)
DATA = read(FRAME)
LAYOUT = Table.fit(DATA.x, DATA.fields)
HEAD, PART = of_table(LAYOUT), LAYOUT.parts[0]
ROWS = torch.from_numpy(LAYOUT.apply(DATA.x)).double()
EXPECTED = json.loads((Path(__file__).parents[1] / "parts/expected/ordinal.json").read_text())


def test_cells_come_back_from_their_layout() -> None:
    assert DATA.fields[0] == Field("size", "ordered", SIZES, gaps=True)
    laid = LAYOUT.apply(DATA.x)
    assert LAYOUT.names[:4] == ("size>=small", "size>=large", "size>=huge", "size missing")
    np.testing.assert_array_equal(LAYOUT.invert(laid)[:, 0], DATA.x[:, 0])
    again = from_json(json.loads(json.dumps(LAYOUT.to_json())))
    assert again.to_json() == LAYOUT.to_json()
    np.testing.assert_array_equal(again.apply(DATA.x), laid)
    there = laid[~GONE, :3]
    np.testing.assert_allclose(there.mean(axis=0), 0, atol=1e-6)
    assert there.var(axis=0).sum() == pytest.approx(1, abs=1e-5)


def test_neighbours_are_nearer_than_what_lies_apart() -> None:
    laid = PART.column.encode(np.arange(4.0))
    apart = np.square(laid[:, None] - laid[None]).sum(axis=2)
    assert (np.diff(apart[0]) > 0).all()
    assert apart[0, 3] == pytest.approx(apart[0, 1] + apart[1, 2] + apart[2, 3])


def slots(y: np.ndarray) -> TableHead:
    column = Ordered.fit(y.astype(float), Field("y", "ordered", ("a", "b", "c", "d")))
    return TableHead([Slot("order", 0, 3, column.shares, column.scale, None, 0.0)]).double()


@pytest.mark.parametrize("which", [0, 1])
def test_the_likelihood_is_that_of_statsmodels(which: int) -> None:
    x, y, found = np.array(EXPECTED["x"]), np.array(EXPECTED["y"]), EXPECTED["fits"][which]
    head = slots(y)
    target = (torch.tensor(y[:, None] > np.arange(3)).double() - head.shift) / head.scale
    head.cuts.data = torch.tensor(found["cuts"], dtype=torch.float64)
    raw = torch.tensor(x @ found["slopes"])[:, None] + torch.tensor([0.5, 0.0, -0.5])  # the place is their mean
    cost = head.nll(raw, target).sum(1) / head.weight[0]
    np.testing.assert_allclose(cost.detach().numpy(), found["nll"], rtol=1e-5, atol=1e-5)
    beyond = (head.mean(raw[:5]) * head.scale + head.shift).detach().numpy()
    shares = -np.diff(np.hstack([np.ones((5, 1)), beyond, np.zeros((5, 1))]), axis=1)
    np.testing.assert_allclose(shares, found["shares"], rtol=1e-5, atol=1e-6)


def test_what_is_likeliest_is_what_statsmodels_finds() -> None:
    x, y, best = torch.tensor(EXPECTED["x"]).double(), np.array(EXPECTED["y"]), EXPECTED["fits"][0]
    head = slots(y)
    target = (torch.tensor(y[:, None] > np.arange(3)).double() - head.shift) / head.scale
    slopes = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([slopes, head.cuts], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        cost = head.nll((x @ slopes)[:, None].expand(-1, 3), target).sum()
        cost.backward()
        return cost

    search.step(closure)
    np.testing.assert_allclose(slopes.detach(), best["slopes"], atol=1e-3)
    np.testing.assert_allclose(head.cuts.detach(), best["cuts"], atol=1e-3)


def test_with_nothing_learnt_it_costs_what_other_columns_cost_and_a_gap_nothing() -> None:
    raw = HEAD.link(torch.zeros_like(ROWS)).detach().requires_grad_()
    cost = HEAD.nll(raw, ROWS)
    assert cost[~GONE, :3].sum(1).mean().item() == pytest.approx(0.5, abs=1e-5)
    assert (cost[GONE, :3] == 0).all()
    (slope,) = torch.autograd.grad(cost.sum(), raw)
    assert (slope[GONE, :3] == 0).all()
    mean = HEAD.mean(torch.randn(5, LAYOUT.width).double())
    torch.testing.assert_close(HEAD.mean(HEAD.link(mean)), mean, rtol=1e-4, atol=1e-4)
    few = ROWS[:5]
    assert torch.autograd.gradcheck(lambda r: HEAD.nll(r, few), (torch.randn(few.shape).double().requires_grad_(),))


def test_nothing_cancels_far_out_and_between_cut_points_that_nearly_meet() -> None:
    head = slots(np.array(EXPECTED["y"])).float()
    target = ((torch.tensor([[1.0, 1.0, 0.0]]) - head.shift) / head.scale).float()
    for place, nats in ((-200.0, 211.0), (0.0, 11 + np.log(4)), (200.0, 211.0)):
        raw = torch.full((1, 3), place, requires_grad=True)
        head.cuts.data = torch.tensor([0.0, -11.0, -11.0])
        cost = head.nll(raw, target).sum()
        (slope,) = torch.autograd.grad(cost, raw)
        assert (cost.detach() / head.weight[0]).item() == pytest.approx(nats, rel=1e-4)
        assert torch.isfinite(slope).all()


PLAN = Plan(steps=400, learning_rate=0.02)


@pytest.mark.slow
def test_a_model_learns_cut_points_and_its_own_alone() -> None:
    own = {"fields": DATA.fields, "columns": DATA.columns, "plan": PLAN}
    one, other = (fit(named("plain").set_params(latents=2), DATA.x, seed=seed, **own) for seed in (0, 1))
    cuts = [model.model.head.cuts.detach() for model in (one, other)]
    assert not torch.equal(cuts[0], HEAD.cuts)
    assert not torch.equal(*cuts)
    assert torch.exp(cuts[0][1]) > 1.5 * torch.exp(HEAD.cuts[1])  # the weight tells steps apart
    assert (one.reconstruct(DATA.x[~GONE])[:, 0] == SIZE[~GONE]).mean() > 0.9


@pytest.mark.slow
def test_values_come_back_in_their_order_and_draws_follow_their_shares(tmp_path: Path) -> None:
    own = {"fields": DATA.fields, "columns": DATA.columns, "plan": PLAN}
    recipe = named("vae").set_params(latents=2, corruption="mask", corruption_level=0.3)
    isthmus.save(fit(recipe, DATA.x[:400], **own), tmp_path / "model")
    model = isthmus.load(tmp_path / "model")
    dtype = FRAME["size"].dtype
    back = model.reconstruct(FRAME)["size"]
    assert back.dtype == dtype
    assert (back.cat.codes[~GONE] == SIZE[~GONE]).mean() > 0.8
    filled = model.impute(FRAME)["size"]
    assert filled.dtype == dtype
    assert not filled.isna().any()
    assert (np.abs(filled.cat.codes[GONE] - SIZE[GONE]) <= 1).mean() > 0.9
    found = Imputer.of(model, FRAME[400:]).fill(FRAME[:100], 0.9)
    named_of = [one for one in found.among[:, 0] if one is not None]
    assert {value for one in named_of for value in one} <= set(SIZES)
    held = [SIZES[SIZE[i]] in found.among[i, 0] for i in np.flatnonzero(GONE[:100])]
    assert np.mean(held) > 0.8
    drawn = model.sample(4000)[:, 0]
    share = [np.nanmean(drawn == k) for k in range(4)]
    np.testing.assert_allclose(share, np.bincount(SIZE[~GONE]) / (~GONE).sum(), atol=0.12)


def test_a_draw_is_of_the_likelihood() -> None:
    mean = HEAD.mean(torch.zeros(1, LAYOUT.width).double()).detach().numpy().repeat(20_000, axis=0)
    made = LAYOUT.invert(outcomes(mean, None, LAYOUT, None, 0))[:, 0]
    shares = np.bincount(SIZE[~GONE]) / (~GONE).sum()
    np.testing.assert_allclose(
        np.bincount(made[~np.isnan(made)].astype(int)) / (~np.isnan(made)).sum(), shares, atol=0.015
    )
    np.testing.assert_array_equal(LAYOUT.settled(mean)[0, :3], PART.column.encode(np.ones(1))[0].astype(np.float32))


def test_what_was_not_there_in_training() -> None:
    column = Ordered.fit(np.array([0.0, 0.0, 2.0, 2.0]), Field("size", "ordered", SIZES))
    assert column.codes == (0, 2)
    assert column.decode(column.encode(np.array([0.0, 2.0, 3.0]))).tolist() == [0, 2, 2]  # the nearest one
    laid = LAYOUT.apply(cells(FRAME.astype({"size": object}).assign(size="vast")[:3], DATA.fields))
    assert (laid[:, :3] == 0).all()
    for none in ([np.nan, np.nan], [1.0, 1.0], [-1.0, -1.0]):
        alone = Ordered.fit(np.array(none), Field("size", "ordered", SIZES))
        assert alone.width == 1
        assert np.isfinite(alone.encode(np.arange(4.0))).all()
        head = TableHead([Slot("order", 0, 1, alone.shares, alone.scale, None, 0.0)])
        assert torch.isfinite(head.nll(torch.zeros(2, 1), torch.from_numpy(alone.encode(np.zeros(2))).float())).all()


def test_of_many_values_as_many_come_back_as_there_are_steps() -> None:
    ages = RANDOM.integers(0, 300, 5000).astype(float)
    column = Ordered.fit(ages, Field("age", "ordered", tuple(map(str, range(300)))))
    assert column.width == 64
    assert np.abs(column.decode(column.encode(ages)) - ages).max() <= 4


@pytest.mark.parametrize(
    ("codes", "shares", "why"),
    [
        ([0, 2, 1], [0.5, 0.2], "must be whole numbers that rise"),
        ([0, 1, 2], [0.2, 0.5], "between 0 and 1 and fall"),
        ([0, 1], [1.5], "between 0 and 1"),
        ([0], [], "two or more codes"),
        ([0, 1, 2], [0.5], "a share for each step"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(codes: list[int], shares: list[float], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        Ordered.from_json({"codes": codes, "shares": shares})
    told = LAYOUT.to_json()
    told["columns"][0]["layout"] = {"codes": [0, 1, 2, 9], "shares": [0.9, 0.5, 0.1]}
    with pytest.raises(BadInput, match="does not fit its values"):
        from_json(told)


@pytest.mark.usefixtures("many_graphs")
@pytest.mark.slow
def test_a_graph_lays_them_out_as_the_model_does(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    export = pytest.importorskip("isthmus.ship.graph").export
    model = fit(named("plain").set_params(latents=2), DATA.x, fields=DATA.fields, columns=DATA.columns)
    path = export(model, tmp_path / "model.onnx")  # which refuses a graph that answers otherwise
    rows = FRAME[:30].astype({"size": object})
    rows.loc[3, "size"] = "vast"
    asked = model.encode(rows)
    assert isthmus.runtime.load(path).run(rows)["code"] == pytest.approx(asked, rel=1e-5, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", DEFAULT)
def test_families_keep_the_contract_with_it(family: str) -> None:
    recipe = named(family).set_params(latents=4)
    for check in (check_stack, check_tape, check_gradcheck):
        check(recipe, (LAYOUT.width,), HEAD)

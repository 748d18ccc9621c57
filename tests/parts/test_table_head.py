"""The likelihood of a row of a table: each column its own, a gap nothing, and all weigh the same."""

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical

from isthmus.data.fields import Field
from isthmus.data.layout import Table
from isthmus.errors import BadInput
from isthmus.families import DEFAULT, named
from isthmus.parts import heads
from isthmus.parts.heads import Slot, TableHead
from isthmus.testing import check_gradcheck, check_stack, check_tape
from isthmus.train.likelihood import of_table
from isthmus.train.stack import Stack

FIELDS = (
    Field("age", "number", gaps=True),
    Field("paid", "flag"),
    Field("city", "category", ("Bergen", "Oslo", "Rome"), gaps=True),
)
RNG = np.random.default_rng(0)
CELLS = np.column_stack([RNG.normal(40, 10, 300), RNG.integers(0, 2, 300), RNG.choice(3, 300, p=[0.6, 0.3, 0.1])])
CELLS[::10, 0] = CELLS[1::10, 2] = np.nan
LAYOUT = Table.fit(CELLS, FIELDS)
HEAD = of_table(LAYOUT)
ROWS = torch.from_numpy(LAYOUT.apply(CELLS)).double()
AGE, NO_AGE, PAID, CITY, NO_CITY = slice(0, 1), 1, slice(2, 3), slice(3, 7), 7
RAW = torch.from_numpy(RNG.normal(size=ROWS.shape))


def nats(*shares):
    return -sum(p * np.log(p) for p in shares if p > 0)


def test_a_number_costs_half_its_squared_error_a_flag_and_a_category_their_log_likelihood():
    cost = HEAD.nll(RAW, ROWS)
    here, there = ~torch.from_numpy(np.isnan(CELLS[:, 0])), ~torch.from_numpy(np.isnan(CELLS[:, 2]))
    torch.testing.assert_close(cost[here, 0], 0.5 * (RAW[here, 0] - ROWS[here, 0]) ** 2)
    paid = torch.from_numpy(CELLS[:, 1])
    share = CELLS[:, 1].mean()
    want = -Bernoulli(logits=RAW[:, 2]).log_prob(paid) * 0.5 / nats(share, 1 - share)
    torch.testing.assert_close(cost[:, 2], want, rtol=1e-5, atol=1e-6)
    cities = torch.from_numpy(CELLS[there.numpy(), 2]).long()
    own = [np.nanmean(CELLS[:, 2] == k) for k in range(3)]
    shares = np.array(own) / (1 - np.isnan(CELLS[:, 2]).mean())
    want = -Categorical(logits=RAW[there, CITY]).log_prob(cities) * 0.5 / nats(*shares)
    torch.testing.assert_close(cost[there, CITY].sum(1), want, rtol=1e-5, atol=1e-6)


def test_a_gap_costs_exactly_nothing_and_pulls_at_nothing_but_its_own_flag():
    raw = RAW.clone().requires_grad_()
    gone, lost = np.isnan(CELLS[:, 0]), np.isnan(CELLS[:, 2])
    cost = HEAD.nll(raw, ROWS)
    assert (cost[gone, 0] == 0).all()
    assert (cost[lost, CITY] == 0).all()
    (slope,) = torch.autograd.grad(cost.sum(), raw)
    assert (slope[gone, 0] == 0).all()
    assert (slope[lost, CITY] == 0).all()
    assert (slope[:, [NO_AGE, NO_CITY]] != 0).all()
    other = RAW.clone()
    other[gone, 0] = 1e6
    assert torch.equal(HEAD.nll(other, ROWS), HEAD.nll(RAW, ROWS))


def test_with_nothing_learnt_every_column_costs_the_same():
    raw = HEAD.link(ROWS.mean(0)).expand_as(ROWS)
    cost = HEAD.nll(raw, ROWS)
    for part, column in ((AGE, 0), (PAID, 1), (CITY, 2)):
        there = ~np.isnan(CELLS[:, column])
        assert cost[there, part].sum(1).mean() == pytest.approx(0.5, rel=0.02)
    assert cost[:, NO_AGE].mean() == pytest.approx(0.5 * 0.1 * 0.9, rel=0.02)


def test_the_mean_is_made_of_probabilities_and_link_inverts_it():
    mean = HEAD.mean(RAW)
    city = mean[:, CITY] * HEAD.scale[CITY] + HEAD.shift[CITY]
    torch.testing.assert_close(city.sum(1), torch.ones(len(RAW)).double(), rtol=1e-6, atol=1e-6)
    assert (city >= 0).all()
    paid = mean[:, 2] * HEAD.scale[2] + HEAD.shift[2]
    torch.testing.assert_close(paid, torch.sigmoid(RAW[:, 2]), rtol=1e-6, atol=1e-6)
    mild = 0.3 * RAW
    torch.testing.assert_close(HEAD.mean(HEAD.link(HEAD.mean(mild))), HEAD.mean(mild), rtol=1e-5, atol=1e-5)


def test_rare_columns_do_not_outweigh_all_others():
    rare = TableHead([Slot("bit", 0, 1, (1e-4,), 0.01, None, 0.0)])
    assert float(rare.weight[0]) == pytest.approx(0.5 / 0.05)


def test_numbers_may_have_a_robust_likelihood_and_no_bernoulli_s():
    far = torch.zeros_like(ROWS)
    far[:, 0] = 100.0
    there = ~np.isnan(CELLS[:, 0])
    assert HEAD.but("huber").nll(far, ROWS)[there, 0].max() < 30 < HEAD.nll(far, ROWS)[there, 0].min()
    assert named("plain").set_params(head="huber").build((8,), HEAD).head.numbers == "huber"
    with pytest.raises(BadInput, match="gaussian, huber or student; got bernoulli"):
        named("plain").set_params(head="bernoulli").build((8,), HEAD)


@pytest.mark.slow
@pytest.mark.parametrize("family", DEFAULT)
def test_families_keep_the_contract_with_it(family):
    recipe = named(family).set_params(latents=4)
    for check in (check_stack, check_tape, check_gradcheck):
        check(recipe, (8,), HEAD)


def test_what_stands_for_one_column_is_hidden_together_and_a_gap_says_so_still():
    noise = HEAD.whole(torch.rand(2, 5, 8))
    assert (noise[..., CITY] == noise[..., 3:4]).all()
    assert not torch.equal(noise[..., 0], noise[..., 2])
    assert (noise[..., [NO_AGE, NO_CITY]] == 1).all()
    assert torch.equal(heads.whole("gaussian", noise), noise)
    model = named("masked").set_params(latents=4).build((8,), HEAD)
    drawn = heads.whole(model.head, model.draw(ROWS[:6], torch.Generator().manual_seed(0)))
    assert (drawn[:, CITY] == drawn[:, 3:4]).all()


def test_corruption_hides_whole_columns():
    rows = ROWS[:64].float()
    recipe = named("plain").set_params(latents=4, corruption="mask", corruption_level=0.5)
    stack = Stack(
        [recipe.build((8,), HEAD)],
        corruption="mask",
        levels=[0.5],
        generators=[torch.Generator().manual_seed(0)],
        rows=(rows,),
        batch=16,
    )
    noise = stack._draw([torch.Generator().manual_seed(1)], rows[:16])["corruption"][0]
    assert (noise[:, CITY] == noise[:, 3:4]).all()


def test_what_needs_rows_of_numbers_says_so():
    with pytest.raises(BadInput, match="condition is the last numbers of a row"):
        named("cvae").set_params(latents=4, condition=2).build((8,), HEAD)


def test_a_head_by_name_is_as_before():
    assert torch.equal(heads.nll("gaussian", RAW, ROWS), 0.5 * (RAW - ROWS).square())


def test_all_of_it_goes_along_to_another_device_and_stays_what_it_was_in_another_type():
    fields = (*FIELDS, Field("size", "ordered", ("S", "M", "L")), Field("calls", "count"))
    cells = np.column_stack([CELLS, np.arange(300) % 3, np.arange(300) % 7])
    layout = Table.fit(cells, fields)
    rows, head = torch.from_numpy(layout.apply(cells)).double(), of_table(layout).double()
    raw = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    costs, means = head.nll(raw, rows), head.mean(raw)
    head.float().double()
    torch.testing.assert_close(head.nll(raw, rows), costs)
    head.to("meta")
    held = [*vars(head).values(), *vars(head.steps).values()]
    assert {one.device.type for one in held if isinstance(one, torch.Tensor)} == {"meta"}
    away = raw.to("meta")
    assert head.nll(away, rows.to("meta")).shape == costs.shape
    assert head.mean(head.link(away)).shape == means.shape

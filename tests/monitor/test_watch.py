"""What a watch sees: nothing in normal rows, each break by its name and column, and every option counts."""

import math

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.data.read import cells
from isthmus.errors import BadInput
from isthmus.monitor.advice import advice, sentence
from isthmus.monitor.watch import Alarm, Watch
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.reference import Reference


def fed(ships: Deployed, table: pd.DataFrame, **options) -> tuple[Watch, list[Alarm]]:
    watch = Watch(ships, **options)
    return watch, watch.feed(cells(table, ships.fields))


def of(watch: Watch, column: str) -> Alarm:
    return next(one for one in watch.progress.alarms if (one.group, one.channel) == ("column", column))


def test_normal_rows_raise_no_alarm_and_are_counted(ships: Deployed, draw) -> None:
    watch, raised = fed(ships, draw(3000, 7))
    assert raised == []
    assert (watch.progress.rows, watch.progress.waiting, watch.progress.answered) == (3000, 3000 % 64, 3000)
    assert 0 < watch.progress.flagged < 90
    assert [one.do for one in advice(raised)] == ["nothing"]


def broken(table: pd.DataFrame, column: str, change) -> pd.DataFrame:
    made = table.copy()
    made.loc[640:, column] = change(made.loc[640:, column])
    return made


CHANGES = [
    ("speed", "unit", lambda c: c * 3.6, "about 3.6"),
    ("load", "unit", lambda c: c / 1000, "times what they were"),
    ("load", "constant", lambda c: 1.25, "stands still at 1.25"),
    ("temp", "gaps", lambda c: c.where(np.arange(len(c)) % 2 == 0), "missing in"),
    ("city", "values", lambda c: c.where(np.arange(len(c)) % 3 > 0, "Paris"), "new values"),
    ("city", "share", lambda c: "Rome", "'Rome' in"),
    ("speed", "shift", lambda c: c + 6, "standard deviations"),
    ("temp", "spread", lambda c: 15 + 3 * (c - 15), "standard deviation is"),
]


@pytest.mark.parametrize(("column", "what", "change", "said"), CHANGES)
def test_what_happened_to_a_column_is_named(ships: Deployed, draw, column, what, change, said) -> None:
    watch, raised = fed(ships, broken(draw(1600, 8), column, change))
    alarm = of(watch, column)
    assert alarm.what == what
    assert 640 < alarm.row <= 900
    assert said in sentence(raised[-1] if raised[-1].channel == column else alarm, "en")
    assert column in sentence(alarm, "zh")
    assert {one.channel for one in watch.progress.alarms if one.group == "column"} == {column}
    first = advice(watch.progress.alarms)[0]
    if what in ("unit", "constant", "gaps", "values"):
        assert (first.do, first.columns) == ("look", (column,))
        assert repr(column) in first.of("en")
        assert repr(column) in first.of("zh")


def test_the_first_name_is_made_better_by_the_next_block(ships: Deployed, draw) -> None:
    """A change in the middle of a block: at first it may be a shift, or another spread, and then it is what it is."""
    table = draw(1600, 9)
    table.loc[660:, "load"] = 1.25
    watch, raised = fed(ships, table)
    names = [one.what for one in raised if one.channel == "load"]
    assert len(names) > 1
    assert names[-1] == of(watch, "load").what == "constant"
    assert watch.progress.fresh == {}


def test_what_columns_do_not_show_is_seen_in_scores(ships: Deployed, draw) -> None:
    """Columns keep their margins, and lose what ties them: codes or scores tell, and a new training is advised."""
    table = draw(2400, 10)
    table.loc[640:, "load"] = np.random.default_rng(0).permutation(table.loc[640:, "load"].to_numpy())
    watch, _ = fed(ships, table)
    groups = {one.group for one in watch.progress.alarms}
    assert "column" not in groups
    assert {"score", "threshold"} <= groups
    assert advice(watch.progress.alarms)[0].do == "retrain"


@pytest.mark.slow
def test_slow_drift_is_found_by_long_windows(ships: Deployed, draw) -> None:
    table = draw(9000, 11)
    table["temp"] += np.linspace(0, 2.5, 9000)
    watch, _ = fed(ships, table)
    alarm = of(watch, "temp")
    assert alarm.what == "shift"
    assert alarm.rows > 64


def test_a_column_that_is_not_there_is_told_once(ships: Deployed, draw) -> None:
    watch = Watch(ships)
    table = draw(400, 12)
    table["temp"] = np.nan
    x = cells(table, ships.fields)
    first = watch.feed(x[:200], absent=["temp"])
    assert [(one.channel, one.what) for one in first if one.group == "column"] == [("temp", "missing")]
    assert not [one for one in watch.feed(x[200:], absent=["temp"]) if one.channel == "temp"]
    assert "not in the stream" in sentence(first[0], "en")


def test_how_a_stream_is_cut_changes_nothing(ships: Deployed, draw) -> None:
    x = cells(broken(draw(1500, 13), "load", lambda c: c + 9), ships.fields)
    one, two = Watch(ships), Watch(ships)
    one.feed(x)
    for at in range(0, len(x), 64 * 3):
        two.feed(x[at : at + 64 * 3])
    assert one.progress.alarms == two.progress.alarms
    assert one.progress.capital == two.progress.capital


@pytest.mark.slow
def test_every_option_counts(ships: Deployed, draw) -> None:
    normal, odd = draw(1000, 14), broken(draw(1600, 15), "temp", lambda c: c + 1.6)
    plain, _ = fed(ships, odd)
    assert of(plain, "temp").rows > 64
    strict, _ = fed(ships, odd, level=1e-9)
    loose, _ = fed(ships, odd, level=0.5)
    when = [of(one, "temp").row if one.open & {("column", "temp")} else 10**9 for one in (loose, plain, strict)]
    assert when[0] <= when[1] < when[2]
    assert of(fed(ships, odd, batch=100)[0], "temp").row % 100 == 0
    few, many = fed(ships, normal, rate=0.01)[0], fed(ships, normal, rate=0.2)[0]
    assert few.progress.flagged < 40
    assert 120 < many.progress.flagged < 280
    other = fed(ships, normal, seed=1)[0]
    assert other.progress.capital != few.progress.capital
    rows = cells(odd.loc[640:], ships.fields)
    moved = Reference.of(ships, [rows], rows)
    assert ("column", "temp") in fed(ships, normal, reference=moved)[0].open
    higher = Calibration.of(ships.needed().scores + 5, "others")
    assert ("threshold", "threshold") in fed(ships, normal, calibration=higher)[0].open


def test_what_cannot_be_watched_is_refused(ships: Deployed) -> None:
    with pytest.raises(BadInput, match=r"no reference.*--against"):
        Watch(Deployed.of(ships))
    with pytest.raises(BadInput, match="level"):
        Watch(ships, level=1.0)
    with pytest.raises(BadInput, match="block"):
        Watch(ships, batch=0)
    with pytest.raises(BadInput, match="calibration rows say nothing"):
        Watch(ships, rate=1e-6)


def test_a_model_without_codes_or_without_names_is_watched() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 4, 3))
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), x[:300], images=False)
    watch = Watch(Deployed.of(fitted, normal=x[300:]))
    assert len([one for one in watch.reference.channels if one.group == "column"]) == 12
    new = random.normal(size=(400, 4, 3))
    new[:, 1, 2] += 4
    assert watch.feed(new)
    assert {one.channel for one in watch.progress.alarms if one.group == "column"} == {watch.deployed.elements[5]}


@pytest.mark.slow
def test_streams_without_change_raise_alarms_no_more_often_than_stated() -> None:
    """At a level of 0.3, small references and mixed columns: the bound is for streams without end, so fewer."""
    model, count, level = None, 60, 0.3
    raised = 0
    for seed in range(count):
        random = np.random.default_rng([3, seed])

        def drawn(n: int, random=random) -> np.ndarray:
            x = random.normal(size=(n, 5))
            x[:, 1] += 2 * x[:, 0]
            x[:, 3], x[:, 4] = random.integers(0, 4, n), np.exp(2 * x[:, 4])
            return x

        model = model or isthmus.fit(isthmus.named("pca").set_params(latents=2), drawn(300))
        watch = Watch(Deployed.of(model, normal=drawn(200)), level=level)
        raised += bool(watch.feed(drawn(1200)))
    assert raised <= level * count + 3 * math.sqrt(level * (1 - level) * count)

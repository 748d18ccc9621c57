"""A model that is trained further under its guard: what helps is kept, what harms is refused; kills change nothing."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import isthmus
from forks import Command
from isthmus.cli import feed, main
from isthmus.errors import BadInput
from isthmus.monitor import adapt
from isthmus.monitor import state as states
from isthmus.monitor.adapt import bound, excess, retrained
from isthmus.monitor.gathered import Gathered
from isthmus.ship.artefact import load, save
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import Origin

NAMES = ("a", "b", "wave", "bent", "long", "low")
RATE = 0.05


def rows(n: int, seed: int, move: float | np.ndarray = 0.0) -> np.ndarray:
    """A curved surface in six columns; ``move`` is how far rows have gone along it."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=n) + move, random.normal(size=n)
    x = np.column_stack([a, b, np.sin(2 * a), np.cos(2 * a) + b, np.sin(a) + b / 2, np.cos(a) - b])
    return x + 0.1 * random.normal(size=x.shape)


def drifting(n: int, seed: int) -> np.ndarray:
    return rows(n, seed, np.linspace(0.2, 3.0, n))


@pytest.fixture(scope="module")
def curved() -> Deployed:
    x, plan = rows(2600, 0), isthmus.Plan(steps=800)
    recipe = isthmus.named("plain").set_params(latents=2, hidden=(32,))
    fitted = isthmus.fit(recipe, x[:1200], valid=x[1200:1600], plan=plan, columns=NAMES)
    return Deployed.of(fitted, x[:1200], x[1200:1600], x[1600:], rate=RATE)


@pytest.fixture(scope="module")
def found(curved: Deployed) -> adapt.Trained:
    return retrained(curved, drifting(4000, 1), rows(1500, 2), about="since Monday")


@pytest.mark.slow
def test_slow_drift_is_learnt_and_the_false_alarms_are_few_again(curved: Deployed, found: adapt.Trained) -> None:
    assert found.why == ""
    model = found.model
    assert model is not None
    fresh = drifting(2000, 3)  # nobody has seen these
    assert curved.flags(fresh).mean() > 3 * RATE
    rank = int(RATE * 1001)
    low, high = stats.betabinom(len(fresh), rank, 1001 - rank).ppf([0.001, 0.999]) / len(fresh)
    assert low <= model.flags(fresh).mean() <= high
    assert model.score_scaled(model.scaled(fresh)).mean() < 0.5 * curved.score_scaled(curved.scaled(fresh)).mean()
    old = rows(2000, 4)
    assert model.score_scaled(model.scaled(old)).mean() <= curved.score_scaled(curved.scaled(old)).mean()


@pytest.mark.slow
def test_what_the_guard_saw_is_told_and_what_ships_is_whole(curved: Deployed, found: adapt.Trained) -> None:
    model = found.model
    assert model is not None
    assert (found.rows, found.held, found.rate) == (2000, 750, RATE)
    assert found.error_after < found.error_before
    assert found.held_error_after <= found.held_error_before
    assert abs(found.after - RATE) < abs(found.before - RATE)
    assert model.needed().about == "since Monday"
    assert len(model.needed().scores) == 1000
    assert model.reference is not None
    assert model.reference.digest != curved.reference.digest
    assert model.layout == curved.layout
    assert model.crowd is not None
    assert model.recipe == curved.recipe


@pytest.mark.slow
def test_the_score_stays_as_it_was_made_and_the_origin_tells_of_the_training(curved: Deployed) -> None:
    from dataclasses import replace

    origin = Origin(data="d", digest="0" * 64, rows=1200)
    assert curved.crowd is not None
    crowd = replace(curved.crowd, weights=np.array([0.0, 0.0, 1.0]), nearest=3)
    new, old = drifting(4000, 1), rows(1500, 2)
    given = replace(curved, crowd=crowd, origin=origin).calibrated(rows(1000, 6), rate=RATE)
    model = retrained(given, new, old).model
    assert model is not None
    assert model.crowd is not None
    assert (model.crowd.weights.tolist(), model.crowd.nearest) == ([0.0, 0.0, 1.0], 3)
    assert model.origin is not None
    assert model.origin.refitted == 2750
    bare = retrained(replace(curved, crowd=None, units=None).calibrated(rows(1000, 6), rate=RATE), new, old).model
    assert bare is not None
    assert bare.crowd is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_poisoned_stream_is_refused(curved: Deployed, seed: int) -> None:
    """Constant garbage, and garbage that is everywhere: what is learnt of it is paid for by rows from before."""
    still = retrained(curved, np.full((2000, 6), 7.0), rows(1000, 5 + seed), seed=seed)
    noise = retrained(curved, np.random.default_rng(seed).uniform(-9, 9, (2000, 6)), rows(1000, 5 + seed), seed=seed)
    for one in (still, noise):
        assert one.model is None
        assert one.why in ("held", "flags")
        assert one.error_after < one.error_before  # on its own rows it is better, and that is not enough
    assert still.held_after > 0.5


@pytest.mark.slow
def test_seed_and_plan_count(curved: Deployed, found: adapt.Trained) -> None:
    new, old = drifting(4000, 1), rows(1500, 2)
    assert retrained(curved, new, old).error_after == found.error_after  # the same again, bit for bit
    short, other = (retrained(curved, new, old, plan=isthmus.Plan(steps=60), seed=seed) for seed in (0, 1))
    assert short.error_after > found.error_after
    assert other.error_before != short.error_before


@pytest.mark.slow
def test_what_cannot_be_trained_further_is_refused(curved: Deployed, ships: Deployed) -> None:
    with pytest.raises(BadInput, match=r"100 normal rows or more.*got 99.*--against"):
        retrained(curved, drifting(2000, 1), rows(99, 2))
    with pytest.raises(BadInput, match="calibration rows say nothing"):
        retrained(curved, drifting(40, 1), rows(200, 2))
    x = rows(400, 3)
    closed = isthmus.fit(isthmus.named("pca").set_params(latents=2), x[:200])
    with pytest.raises(BadInput, match="no steps to go on with"):
        retrained(Deployed.of(closed, normal=x[200:], rate=RATE), drifting(400, 1), rows(200, 2))


def test_the_guard_refuses_by_each_of_its_rules() -> None:
    random, n = np.random.default_rng(0), 400
    error, few = random.random(n), np.arange(n) < 20  # a twentieth is flagged
    none, many = np.zeros(n, bool), np.arange(n) < 60

    def refused(flags=((many, few), (few, few)), errors=((error, error / 2), (error, error))):
        return adapt._worse(RATE, 1000, [list(pair) for pair in flags], [list(pair) for pair in errors])

    assert refused() == ""
    assert refused(errors=((error, error / 2), (error, error + 0.001))) == "held"
    spread = error + np.where(np.arange(n) % 2, 4.0, -4.0)  # the mean is no larger, as far as one can tell
    assert refused(errors=((error, error / 2), (error, spread))) == "held"
    assert refused(flags=((many, few), (few, many))) == "flags"  # 15 %
    assert refused(flags=((many, few), (many, many))) == ""  # as before
    assert (
        refused(flags=((many, few), (few, np.arange(n) < 45))) == ""
    )  # a little more than twice the rate may be chance
    assert refused(errors=((error, error), (error, error))) == "new"
    assert refused(flags=((few, none), (few, few))) == "rate"


def test_bounds_are_those_of_the_laws() -> None:
    random = np.random.default_rng(0)
    d = random.normal(size=30)
    assert bound(d) == pytest.approx(stats.ttest_1samp(d, 0, alternative="less").confidence_interval(0.95).high)
    assert bound([1.0]) == np.inf
    scores = np.sort(random.random((4000, 99)), axis=1)  # thresholds of 99 calibration rows at a rate of a tenth
    flagged = (random.random((4000, 50)) > scores[:, -10:][:, :1]).sum(axis=1)
    share = float((flagged >= 9).mean())
    assert abs(share - excess(9, 50, 99, 0.1)) < 4 * np.sqrt(share / 4000)


def test_rows_that_are_gathered_hang_on_no_cut_and_are_bounded() -> None:
    x = np.arange(500)[:, None]
    whole, pieces = Gathered(most=40), Gathered(most=40)
    whole.put(x[:300], since=False)
    whole.put(x[300:], since=True)
    for start in range(0, 500, 7):
        part = x[start : min(start + 7, 300 if start < 300 else 500)]
        pieces.put(part, since=start >= 300)
        if start < 300 < start + 7:
            pieces.put(x[300 : start + 7], since=True)
        assert sum(map(len, pieces._before)) <= 80 + 7
        assert sum(map(len, pieces._since)) <= 40 + 7
    assert whole.before().ravel().tolist() == pieces.before().ravel().tolist()
    assert len(whole.before()) == 40
    assert whole.since().ravel().tolist() == pieces.since().ravel().tolist() == list(range(460, 500))
    assert len(np.unique(np.array([Gathered.before(one)[0] for one in (whole, pieces)]))) == 1
    assert Gathered(seed=1).since().size == Gathered().before().size == 0
    counts = np.zeros(50)
    for seed in range(400):
        one = Gathered(most=10, seed=seed)
        for start in range(50):
            one.put(x[start : start + 1], since=False)
        counts[one.before().ravel()] += 1
    assert stats.chisquare(counts).pvalue > 1e-3  # each row as likely as another


@pytest.fixture(scope="module")
def place(curved: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(curved, tmp_path_factory.mktemp("retrain") / "model")


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Normal rows at first; then they go where no row of the training was, column by column a little."""
    x = np.concatenate([rows(900, 10), drifting(2600, 11)])
    pd.DataFrame(x, columns=list(NAMES)).to_csv(tmp_path / "stream.csv", index=False)
    return tmp_path / "stream.csv"


@pytest.mark.slow
def test_it_is_trained_where_the_command_says(
    place: Path, stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curved: Deployed
) -> None:
    with pytest.raises(BadInput, match="device must be one of"):
        retrained(curved, rows(400, 3), rows(200, 4), device="abacus")
    asked: list[str] = []

    def trained(*given: object, device: str, **more: object) -> None:
        asked.append(device)
        raise BadInput("that is enough")

    monkeypatch.setattr("isthmus.monitor.adapt.retrained", trained)
    monkeypatch.setattr(Deployed, "placed", lambda self, device: asked.append(device) or self)
    run = ["monitor", str(place), str(stream), "--adapt", "train", "--out", str(tmp_path / "new")]
    assert main([*run, "--device", "cuda"]) == 2
    assert asked == ["cuda", "cuda"]


@pytest.mark.slow
def test_the_command_trains_and_the_new_model_is_calm(place: Path, stream: Path, tmp_path: Path, capsys) -> None:
    run = ["monitor", str(place), str(stream), "--json", "--adapt"]
    assert main([*run, "train", "--out", str(tmp_path / "new")]) == 1
    end = json.loads(capsys.readouterr().out.splitlines()[-1])["adapt"]
    assert (end["adapted"], end["why"], end["model"]) == (True, "", str(tmp_path / "new"))
    assert end["error_after"] < end["error_before"]
    assert end["held_error_after"] <= end["held_error_before"]
    assert "trained further on" in end["text"]
    made, old = load(tmp_path / "new"), load(place)
    fresh = drifting(1500, 12)
    assert made.flags(fresh).mean() < 0.5 * old.flags(fresh).mean()
    assert main([*run, "recalibrate", "--out", str(tmp_path / "only")]) == 1
    other = json.loads(capsys.readouterr().out.splitlines()[-1])["adapt"]
    assert "why" not in other
    same = load(tmp_path / "only")
    assert np.array_equal(same.score_scaled(same.scaled(fresh)), old.score_scaled(old.scaled(fresh)))


@pytest.mark.slow
def test_rows_of_a_file_are_the_held_reference(place: Path, stream: Path, tmp_path: Path, capsys) -> None:
    pd.DataFrame(rows(420, 13), columns=list(NAMES)).to_csv(tmp_path / "normal.csv", index=False)
    run = ["monitor", str(place), str(stream), "--json", "--adapt", "train", "--out", str(tmp_path / "new")]
    main([*run, "--against", str(tmp_path / "normal.csv")])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["adapt"]["held"] == 210
    drift = pd.read_csv(stream)[2000:]
    drift.to_csv(tmp_path / "late.csv", index=False)  # the alarm comes before a hundred rows have
    run[2] = str(tmp_path / "late.csv")
    assert main(run) == 2
    assert "--against FILE" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:these rows span")
def test_a_stream_that_is_poisoned_leaves_the_old_model(place: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """Nothing is asked of a stream whose columns stand still; and if it were, the guard would refuse."""
    x = np.concatenate([rows(900, 14), np.full((1200, 6), 7.0)])
    pd.DataFrame(x, columns=list(NAMES)).to_csv(tmp_path / "s.csv", index=False)
    run = ["monitor", str(place), str(tmp_path / "s.csv"), "--adapt", "train", "--out", str(tmp_path / "no")]
    assert main(run) == 1
    assert "not adapted: what comes in is broken" in capsys.readouterr().out
    monkeypatch.setattr("isthmus.monitor.breaks.ENOUGH", 10**9)  # as if nobody saw that they stand still
    monkeypatch.setattr("isthmus.monitor.advice.BROKEN", ())
    for lang, said in (("en", "not adapted: o"), ("zh", "未调整：保留的")):
        assert main([*run, "--lang", lang]) == 1
        assert said in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_killed_at_random_the_same_model_is_made(place: Path, stream: Path, tmp_path: Path, monkeypatch) -> None:
    """While rows are read, and while it is trained: rows that were counted are gathered again from the file."""
    run = ["monitor", str(place), str(stream), "--adapt", "train", "--state"]
    monkeypatch.setattr(feed, "PAUSE", 0.0)
    began = time.monotonic()
    assert main([*run, str(tmp_path / "whole.json"), "--out", str(tmp_path / "whole")]) == 1
    assert (
        states._parsed(tmp_path / "whole.json", (tmp_path / "whole.json").read_bytes()).sources[0].suspect is not None
    )
    took = time.monotonic() - began
    kept, made, random, kills = tmp_path / "killed.json", tmp_path / "killed", np.random.default_rng(0), 0
    (tmp_path / "in").mkdir()
    while True:
        begun = Command(*run, str(kept), "--out", str(made), cwd=tmp_path / "in")
        began, wait = time.monotonic(), random.uniform(0, took / 2)
        while begun.poll() is None and (not kept.exists() or time.monotonic() - began < wait):
            time.sleep(0.01)
        if begun.poll() is None and kills < 4:
            os.kill(begun.pid, signal.SIGKILL)
            kills += 1
        begun.communicate()
        if begun.returncode == 1:
            break
    assert kills > 1
    for one in sorted((tmp_path / "whole").iterdir()):
        assert one.read_bytes() == (made / one.name).read_bytes(), one.name
    assert kept.read_bytes() == (tmp_path / "whole.json").read_bytes()


@pytest.mark.slow
def test_where_the_alarm_was_is_kept_by_the_file(place: Path, stream: Path, tmp_path: Path, monkeypatch) -> None:
    """A run that goes on gathers what the run before it would have; so does one that had not been asked to adapt."""
    seen: list[tuple[int, int]] = []

    def noted(deployed, new, normal, **_):
        seen.append((len(new), len(normal)))
        return retrained(deployed, new, normal, plan=isthmus.Plan(steps=50))

    monkeypatch.setattr("isthmus.monitor.adapt.retrained", noted)
    monkeypatch.setattr(feed, "PAUSE", 0.0)
    table, part = pd.read_csv(stream), tmp_path / "part.csv"
    more = ["--state", str(tmp_path / "s.json"), "--out", str(tmp_path / "new")]
    main(["monitor", str(place), str(stream), "--adapt", "train", *more[2:]])
    for stop in (700, 1900, 3500):
        table[:stop].to_csv(part, index=False)
        main(["monitor", str(place), str(part), *more[:2]])
    main(["monitor", str(place), str(part), "--adapt", "train", *more])
    assert seen[0] == seen[1]
    assert sum(seen[0]) == 3500
    assert min(seen[0]) > 500


@pytest.mark.slow
def test_a_state_from_before_is_read(place: Path, stream: Path, tmp_path: Path) -> None:
    from isthmus.ship.manifest import seal

    kept = tmp_path / "s.json"
    main(["monitor", str(place), str(stream), "--state", str(kept)])
    data = {key: value for key, value in json.loads(kept.read_bytes()).items() if key != "seal"}
    for one in data["sources"]:
        del one["suspect"]
    kept.write_bytes(seal(data))
    assert main(["monitor", str(place), str(stream), "--state", str(kept)]) == 1
    assert json.loads(kept.read_bytes())["rows"] == 3500

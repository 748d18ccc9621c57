"""Time that is asked for is kept: with a clock that the tests turn themselves."""

import dataclasses
import time
from types import SimpleNamespace

import pyarrow as pa
import pytest

from isthmus.answers import racing as told
from isthmus.api.study import Study, compare
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.study.budget import Watch, afford, as_before, given_up, measured, taken_back
from isthmus.study.design import LEFT_OUT, design
from isthmus.study.estimate import (
    CHECKS,
    EACH,
    LEAST,
    SHARES,
    Done,
    Estimate,
    Piece,
    Reading,
    estimate,
    paced,
    probe,
    readings,
    shares_of,
)
from isthmus.study.jobs import by_replicate, one_by_one
from isthmus.study.material import prepare
from isthmus.study.outline import Outline, outline
from isthmus.study.racing import Round, raced
from isthmus.study.results import Results
from isthmus.study.run import run
from isthmus.study.store import Store


class Clock:
    """Stands still unless it is turned."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def piece(clock, cost, *, kind="facet", size=1.0, **more):
    """One whose share takes ``cost(share)`` seconds."""

    def do(share):
        clock.now += cost(share)

    return Piece(kind, size, do, **more)


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0, 1e4])
def test_probing_ends_in_time_however_large_the_study_is(size):
    clock = Clock()
    pieces = [piece(clock, lambda share, i=i: 0.01 + size * (i + 1) * share) for i in range(40)]
    probe(pieces, 10.0, clock)
    first = 0.01 + size / 64
    assert clock.now <= max(10.0 * 1.05 + 0.01, first)
    assert all(found.rest > 0 for found in readings(pieces))


def test_what_fits_is_known_exactly_and_what_does_not_in_proportion():
    clock = Clock()
    small, large = piece(clock, lambda share: 0.1 + share), piece(clock, lambda share: 0.2 + 100 * share)
    never = piece(clock, lambda share: 1e6, size=7.0, kind="rival")
    known = piece(clock, lambda share: 0.5, size=1.0, kind="rival")
    probe([small, large, known], 20.0, clock)
    never.seen.clear()
    found = readings([small, large, known, never])
    assert small.seen[-1][0] == 1.0
    assert large.seen[-1][0] < 1.0
    assert [one.rest for one in found[:3]] == pytest.approx([1.1, 100.2, 0.5])
    assert found[3].rest == pytest.approx(7 * 0.5)


def test_steps_are_no_rest_and_configurations_share_them():
    clock = Clock()

    def do(share):
        clock.now += 6.0
        return Done(step=0.1, steps=8, configs=4)

    one = Piece("family", 1.0, do, configs=4)
    probe([one], 100.0, clock, shares=(1.0,))
    assert one.reading() == pytest.approx(Reading(6.0 / 4 - 0.8, 0.1))


def test_a_piece_that_cannot_be_done_on_few_rows_is_left():
    clock = Clock()

    def fails(share):
        raise ValueError("too few")

    pieces = [piece(clock, lambda share: 1.0), Piece("facet", 3.0, fails)]
    probe(pieces, 10.0, clock)
    assert readings(pieces) == [Reading(1.0), Reading(3.0)]


def test_the_first_piece_is_done_in_any_time():
    clock = Clock()
    pieces = [piece(clock, lambda share: 5.0), piece(clock, lambda share: 5.0)]
    probe(pieces, 1e-9, clock)
    assert [len(one.seen) for one in pieces] == [1, 0]


def test_a_family_is_timed_in_any_time():
    clock = Clock()
    pieces = [piece(clock, lambda share: 5.0, kind=kind) for kind in ("split", "rival", "family", "family")]
    probe(pieces, 1e-9, clock)
    assert [len(one.seen) for one in pieces] == [1, 0, 1, 0]


def test_what_does_not_grow_with_rows_is_not_extrapolated_in_proportion():
    clock = Clock()
    wide = piece(clock, lambda share: 5.0 + share)
    probe([piece(clock, lambda share: 0.1), wide], 30.0, clock)
    assert wide.seen[-1][0] == 1.0


def test_what_trains_again_for_longer_than_there_is_is_not_begun():
    clock = Clock()
    pieces = [piece(clock, lambda share: 0.1), piece(clock, lambda share: 0.1, extra=20.0)]
    probe(pieces, 10.0, clock)
    assert not pieces[1].seen


def test_the_recording_of_a_step_does_not_grow_with_rows():
    one = Piece("family", 1.0, lambda share: None, seen=[(0.1, 2.0, 0.01)])
    assert one.reading() == Reading(2.0, 0.01)
    closed = Piece("family", 1.0, lambda share: None, seen=[(0.1, 2.0, 0.0)])
    assert closed.reading() == Reading(pytest.approx(20.0), 0.0)


@pytest.mark.slow
def test_a_rival_that_is_bounded_says_nothing_about_others():
    """Sparse coding takes up to 20 s; the others, which take no time, are timed all the same."""
    data = read("digits")
    found = estimate(data, design(data, families="plain", facets="reconstruction,anomaly", racing=False), limit=8.0)
    assert 0 < found.rivals["anomaly", "knn"] < found.rivals["reconstruction", "sparse coding"] / 3


def test_few_rows_are_not_probed_twice():
    assert shares_of(150) == [1.0]
    assert shares_of(10**6) == list(SHARES)
    assert all(share * 1797 >= sum(LEAST) for share in shares_of(1797))


@pytest.fixture(scope="module")
def planned():
    return design(read("iris"), families="plain,vae,topk", replicates=5, configs=6, racing=True)


def costs(step=1e-3, facet=0.1, rival=0.1, workers=1):
    """An estimate of any study."""
    everybody = ("plain", "vae", "topk", "pca")
    return Estimate(
        {name: Reading(0.01, 0.0 if name == "pca" else step) for name in everybody},
        dict.fromkeys(FACETS, facet / 10),
        dict.fromkeys(FACETS, facet),
        {(f, r): rival for f in FACETS for r in FACETS[f].rivals},
        0.01,
        workers,
    )


def test_what_fits_is_left_as_it_is(planned):
    assert afford(planned, costs(), 1e6) == planned
    assert given_up(planned, planned) == {}


@pytest.mark.parametrize("left", [1e5, 3000.0, 1000.0, 300.0, 100.0, 30.0])
def test_a_study_shrinks_until_it_fits_in_the_order_that_is_said(planned, left):
    found = costs()
    kept = afford(planned, found, left)
    gone = given_up(planned, kept)
    assert found.seconds(kept) <= left or kept.plan["steps"] == kept.plan["check"]
    assert kept.plan["steps"] % kept.plan["check"] == 0
    if "replicates" in gone:
        assert kept.configs == 1
    if "facets" in gone:
        assert kept.replicates <= 3
        describing = [f for f in planned.facets if not FACETS[f].crowns]
        assert gone["facets"] == [f for f in planned.facets if f in gone["facets"]]
        assert len(set(gone["facets"]) & set(describing)) == min(len(describing), len(gone["facets"]))
    if "families" in gone:
        assert len(kept.facets) == 1
    assert as_before(planned, {"given_up": gone}) == kept


def test_a_slow_rival_goes_before_any_question_and_what_tables_rest_on_stays(planned):
    """Sparse coding takes 500 s where all else takes tenths of one; so would rounding, which compression rests on."""
    found = costs()
    slow = {key: 500.0 for key in found.rivals if key[1] in {"sparse coding", "rounding"}}
    found = dataclasses.replace(found, rivals={**found.rivals, **slow})
    kept = afford(planned, found, 3000.0)
    gone = given_up(planned, kept)
    assert gone["rivals"] == ["sparse coding"]
    assert kept.rivals_of("reconstruction") == []
    assert "reconstruction" in kept.facets
    assert "rounding" in planned.rivals_of("compression")
    assert as_before(planned, {"given_up": gone}) == kept
    assert "rivals" not in given_up(planned, afford(planned, found, 1e6))


@pytest.mark.parametrize("source", ["iris", "diabetes"])
def test_what_labels_were_given_for_is_given_up_last_however_dear(source):
    asked = design(read(source), families="plain", replicates=3, configs=1, racing=True)
    dear = dataclasses.replace(costs(), facets={name: 1e4 * FACETS[name].labels + 0.1 for name in FACETS})
    kept = afford(asked, dear, 60.0)
    assert {FACETS[facet].labels for facet in kept.facets} == {source == "iris"}


@pytest.mark.parametrize(("anomaly", "last"), [(None, "features"), ("virginica", "anomaly")])
def test_classes_are_to_be_told_apart_and_one_that_is_named_as_anomalous_is_to_be_found(anomaly, last):
    data = read("iris", anomaly=anomaly)
    planned = design(data, families="plain", facets="reconstruction,anomaly,features,generation")
    for dearer in ("features", "anomaly"):
        prices = {name: (2.0 if name == dearer else 1.0) * 1e4 for name in FACETS}
        kept = afford(planned, dataclasses.replace(costs(), facets=prices), 60.0)
        assert kept.facets == [last]
    left = dict.fromkeys(["anomaly", "features", "generation"], LEFT_OUT)
    kept = dataclasses.replace(planned, facets=["reconstruction"], skipped=left)
    assert taken_back(kept, [], lambda jobs: True).asked[0] == last


def test_what_is_usual_for_rows_of_a_form_stays_however_slow():
    rows = {"a": [i / 7 for i in range(90)], "k": ["x", "y", "z"] * 30}
    asked = design(read(pa.table(rows)), families="plain,vae", facets="generation", racing=False)
    found = costs()
    slow = {("generation", name): 50.0 for name in ("mixed-type mixture", "gaussian mixture")}
    kept = afford(asked, dataclasses.replace(found, rivals={**found.rivals, **slow}), 200.0)
    assert "mixed-type mixture" in kept.rivals_of("generation")
    assert "gaussian mixture" not in kept.rivals_of("generation")


@pytest.mark.slow
def test_with_no_time_at_all_the_smallest_study_is_left(planned):
    kept = afford(planned, costs(), 0.0)
    assert list(kept.families) == ["plain", "pca"]
    assert (len(kept.facets), kept.replicates, kept.configs, kept.plan["steps"]) == (1, 2, 1, 50)
    assert FACETS[kept.facets[0]].crowns


def test_the_clock_is_that_of_all_workers(planned):
    assert afford(planned, costs(workers=1), 1000.0).configs <= afford(planned, costs(workers=4), 1000.0).configs
    assert costs(workers=4).seconds(planned) < costs().seconds(planned) / 3


def test_trainings_are_counted_by_what_depends_on_them(planned):
    """Steps, configurations, replicates, rivals, and the two further trainings of stability."""
    found = costs(step=1.0, facet=0.0, rival=0.0)
    whole = found.seconds(planned)
    assert whole == pytest.approx(found.seconds(dataclasses.replace(planned, replicates=10)) / 2, rel=0.01)
    stable = dataclasses.replace(
        planned, facets=["stability"], configs=1, families={"plain": planned.families["plain"][:1]}
    )
    assert found.seconds(stable) == pytest.approx(5 * 3 * 2500, rel=0.01)
    with_rivals = costs(step=0.0, facet=0.0, rival=10.0)
    assert with_rivals.seconds(dataclasses.replace(planned, rivals=[])) < with_rivals.seconds(planned) / 50


@pytest.mark.slow
def test_an_estimate_of_real_data_knows_every_job():
    data = read("iris")
    small = design(data, families="plain", facets="reconstruction,anomaly,stability", replicates=2, configs=2)
    heard = []
    found = estimate(data, small, workers=1, tell=heard.append)
    assert all(found.job(job) > 0 for job in small.jobs())
    assert heard == sorted(heard)
    longer = dataclasses.replace(small, plan={**small.plan, "steps": 5000})
    assert found.seconds(longer) > found.seconds(small)


def test_loading_a_library_counts_as_probing_and_for_no_piece(monkeypatch):
    """Each library takes 3 s of a clock that nothing else turns: all pieces are for free, and the limit is over."""
    clock, loaded = Clock(), []

    def slow(name):
        clock.now += 3.0
        loaded.append(name)

    monkeypatch.setattr("isthmus.study.estimate.import_module", slow)
    data = read("iris")
    small = design(data, families="plain", facets="reconstruction", replicates=2, configs=1)
    found = estimate(data, small, workers=1, limit=1.0, clock=clock)
    assert found.took == 3.0 * len(loaded) > 1.0
    assert found.split == 0.0
    assert found.families["plain"].step == 0.0  # there was no time left to train


# --------------------------------------------------------------------------------------------------------- the watch


def order(jobs, watch, clock, seconds):
    """Whom a single worker does, one after the other."""
    done = []
    for job in one_by_one(jobs, {}, watch):
        done.append(job)
        clock.now += seconds(job)
    return done


def test_what_no_longer_fits_is_not_begun(planned):
    clock, jobs = Clock(), planned.jobs()
    one = [job for job in jobs if job.name.replicate == 0]
    watch = Watch(2.5 * len(one), 1, lambda job: 1.0, "plain", clock)
    done = order(jobs, watch, clock, lambda job: 1.0)
    assert {job.name.replicate for job in done} == {0, 1}
    assert len(done) == 2 * len(one)  # of the third nothing: it does not fit whole
    assert clock.now <= watch.deadline


def test_the_first_replicate_gives_the_rivals_and_one_family_in_any_time(planned):
    clock = Clock()
    done = order(planned.jobs(), Watch(0.0, 1, lambda job: 1.0, "plain", clock), clock, lambda job: 1.0)
    assert {job.name.replicate for job in done} == {0}
    assert {job.name.name for job in done if job.name.kind == "family"} == {"pca", "plain"}
    assert {(j.name.facet, j.name.name) for j in done if j.name.kind == "rival"} == {
        (f, r) for f in planned.facets for r in planned.rivals_of(f)
    }


def test_what_runs_really_took_counts_more_than_what_was_probed(planned):
    clock, jobs = Clock(), planned.jobs()
    second = {1: by_replicate(jobs)[1]}
    watch = Watch(1.0, 1, lambda job: 1e-6, "plain", clock)
    slow = {(n.kind, n.name, n.view, n.facet): 100.0 for n in (job.name for job in jobs)}
    assert watch(second, slow) is None
    assert watch(second, {}) is not None


def test_on_a_machine_that_has_become_slow_all_that_is_still_open_takes_longer(planned):
    """Where plain took ten times as long as was thought, so will the others: 5 s do not hold what should take 1 s."""
    clock, jobs = Clock(), by_replicate([job for job in planned.jobs() if job.name.name in {"vae", "topk"}])
    plain = next(job.name for job in planned.jobs() if job.name.name == "plain" and job.name.view == "all")
    watch = Watch(5.0, 1, lambda job: 1.0, "plain", clock)
    assert watch({0: [job for job in planned.jobs() if job.name == plain]}, {}) is not None
    assert watch(jobs, {}) is not None
    assert watch(jobs, {(plain.kind, plain.name, plain.view, plain.facet): 10.0}) is None


def test_ten_times_as_many_runs_are_chosen_by_ten_times_as_many_looks(planned):
    looks = []
    for count in (4, 40):
        jobs, seen = dataclasses.replace(planned, replicates=count).jobs(), []
        watch = Watch(1e9, 1, lambda job, seen=seen: seen.append(job) or 1.0, "plain", Clock())
        assert len(list(one_by_one(jobs, {}, watch))) == len(jobs)
        looks.append(len(seen))
    assert looks[1] <= 11 * looks[0]


def test_a_study_ends_in_time_with_a_result_and_says_what_is_missing(tmp_path):
    """Every run takes 30 s of a clock that only runs turn: 80 s hold the first replicate of three, no more."""
    clock, data = Clock(), read("iris")
    small = design(data, families="plain", facets="reconstruction", replicates=4, configs=1, racing=True)
    small = dataclasses.replace(small, plan={**small.plan, "steps": 50})
    note = {"source": "iris", "budget": 80.0, "planning": 0.0, "given_up": {"configs": [6, 1]}}
    note["prices"] = dataclasses.replace(costs(step=0.0, facet=0.0, rival=0.0), split=30.0).to_json()
    asked = SimpleNamespace(count=0)

    def heard(job, record, done, total):
        asked.count += 1
        clock.now += 30.0

    found = run(Outline(data, small, tmp_path / "study", note), workers=1, progress=heard, clock=clock)
    study = Study.of(found)
    assert asked.count == 3
    assert (study.whole, study.total, len(study.records)) == (1, 12, 3)
    assert not study.rounds
    assert study.verdict()["reconstruction"].kind == "undecided"
    lines = told.lines(study)
    assert lines[0] == (
        "To stay within its time limit, the study was reduced: 1 instead of 6 configurations of each family."
    )
    assert "9 of 12 runs" in lines[1]
    assert "Complete replicates: 1. A claim needs at least 3" in lines[2]
    assert "9 of 12 runs" in study.report().read_text(encoding="utf-8")
    assert len(told.lines(study, "zh")) == len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("slow", [1.0, 1.6, 100.0])
def test_a_study_that_is_slower_than_was_thought_keeps_its_replicates_and_gives_contenders_up(
    tmp_path, monkeypatch, slow
):
    """Three replicates of 6 runs of 5 s fit into 100 s. Where a run takes 8 s, those of fewer families do; where it
    takes 500 s, nothing does, and the first replicate gets what it gets in any time."""
    clock, data = Clock(), read("iris")
    asked = {"facets": "reconstruction", "replicates": 3, "configs": 1, "rivals": "pca"}
    whole = design(data, families="plain,l1,vae,topk,denoising", racing=True, **asked)
    whole = dataclasses.replace(whole, plan={**whole.plan, "steps": 30})
    note = {"source": "iris", "budget": 1.2 * 100, "planning": 0.0, "given_up": {"configs": [6, 1]}}
    note["prices"] = dataclasses.replace(costs(step=0.0, facet=0.0, rival=0.0), split=5.0).to_json()

    commit = Store.commit

    def heard(job, record, done, total):
        clock.now += 5.0 * slow

    def slowly(store, record, fill=None):
        return commit(store, record.model_copy(update={"seconds": 5.0 * slow}), fill)

    monkeypatch.setattr(Store, "commit", slowly)
    outline = Outline(data, whole, tmp_path / "study", note)
    took = {"workers": 1, "progress": heard, "clock": clock}
    found = run(outline, **took)
    kept = [name for name in found.design.families if name != "pca"]
    if slow == 1.0:
        assert found.note["given_up"] == {"configs": [6, 1]}
        assert (len(kept), found.whole) == (5, 3)
    elif slow == 1.6:
        assert found.complete
        assert clock.now <= 108.0
        assert (kept, found.whole) == (["plain", "l1", "vae"], 3)
        assert found.note["given_up"] == {"configs": [6, 1], "families": ["topk", "denoising"]}
        assert "no runs of TopK and denoising" in told.lines(Study.of(found))[0]
        verdict = found.verdict()["reconstruction"]
        assert verdict.means.keys() | verdict.excluded.keys() == {"pca", "plain", "l1", "vae"}
        assert not verdict.missing
        again = run(outline._replace(design=found.design, note=note | {"given_up": found.note["given_up"]}), **took)
        assert again.total == found.total
        assert as_before(whole, found.note).families == found.design.families
    else:
        assert found.whole == 1
        assert len(kept) == 5
        assert len(found.records) < found.total


# ------------------------------------------------------------------------------------------------ what is taken back


def reduced(budget, families="plain", left=("features", "cost"), each=1e4):
    """A study of iris that gave all questions up but one, because each run was thought to take so many seconds."""
    data = read("iris")
    asked = {"facets": ["reconstruction", *left], "replicates": 3, "configs": 1, "rivals": "pca"}
    whole = design(data, families=families, racing=True, **asked)
    whole = dataclasses.replace(whole, plan={**whole.plan, "steps": 50})
    small = dataclasses.replace(whole, facets=["reconstruction"], skipped=dict.fromkeys(left, LEFT_OUT))
    prices = dataclasses.replace(costs(step=0.0, facet=0.0, rival=0.0), split=each)
    note = {"source": "iris", "budget": budget, "planning": 0.0, "prices": prices.to_json()}
    return data, small, note | {"given_up": given_up(whole, small)}


def test_questions_come_back_in_the_order_of_the_purposes_as_far_as_they_fit():
    _, small, _ = reduced(100.0, left=("cost", "generation", "features"))
    offered = []

    def fits(jobs):
        offered.append({facet for job in jobs for facet in job.facets})
        assert len(jobs) == 6  # two families in all three replicates: each is trained once for all that comes back
        return "generation" not in offered[-1]

    found = taken_back(small, [], fits)
    assert found == Round((), {}, ("features", "cost"))
    assert offered == [{"features"}, {"features", "generation"}, {"features", "cost"}]
    assert taken_back(small, [found], lambda jobs: True) == Round((), {}, ("generation",))
    assert taken_back(small, [found], lambda jobs: False) is None


def test_what_is_planned_keeps_its_jobs_when_questions_come_back():
    _, small, _ = reduced(100.0, left=("cost", "generation", "features"))
    back = small.asking([Round((), {}, ("cost", "features"))])
    assert (back.facets, list(back.skipped)) == (["reconstruction", "features", "cost"], ["generation"])
    assert back.to_json() == small.to_json()
    assert back.asking(()) == small
    before, after = small.jobs(), back.jobs()
    assert {job.id for job in before} < {job.id for job in after}
    added = [job for job in after if job not in before]
    assert {job.facets for job in added} == {("features", "cost")}
    assert [job.seed("training") for job in added] == [job.seed("training") for job in before]  # the same models again
    with pytest.raises(BadInput, match="asks about anomaly, which was not left out for time"):
        small.asking([Round((), {}, ("anomaly",))])


def test_what_is_measured_corrects_what_was_thought():
    _, small, _ = reduced(100.0)
    jobs = small.jobs()
    prices = costs(step=0.0, facet=0.0)
    ended = [SimpleNamespace(id=job.id, job=job.name, seconds=prices.job(job) / 4) for job in jobs[:3]]
    assert measured(prices, jobs, ended)(jobs[-1]) == pytest.approx(prices.job(jobs[-1]) / 4)
    assert measured(prices, jobs, [])(jobs[-1]) == prices.job(jobs[-1])


def test_a_clock_of_a_study_file_is_read_back():
    found = costs(rival=0.3)
    assert Estimate.from_json(found.to_json()) == found


@pytest.mark.slow
def test_time_that_is_left_takes_questions_back_before_more_replicates(tmp_path, monkeypatch):
    """Runs were thought to take ten times the budget and took no time; of what came back each takes 60 s of 1,000."""
    looked, clock = [], Clock()
    data, small, note = reduced(1000.0)
    monkeypatch.setattr(Results, "open", lambda self: looked.append(self.design.facets) or {})

    def heard(job, record, done, total):
        clock.now += 60.0 * (job.facets != ("reconstruction",))

    found = run(Outline(data, small, tmp_path / "s", note), workers=1, progress=heard, clock=clock)
    assert looked == [["reconstruction", "features", "cost"]]  # at scores only once all had come back
    assert found.rounds == [Round((), {}, ("features", "cost"))]
    assert found.complete
    assert (found.whole, found.replicates, found.looks("features")) == (3, 3, raced(0))
    assert found.verdict()["features"].replicates == 3
    assert found.design.skipped == {}
    assert Store(found.folder).design()["facets"] == ["reconstruction"]
    study = Study.of(found)
    assert (
        told.lines(study)[0]
        == "Time was left, so questions that had been left out were asked after all: Features and Cost."
    )
    assert "补作评测" in told.lines(study, "zh")[0]
    page = study.report().read_text(encoding="utf-8")
    assert "asked after all" in page
    assert LEFT_OUT not in page
    assert "without a finite number" not in page  # runs of what came back lack no number of what had been asked
    again = run(Outline(data, small, tmp_path / "s", note), workers=1, progress=heard, clock=clock)
    assert (again.total, again.rounds) == (found.total, found.rounds)


@pytest.mark.slow
def test_what_came_back_and_has_no_time_left_stays_unanswered_and_harms_nothing(tmp_path, monkeypatch):
    """The first run of what came back takes all the time: of the others none is begun, not even in replicate one."""
    monkeypatch.setattr(Results, "open", lambda self: {})
    clock = Clock()
    data, small, note = reduced(1000.0, families="plain,l1", each=90.0)

    def heard(job, record, done, total):
        clock.now += 2000.0 * (job.facets != ("reconstruction",))

    found = run(Outline(data, small, tmp_path / "s", note), workers=1, progress=heard, clock=clock)
    begun = [record for record in found.records if "features" in record.facets]
    assert len(begun) <= 2  # the second is chosen before the first has ended
    assert found.whole == 3
    assert found.verdict()["reconstruction"].replicates == 3
    assert list(found.verdict()) == ["reconstruction"]
    assert found.design.skipped == dict.fromkeys(("features", "cost"), LEFT_OUT)
    assert "Features and Cost not measured" in told.lines(Study.of(found))[0]
    late = run(Outline(data, small, tmp_path / "s", note), workers=1, clock=clock)  # the same command goes on with it
    assert late.complete
    assert list(late.verdict()) == ["reconstruction", "features", "cost"]


def test_without_time_nothing_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(Results, "open", lambda self: {})
    clock = Clock()
    data, small, note = reduced(1000.0)

    def heard(job, record, done, total):
        clock.now = 899.99

    found = run(Outline(data, small, tmp_path / "s", note), workers=1, progress=heard, clock=clock)
    assert found.rounds == []
    assert "Features and Cost not measured" in told.lines(Study.of(found))[0]


def test_a_budget_counts_from_the_command_and_keeps_a_part_for_the_report(tmp_path, monkeypatch):
    """What was spent before counts as planning; in the last tenth no replicate is begun, however quick it would be."""
    data, clock = read("iris"), Clock()
    asked = {"families": "plain", "facets": "reconstruction", "configs": 1, "budget": "100s"}
    monkeypatch.setattr("isthmus.study.outline.estimate", lambda *_, **__: costs())
    early = outline(data, **asked, out=tmp_path / "late", began=time.perf_counter() - 40)
    assert early.note["planning"] >= 40
    small = design(data, families="plain", facets="reconstruction", rivals="none", replicates=4, configs=1, racing=True)
    small = dataclasses.replace(small, plan={**small.plan, "steps": 50})
    note = {"source": "iris", "budget": 100.0, "planning": 0.0, "given_up": {}}
    note["prices"] = dataclasses.replace(costs(step=0.0, facet=0.0, rival=0.0), split=1.0).to_json()

    def heard(job, record, done, total):
        clock.now = 92.0

    found = run(Outline(data, small, tmp_path / "study", note), workers=1, progress=heard, clock=clock)
    assert {record.job.replicate for record in found.records} <= {0, 1}  # two are chosen before the first begins


def test_a_training_is_watched_for_two_steps_however_late_it_is():
    """The first one is recorded: a study of pictures would seem to take days by it."""
    data = read("iris")
    job = next(j for j in design(data, families="plain", facets="reconstruction").jobs() if j.name.name == "plain")
    clock = Ticking()
    watched = [paced(job, data, prepare(job, data), 1.0, 1, clock, clock.now + left) for left in (0.0, 1e9)]
    assert [steps for _, _, steps in watched] == [2, CHECKS * EACH]
    assert watched[0][1] == pytest.approx(watched[1][1])


class Ticking:
    """A clock that moves a little whenever it is read."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-3
        return self.now


# ---------------------------------------------------------------------------------------------------------- rivals


@pytest.mark.slow
def test_rivals_are_chosen_by_name(tmp_path):
    data = read("iris")
    options = {"families": "plain", "facets": "reconstruction,anomaly", "replicates": 2, "configs": 1}
    there = {
        asked: {job.name.name for job in design(data, rivals=asked, **options).jobs()} - {"plain"}
        for asked in ("all", "none", "knn", "pca,sparse coding")
    }
    detectors = set(FACETS["anomaly"].rivals_on())
    assert {"isolation forest", "knn", "lof"} <= detectors
    assert there["all"] == {"pca", "sparse coding"} | detectors
    assert there["none"] == set()
    assert there["knn"] == {"knn"}
    assert there["pca,sparse coding"] == {"pca", "sparse coding"}
    with pytest.raises(BadInput, match=r"unknown rival 'spares coding' \(did you mean 'sparse coding'"):
        design(data, rivals=["spares coding"], **options)
    alone = compare("iris", rivals="none", out=tmp_path / "alone", jobs=1, steps=50, **options)
    assert {v.outcome for v in alone.verdict().values()} <= {"no contest", "no evidence"}
    assert alone.complete
    page = alone.report().read_text(encoding="utf-8")
    assert "Rivals that took part" in page

"""Under a planted shift unweighted p-values raise false alarms, and weighted ones raise as many as was asked."""

from pathlib import Path

import numpy as np
import pyarrow.csv as pacsv
import pytest
from scipy.stats import binom

import isthmus
from isthmus.cli import main
from isthmus.data.blocks import some
from isthmus.errors import BadInput
from isthmus.ship import calibrate
from isthmus.ship.artefact import save
from isthmus.ship.deployed import Deployed
from isthmus.ship.shift import LEAST, ROWS, Ratio, Shift, seen

RATE, RUNS, BEFORE, AFTER = 0.1, 400, 0.0, 1.0


def rows(random: np.random.Generator, n: int, mean: float) -> np.ndarray:
    """Two columns (n, 2): what shifts, and what is noisier where the first is larger."""
    at = random.normal(mean, 1.0, n)
    return np.column_stack([at, np.exp(0.7 * at) * random.normal(size=n)])


def within(count: int, share: float) -> bool:
    """Whether a count lies in the middle 99.9 % of its binomial law."""
    low, high = binom.interval(0.999, RUNS, share)
    return bool(low <= count <= high)


def test_the_known_ratio_keeps_the_rate() -> None:
    """Of normal laws one apart it is exp(x - 1/2); a new row each, over draws of calibration rows."""
    random, plain, weighted = np.random.default_rng(0), 0, 0
    for _ in range(RUNS):
        known, new = rows(random, 300, BEFORE), rows(random, 1, AFTER)
        scores, asked = np.abs(known[:, 1]), np.abs(new[:, 1])
        weights, own = np.exp(known[:, 0] - 0.5), np.exp(new[:, 0] - 0.5)
        plain += int(calibrate.p_values(scores, asked)[0] <= RATE)
        weighted += int(calibrate.weighted_p_values(scores, asked, weights, own)[0] <= RATE)
    assert within(weighted, RATE)
    assert not within(plain, RATE)
    assert plain > 1.5 * weighted


@pytest.mark.slow
def test_the_ratio_that_a_classifier_finds_keeps_it_too() -> None:
    """As above, where only rows of both populations are known: what the shell does with --against and --shift."""
    random, plain, weighted = np.random.default_rng(1), 0, 0
    for _ in range(RUNS):
        known, other, new = rows(random, 300, BEFORE), rows(random, 300, AFTER), rows(random, 1, AFTER)
        shift = Shift(np.abs(known[:, 1]), (ratio := Ratio.of(known[:, :1], other[:, :1])).at(known[:, :1]), ratio)
        plain += int(calibrate.p_values(shift.scores, np.abs(new[:, 1]))[0] <= RATE)
        weighted += int(shift.p_values(np.abs(new[:, 1]), ratio.at(new[:, :1]))[0] <= RATE)
    assert within(weighted, RATE)
    assert not within(plain, RATE)


def test_the_ratio_is_that_of_the_densities() -> None:
    """Of normal laws of other means and variances, up to a factor, which p-values do not know."""
    random = np.random.default_rng(2)
    ratio = Ratio.of(random.normal(size=(20_000, 1)), random.normal(0.5, 0.8, size=(20_000, 1)))
    at = np.linspace(-1.5, 2, 50)
    exact = -0.5 * ((at - 0.5) / 0.8) ** 2 + 0.5 * at**2
    found = np.log(ratio.at(at[:, None]))
    np.testing.assert_allclose(found - found.mean(), exact - exact.mean(), atol=0.1)
    same = Ratio.of(random.normal(size=(5000, 3)), random.normal(size=(9000, 3)))
    np.testing.assert_allclose(same.at(random.normal(size=(100, 3))), 1.0, atol=0.3)
    far = ratio.at(np.array([[1e6], [1e7], [-1e9]]))
    assert far[0] == far[1]
    assert np.isfinite(far).all()


def test_equal_populations_change_nothing_much() -> None:
    random = np.random.default_rng(3)
    known, other = random.normal(size=(900, 2)), random.normal(size=(900, 2))
    ratio = Ratio.of(known, other)
    shift = Shift(known[:, 0], ratio.at(known), ratio)
    assert shift.rows > 0.95 * 900
    p = shift.p_values(other[:, 0], ratio.at(other))
    np.testing.assert_allclose(p, calibrate.p_values(known[:, 0], other[:, 0]), atol=0.06)
    one = Shift(known[:, 0], np.r_[1.0, np.zeros(899)], ratio)
    assert one.rows == 1
    assert shift.calibration("rows").rate == 0.01
    assert one.calibration("rows").rate == 0.5


def test_rows_are_drawn_in_the_memory_of_as_many() -> None:
    parts = [np.arange(i, i + 1000.0)[:, None] for i in range(0, 90_000, 1000)]
    found = some(iter(parts), ROWS)
    assert len(np.unique(found)) == ROWS
    assert abs(found.mean() - 45_000) < 1000
    np.testing.assert_array_equal(some(iter(parts), ROWS), found)
    np.testing.assert_array_equal(some(parts[:3], ROWS), np.vstack(parts[:3]))


def test_wide_rows_are_told_apart_by_their_codes() -> None:
    x = np.random.default_rng(4).normal(size=(80, 70))
    model = Deployed.of(isthmus.fit(isthmus.named("pca").set_params(latents=3), x))
    np.testing.assert_array_equal(seen(model, x), model.encode(x))
    narrow = Deployed.of(isthmus.fit(isthmus.named("pca").set_params(latents=3), x[:, :9]))
    np.testing.assert_array_equal(seen(narrow, x[:, :9]), narrow.scaled(x[:, :9]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random, place = np.random.default_rng(5), tmp_path_factory.mktemp("shift")
    for name, n, mean in (
        ("train", 2000, BEFORE),
        ("against", 1500, BEFORE),
        ("other", 1500, AFTER),
        ("new", 4000, AFTER),
    ):
        np.savetxt(place / f"{name}.csv", rows(random, n, mean), delimiter=",", header="size,error", comments="")
    x = np.loadtxt(place / "train.csv", delimiter=",", skiprows=1)
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=1), x, columns=("size", "error"))
    save(Deployed.of(fitted), place / "model")
    return place


def flagged(files: Path, *options: str) -> float:
    out = files / "out.csv"
    assert main(["flag", str(files / "model"), str(files / "new.csv"), "-o", str(out), *options, "--quiet"]) == 0
    return float(np.mean(pacsv.read_csv(out)["flag"].to_numpy()))


def test_the_shell_weighs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    against = "--rate", str(RATE), "--against", str(files / "against.csv")
    plain, weighted = flagged(files, *against), flagged(files, *against, "--shift", str(files / "other.csv"))
    assert plain > 2 * RATE
    assert 0.7 * RATE < weighted < 1.3 * RATE
    capsys.readouterr()
    call = [str(files / "model"), str(files / "new.csv"), "--against", str(files / "against.csv")]
    other = ["--shift", str(files / "other.csv")]
    assert main(["score", *call, *other, "-o", str(files / "s.csv")]) == 0
    assert main(["score", *call, "-o", str(files / "t.csv"), "--quiet"]) == 0
    p, bare = (pacsv.read_csv(files / name)["p_value"].to_numpy() for name in ("s.csv", "t.csv"))
    assert abs((p <= RATE).mean() - weighted) < 1e-9
    assert abs((bare <= RATE).mean() - plain) < 1e-9


def test_the_shell_finds_a_share_of_weighted_rows(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of the new population, of which every tenth is an anomaly: most of them are found, and few others."""
    new = np.loadtxt(files / "new.csv", delimiter=",", skiprows=1)[:1000]
    new[::10, 1] += 500
    lines = [f"{size},{error}" for size, error in new]
    (files / "odd.csv").write_text("\n".join(["size,error", *lines, ",3", ""]))
    call = [
        "flag",
        str(files / "model"),
        str(files / "odd.csv"),
        "--fdr",
        "0.2",
        "--against",
        str(files / "against.csv"),
    ]
    found = {}
    for name, options in (("plain", []), ("weighted", ["--shift", str(files / "other.csv")])):
        assert main([*call, *options, "-o", str(files / "flags.csv")]) == 0
        found[name] = pacsv.read_csv(files / "flags.csv")["flag"].to_numpy(zero_copy_only=False)
    odd = np.arange(1001) % 10 == 0
    odd[1000] = False
    capsys.readouterr()
    false = {name: (flags & ~odd).sum() / flags.sum() for name, flags in found.items()}
    assert false["plain"] > 0.4
    assert false["weighted"] < 0.3
    assert found["weighted"][odd].mean() > 0.9
    call[call.index("--fdr") + 1] = "0.0001"
    assert main([*call, "--shift", str(files / "other.csv"), "-o", str(files / "flags.csv")]) == 0
    assert "no row is flagged: worth" in capsys.readouterr().err
    assert not pacsv.read_csv(files / "flags.csv")["flag"].to_numpy(zero_copy_only=False).any()


def test_what_weights_cannot_do_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["flag", str(files / "model"), str(files / "new.csv"), "--shift", str(files / "other.csv")]
    given = ["flag", str(files / "model"), str(files / "new.csv"), "--weights", "known"]
    against = ["--against", str(files / "against.csv")]
    few = files / "few.csv"
    few.write_text("size,error\n" + "1,1\n" * (LEAST - 1))
    for options, words in (
        ([], "give the rows with --against"),
        ([*against, "--adapt"], "--shift and --adapt do not go together: one weighs"),
        (
            [*against, "--blocks", "10"],
            "--shift and --blocks do not go together: a weight is a ratio of the laws of one",
        ),
        ([*against, "--bound", "0.9"], "--shift and --bound do not go together: its law is that of ranks among rows"),
        ([*against, "--contamination", "0.1"], "--shift and --contamination do not go together"),
        (["--against", "-"], "give files instead of -"),
        (["--against", str(few)], f"need {LEAST} rows"),
        ([*against, "--rate", "0.0008"], "say nothing of a false-alarm rate"),
    ):
        assert main([*call, *options]) == 2
        assert words in capsys.readouterr().err
        if " do not go together" in words:
            assert main([*given, *options]) == 2
            assert words.replace("--shift", "--weights") in capsys.readouterr().err
    with pytest.raises(BadInput, match="each population"):
        Ratio.of(np.zeros((3, 1)), np.zeros((99, 1)))


@pytest.fixture(scope="module")
def weighing(files: Path) -> Path:
    """The same files with a column beside: the ratio of the two normal laws, times a factor that nothing hangs on."""
    for name in ("against", "new"):
        x = np.loadtxt(files / f"{name}.csv", delimiter=",", skiprows=1)
        held = np.column_stack([9 * np.exp(x[:, 0] - 0.5), x])
        np.savetxt(files / f"{name}-known.csv", held, "%.17g", ",", header="known,size,error", comments="")
    return files


def test_the_shell_takes_weights_that_are_known(weighing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """P-values are those of the formula, row for row; the rate is kept; without the weights it is not."""
    asked, known = weighing / "new-known.csv", weighing / "against-known.csv"
    call = [str(weighing / "model"), str(asked), "--against", str(known), "-o", str(weighing / "w.csv")]
    assert main(["flag", *call, "--weights", "known", "--rate", str(RATE)]) == 0
    got = pacsv.read_csv(weighing / "w.csv")
    assert got.column_names == ["known", "score", "p_value", "flag"]
    (before, w), (after, own) = (
        (np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:], np.loadtxt(path, delimiter=",", skiprows=1)[:, 0])
        for path in (known, asked)
    )
    model = isthmus.load(weighing / "model")
    scores, new = model.scores(before), model.scores(after)
    by_hand = [
        (w[scores >= s - 1e-5 * max(1, abs(s))].sum() + v) / (w.sum() + v) for s, v in zip(new, own, strict=True)
    ]
    np.testing.assert_allclose(got["p_value"].to_numpy(), by_hand, rtol=1e-9)
    flags = got["flag"].to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(flags, np.array(by_hand) <= RATE)
    assert 0.7 * RATE < flags.mean() < 1.3 * RATE
    assert main(["score", *call, "--weights", "known", "--quiet"]) == 0
    np.testing.assert_array_equal(pacsv.read_csv(weighing / "w.csv")["p_value"].to_numpy(), got["p_value"].to_numpy())
    assert main(["flag", *call, "--fdr", "0.2", "--weights", "known", "--quiet"]) == 0
    found = pacsv.read_csv(weighing / "w.csv")["flag"].to_numpy(zero_copy_only=False)
    given = Shift(scores, w)
    np.testing.assert_array_equal(found, given.discoveries(new, own, 0.2))
    capsys.readouterr()
    assert main(["flag", *call, "--fdr", "0.0001", "--weights", "known", "--quiet"]) == 0
    assert f"worth {int(w.sum() ** 2 / (w**2).sum()):,} calibration rows" in capsys.readouterr().err


def test_weights_go_with_rows_and_not_with_places(weighing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are read in many pieces, and a stream from stdin, say what one piece says."""
    call = ["flag", str(weighing / "model"), "--against", str(weighing / "against-known.csv"), "--weights", "known"]
    whole, cut = weighing / "whole.csv", weighing / "cut.csv"
    assert main([*call, str(weighing / "new-known.csv"), "-o", str(whole), "--quiet"]) == 0
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 1 << 12)
    with (weighing / "new-known.csv").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main([*call, "-", "-o", str(cut), "--quiet"]) == 0
    one, other = pacsv.read_csv(whole), pacsv.read_csv(cut)
    assert one["flag"] == other["flag"]
    assert one["known"] == other["known"]
    np.testing.assert_allclose(one["p_value"].to_numpy(), other["p_value"].to_numpy(), rtol=1e-9)


@pytest.mark.parametrize(
    ("column", "content", "words"),
    [
        (
            "known",
            "known,size,error\n1,1,1\n-2,1,1\n",
            "row 2, column 'known': expected a weight, a number of at least 0",
        ),
        ("known", "known,size,error\n1,1,1\n1,1,1\n,1,1\n", "row 3, column 'known': expected a weight"),
        ("known", "size,error\n1,1\n1,2\n", "new.csv: no column 'known', which holds the weights"),
        ("known", "known,size\n1,1\n1,2\n", "no column 'error', which the model was trained on"),
        ("known", "known,size,error\nmuch,1,1\nlittle,1,1\n", "column 'known'"),
        (
            "size",
            "size,error\n1,1\n1,2\n",
            "the model was trained on column 'size'; give weights as a column of their own",
        ),
    ],
)
def test_what_are_no_weights_is_refused(column, content, words, weighing: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "new.csv").write_text(content)
    call = ["flag", str(weighing / "model"), str(tmp_path / "new.csv"), "--weights", column]
    assert main([*call, "--against", str(weighing / "against-known.csv")]) == 2
    assert words in capsys.readouterr().err


def test_calibration_rows_need_their_weights_too(weighing: Path, tmp_path: Path, capsys) -> None:
    call = ["flag", str(weighing / "model"), str(weighing / "new-known.csv"), "--weights", "known"]
    nothing, array = tmp_path / "nothing.csv", tmp_path / "rows.npy"
    nothing.write_text("known,size,error\n" + "0,-1,1\n0,1,-1\n" * 100)
    np.save(array, np.ones((200, 2)))
    for options, words in (
        ([], "--weights weighs calibration rows, and the model holds their scores alone: give the rows with --against"),
        (["--against", str(weighing / "against.csv")], "no column 'known', which holds the weights"),
        (["--against", str(nothing)], "weights of the calibration rows must not all be 0"),
        (["--against", str(array)], "weights are a column, and this is no table"),
        (["--against", str(weighing / "against-known.csv"), "--rate", "0.0008"], "say nothing of a false-alarm rate"),
        (["--against", str(nothing), "--shift", str(nothing)], "one estimates the weights that the other gives"),
    ):
        assert main([*call, *options]) == 2
        assert words in capsys.readouterr().err


def one_by_one(known, scores, weights, own, level, share) -> np.ndarray:
    """What Jin and Candes write, as they write it: a p-value for each pair of rows."""
    m, mass = len(scores), weights.sum()
    sizes, p = np.zeros(m, int), calibrate.weighted_p_values(known, scores, weights, own)
    for j in range(m):
        others = [
            (weights[known >= scores[k]].sum() + own[j] * (scores[j] >= scores[k])) / (mass + own[j])
            for k in range(m)
            if k != j
        ]
        ranked = np.sort([0.0, *others])
        sizes[j] = max(r for r in range(1, m + 1) if ranked[r - 1] <= level * r / m * (1 + 1e-12))
    first = np.flatnonzero(p <= level * sizes / m * (1 + 1e-12))
    most = max((r for r in range(1, len(first) + 1) if (share * sizes[first] <= r).sum() >= r), default=0)
    return np.isin(np.arange(m), first[share * sizes[first] <= most])


@pytest.mark.parametrize("seed", range(30))
def test_weighted_discoveries_are_those_of_the_paper(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, m = random.integers(5, 60), random.integers(1, 40)
    known, scores = (
        random.normal(size=n).round(seed % 3),
        (random.normal(size=m) + 2 * (random.random(m) < 0.3)).round(seed % 3),
    )
    weights, own = random.exponential(size=n), random.exponential(size=m)
    level = float(random.choice([0.1, 0.3, 0.5]))
    share = np.random.default_rng(seed).random()
    expected = one_by_one(known, scores, weights, own, level, share)
    found = calibrate.weighted_discoveries(known, scores, weights, own, level, seed=seed)
    np.testing.assert_array_equal(found, expected)
    some = np.insert(scores, 0, np.nan)  # a row without a score is no row
    found = calibrate.weighted_discoveries(known, some, weights, np.insert(own, 0, 1.0), level, seed=seed)
    np.testing.assert_array_equal(found, [False, *expected])
    plain = calibrate.discoveries(calibrate.p_values(known, scores), level)
    np.testing.assert_array_equal(
        calibrate.weighted_discoveries(known, scores, 2 * np.ones(n), 2 * np.ones(m), level), plain
    )


def test_a_share_of_weighted_discoveries_is_false_and_of_unweighted_ones_more() -> None:
    """Batches with anomalies, of a population that is made up otherwise; the ratio of densities is known."""
    random, level = np.random.default_rng(4), 0.2
    shares = {"plain": [], "weighted": []}
    power = []
    for run in range(300):
        known, new = rows(random, 300, BEFORE), rows(random, 100, AFTER)
        odd = np.arange(100) < 20
        scores, asked = np.abs(known[:, 1]), np.abs(new[:, 1]) + 60 * odd
        own = np.exp(new[:, 0] - 0.5)
        found = {
            "plain": calibrate.discoveries(calibrate.p_values(scores, asked), level),
            "weighted": calibrate.weighted_discoveries(scores, asked, np.exp(known[:, 0] - 0.5), own, level, seed=run),
        }
        for name, flags in found.items():
            shares[name].append((flags & ~odd).sum() / max(1, flags.sum()))
        power.append(found["weighted"][odd].mean())
    error = 3 * np.std(shares["weighted"]) / len(power) ** 0.5
    assert np.mean(shares["weighted"]) <= level + error
    assert np.mean(shares["plain"]) > 1.3 * level
    assert np.mean(power) > 0.5

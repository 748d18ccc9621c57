"""State on the disk: a watch that is killed and goes on ends as one that was not; what is not a state is refused."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import isthmus
from forks import Command
from isthmus.cli import ends, feed, main
from isthmus.data.blocks import blocks, table_block
from isthmus.data.read import read
from isthmus.monitor import state as states
from isthmus.monitor.watch import Watch
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import seal


def told(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def stream(draw, tmp_path: Path) -> Path:
    table = draw(2500, 20)
    table.loc[1000:, "speed"] *= 3.6
    table.loc[1500:, "load"] = 1.25
    table.to_csv(tmp_path / "stream.csv", index=False)
    return tmp_path / "stream.csv"


def test_the_command_tells_alarms_advice_and_where_the_state_is(model: Path, stream: Path, capsys) -> None:
    place = stream.with_name("watch.json")
    assert main(["monitor", str(model), str(stream), "--state", str(place), "--json"]) == 1
    *alarms, end = told(capsys)
    assert {one["event"] for one in alarms} == {"alarm"}
    assert {("speed", "unit"), ("load", "constant")} <= {(one["channel"], one["what"]) for one in alarms}
    assert (end["event"], end["rows"], end["state"]) == ("end", 2500, str(place))
    assert end["advice"][0]["do"] == "look"
    assert set(end["advice"][0]["columns"]) == {"speed", "load"}
    assert main(["monitor", str(model), str(stream), "--state", str(place), "--lang", "zh"]) == 1
    out = capsys.readouterr().out
    assert "先检查列 'speed'、列 'load'" in out
    assert "已观察 2,500 行" in out  # the same file again: nothing is counted twice
    assert str(place) in out


def test_normal_rows_end_well(model: Path, draw, tmp_path: Path, capsys) -> None:
    draw(700, 21).to_csv(tmp_path / "ok.csv", index=False)
    assert main(["monitor", str(model), str(tmp_path / "ok.csv")]) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.slow
def test_a_file_that_grows_and_files_one_after_the_other(model: Path, draw, tmp_path: Path, capsys) -> None:
    table, place, parts = draw(900, 22), tmp_path / "watch.json", [tmp_path / "a.csv", tmp_path / "b.csv"]
    run = ["monitor", str(model), str(parts[0]), "--state", str(place), "--json"]
    for stop, count in ((130, 130), (130, 130), (500, 500)):
        table[:stop].to_csv(parts[0], index=False)
        main(run)
        assert told(capsys)[-1]["rows"] == count
    table[500:].to_csv(parts[1], index=False)
    for path, count in ((parts[1], 900), (parts[0], 900), (parts[1], 900)):
        main(["monitor", str(model), str(path), "--state", str(place), "--json"])
        assert told(capsys)[-1]["rows"] == count
    table[600:].to_csv(parts[0], index=False)  # another file of the same name
    main(run)
    assert told(capsys)[-1]["rows"] == 1200


@pytest.mark.slow
def test_a_file_that_was_cut_is_told(model: Path, draw, tmp_path: Path, capsys) -> None:
    table, path = draw(2000, 29), tmp_path / "a.csv"
    run = ["monitor", str(model), str(path), "--state", str(tmp_path / "watch.json")]
    table.to_csv(path, index=False)
    assert path.stat().st_size > states.HEAD
    main(run)
    table[:1900].to_csv(path, index=False)
    assert main(run) == 2
    assert "the file was cut" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_at_random_and_continued_is_as_if_it_had_not_been(
    model: Path, stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte: no row is lost, none counts twice, and the alarms are the same."""
    monkeypatch.setattr(feed, "PAUSE", 0.0)  # a state after each block
    run = ["monitor", str(model), str(stream), "--state"]
    assert main([*run, str(tmp_path / "whole.json")]) == 1
    place, random, rows = tmp_path / "killed.json", np.random.default_rng(0), [0]
    (tmp_path / "in").mkdir()
    while True:
        begun = Command(*run, str(place), cwd=tmp_path / "in")
        goal = rows[-1] + int(random.integers(1, 500))  # in rows, not in seconds: machines differ
        while begun.poll() is None and (not place.exists() or json.loads(place.read_bytes())["rows"] < goal):
            time.sleep(0.001)
        if begun.poll() is None:
            os.kill(begun.pid, signal.SIGKILL)
        begun.communicate()
        assert begun.returncode in (-signal.SIGKILL, 1)
        if begun.returncode == 1:
            break
        rows.append(json.loads(place.read_bytes())["rows"])
    assert len(rows) > 2
    assert rows == sorted(rows)
    assert place.read_bytes() == (tmp_path / "whole.json").read_bytes()


@pytest.fixture
def kept(ships, draw, tmp_path: Path) -> tuple[Path, Watch]:
    from isthmus.data.read import cells

    watch = Watch(ships)
    table = draw(500, 23)
    table.loc[200:, "speed"] += 9
    watch.feed(cells(table, ships.fields))
    place = tmp_path / "watch.json"
    states.save(place, watch, states.Kept(()))
    return place, watch


def test_a_state_comes_back_as_it_was(kept, ships) -> None:
    place, watch = kept
    again = Watch(ships)
    assert states.content(again, states.load(place, again)) == place.read_bytes()
    assert again.progress.alarms == watch.progress.alarms
    assert len(place.read_bytes()) < 200_000


HOSTILE = {
    "cut": lambda data, text: text[:-40],
    "empty": lambda data, text: b"",
    "edited": lambda data, text: text.replace(b'"rows": 500', b'"rows": 400'),
    "words": lambda data, text: b"no state at all\n" * 20,
    "kind": lambda data, text: seal({**data, "kind": "isthmus model"}),
    "newer": lambda data, text: seal({**data, "format": 9}),
    "negative": lambda data, text: seal({**data, "rows": -1}),
    "float": lambda data, text: seal({**data, "kept": 2.0}),
    "window": lambda data, text: seal({**data, "levels": [{"counts": [1], "sums": []}], "looks": [1]}),
    "looks": lambda data, text: seal({**data, "looks": []}),
    "waiting": lambda data, text: seal({**data, "waiting": 64}),
    "ranks": lambda data, text: seal({**data, "ranks": [1.0]}),
    "none": lambda data, text: seal({**data, "ranks": None}),
    "model": lambda data, text: seal({**data, "about": {**data["about"], "reference": "0" * 64}}),
    "level": lambda data, text: seal({**data, "about": {**data["about"], "level": 0.5}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_state_of_this_watch_is_refused_in_one_line(kept, model, draw, tmp_path, capsys, name) -> None:
    place, _ = kept
    text = place.read_bytes()
    data = {key: value for key, value in json.loads(text).items() if key != "seal"}
    made = HOSTILE[name](data, text)
    place.write_bytes(made)
    draw(100, 24).to_csv(tmp_path / "s.csv", index=False)
    assert main(["monitor", str(model), str(tmp_path / "s.csv"), "--state", str(place)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "watch.json" in err
    assert place.read_bytes() == made


@pytest.mark.slow
def test_mutants_of_a_state_are_refused(kept, ships) -> None:
    from isthmus.errors import BadInput

    place, _ = kept
    text, random = bytearray(place.read_bytes()), np.random.default_rng(0)
    for _ in range(200):
        mutant = bytearray(text)
        mutant[int(random.integers(len(text)))] ^= int(random.integers(1, 256))
        place.write_bytes(mutant)
        with pytest.raises(BadInput):
            states.load(place, Watch(ships))


def test_streams_that_are_none_are_refused_in_one_line(model: Path, draw, tmp_path: Path, capsys) -> None:
    draw(100, 25).rename(columns=str.upper).to_csv(tmp_path / "names.csv", index=False)
    text = draw(400, 26).astype({"speed": object})
    text.loc[300, "speed"] = "fast"
    text.to_csv(tmp_path / "text.csv", index=False)
    np.save(tmp_path / "wide.npy", np.zeros((5, 9)))
    (tmp_path / "pickle.csv").write_bytes(b"\x80\x04\x95\x00")
    for name in ("names.csv", "text.csv", "wide.npy", "pickle.csv", "gone.csv"):
        state = tmp_path / f"{name}.json"
        assert main(["monitor", str(model), str(tmp_path / name), "--state", str(state)]) == 2, name
        err = capsys.readouterr().err
        assert err.count("\n") == 1, name
    assert main(["monitor", str(model), str(tmp_path / "text.csv"), "--state", str(tmp_path)]) == 2
    assert "no place for a state" in capsys.readouterr().err


def test_files_of_gaps_alone_and_of_no_rows_are_watched(model: Path, draw, tmp_path: Path, capsys) -> None:
    draw(200, 27).assign(speed=np.nan).to_csv(tmp_path / "gaps.csv", index=False)
    main(["monitor", str(model), str(tmp_path / "gaps.csv"), "--json"])
    assert ("speed", "gaps") in {(one.get("channel"), one.get("what")) for one in told(capsys)}
    draw(200, 27)[:0].to_csv(tmp_path / "none.csv", index=False)
    assert main(["monitor", str(model), str(tmp_path / "none.csv"), "--json"]) == 0
    assert told(capsys)[-1]["rows"] == 0


@pytest.mark.slow
def test_normal_rows_of_a_file_are_the_reference(model: Path, draw, tmp_path: Path, capsys) -> None:
    """So a model without a reference, of an older format, is watched; and another reference is another watch."""
    new = draw(1500, 28)
    new["temp"] += 20
    new[:700].to_csv(tmp_path / "normal.csv", index=False)
    new[700:].to_csv(tmp_path / "new.csv", index=False)
    run = ["monitor", str(model), str(tmp_path / "new.csv"), "--json", "--state", str(tmp_path / "s.json")]
    assert main([*run, "--against", str(tmp_path / "normal.csv")]) == 0
    assert main(run) == 2
    assert "another model" in capsys.readouterr().err
    bare = tmp_path / "bare"
    bare.mkdir()
    data = json.loads((model / "model.json").read_bytes())
    (bare / "model.json").write_bytes(seal({k: v for k, v in data.items() if k not in ("seal", "reference")}))
    for name in ("model.safetensors", "decision.safetensors"):
        os.link(model / name, bare / name)
    assert main(["monitor", str(bare), str(tmp_path / "new.csv")]) == 2
    assert "--against" in capsys.readouterr().err
    assert main(["monitor", str(bare), str(tmp_path / "new.csv"), "--against", str(tmp_path / "normal.csv")]) == 0


@pytest.mark.slow
def test_level_rate_and_batch_come_from_the_command_line(model: Path, stream: Path, capsys) -> None:
    found = []
    for more in ([], ["--level", "0.2"], ["--rate", "0.2"], ["--batch", "100"]):
        main(["monitor", str(model), str(stream), "--json", *more])
        found.append(told(capsys))
    assert found[1][-1]["level"] == 0.2
    assert found[2][-1]["flagged"] > found[0][-1]["flagged"] + 100
    assert {one["row"] % 100 for one in found[3] if one.get("group") == "column"} == {0}
    assert {one["row"] % 64 for one in found[0] if one.get("group") == "column"} == {0}


def test_values_are_strange_or_gaps_beside_text_too(recwarn, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    seen = pd.DataFrame({"note": [" ".join(random.choice(["up", "down", "left"], 9)) for _ in range(200)]})
    seen = seen.assign(city=random.choice(["Oslo", "Rome", None], 200), load=random.normal(size=200))
    table = read(seen, kinds={"note": "text", "city": "category"})
    fitted = isthmus.fit(
        isthmus.named("pca").set_params(latents=2), table.x[:120], fields=table.fields, columns=table.columns
    )
    ships = Deployed.of(fitted, table.x[:120], table.x[120:160], table.x[160:])
    new = pa.Table.from_pandas(seen[:4].assign(city=["Oslo", None, "Kyiv", "Rome"]))
    recwarn.clear()
    assert feed._strangers(ships, table_block("new", new, ships.fields), 0, 4) == {"city": ["Kyiv"]}
    assert not recwarn.list
    new.to_pandas().drop(columns="load").to_csv(tmp_path / "there.csv", index=False)
    (block,) = blocks(tmp_path / "there.csv", ships.fields, lenient=True)
    assert feed._absent(ships.fields, block) == ["load"]
    assert block.rows[0, 0] == seen.note[0]
    assert np.isnan(block.rows[:, -1].astype(float)).all()


def test_a_head_is_the_beginning_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert states.head(path) == (10, hashlib.sha256(b"x" * 10).hexdigest())
    assert states.head(path, 3)[0] == 3


def test_who_leaves_a_pipe_is_told_what_is_kept(model: Path, draw, tmp_path: Path, monkeypatch, capsys) -> None:
    """A signal that comes while the pipe is waited for, and one that comes while rows are counted."""
    draw(100, 30).to_csv(tmp_path / "rows.csv", index=False)
    real, own, place = blocks, Watch.feed, tmp_path / "watch.json"

    def left(data, *args, **options):
        yield from real(tmp_path / "rows.csv", *args, **options)
        raise ends.Stopped(signal.SIGINT)

    monkeypatch.setattr("isthmus.data.blocks.blocks", left)
    assert main(["monitor", str(model), "-", "--state", str(place)]) == 130
    said = capsys.readouterr().err
    assert f"the watch of 100 rows is kept in {place}; what else came through the pipe was not looked at" in said
    assert json.loads(place.read_bytes())["rows"] == 100
    assert main(["monitor", str(model), "-"]) == 130
    assert "the watch of 100 rows is kept nowhere (--state FILE); what else" in capsys.readouterr().err

    def torn(self, rows, *args, **options):
        if self.progress.rows:
            raise ends.Stopped(signal.SIGINT)
        return own(self, rows, *args, **options)

    monkeypatch.setattr(Watch, "feed", torn)
    place.unlink()
    monkeypatch.setattr(feed, "PAUSE", 1e9)
    assert main(["monitor", str(model), "-", "--state", str(place)]) == 130
    assert "rows since the last state" in capsys.readouterr().err

"""``isthmus encode``, ``decode``, ``reconstruct``, ``score``, ``flag``, ``sample``: a saved model at work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show, stream
from isthmus.cli.options import Debug, Quiet
from isthmus.cli.stream import Data, Graph, Model, Out

if TYPE_CHECKING:
    from isthmus.data.blocks import Block
    from isthmus.ship.deployed import Deployed
    from isthmus.ship.verbs import Answer

Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Normal rows that the model was not trained on: scores are compared with theirs.",
        show_default="calibration rows in the model",
    ),
]


def encode(
    model: Model, data: Data, out: Out = None, features: Graph = None, quiet: Quiet = False, debug: Debug = False
) -> int:
    """Write the code of each row.

    Columns that the model does not know, such as labels and numbers of rows, are carried along.

    [bold]isthmus encode model rows.csv -o codes.parquet[/bold]
    """
    from isthmus.ship import verbs

    deployed = _loaded(model)
    stream.run(
        data, out, verbs.blocks_of(deployed, data, features), verbs.wanted(deployed), partial(verbs.encode, deployed)
    )
    return _done(out, quiet)


def reconstruct(
    model: Model, data: Data, out: Out = None, features: Graph = None, quiet: Quiet = False, debug: Debug = False
) -> int:
    """Write what the model makes of each row, in the units of the data.

    [bold]isthmus reconstruct model rows.csv -o again.csv[/bold]
    """
    from isthmus.ship import verbs

    deployed = _loaded(model)
    stream.run(
        data,
        out,
        verbs.blocks_of(deployed, data, features),
        verbs.wanted(deployed),
        partial(verbs.reconstruct, deployed),
    )
    return _done(out, quiet)


def decode(model: Model, data: Data, out: Out = None, quiet: Quiet = False, debug: Debug = False) -> int:
    """Write the rows that codes stand for: the columns code0, code1, ... of what encode wrote, or a .npy file.

    [bold]isthmus decode model codes.parquet -o rows.csv[/bold]
    """
    from isthmus.data.blocks import blocks
    from isthmus.ship import verbs

    deployed = _loaded(model)
    known = verbs.codes(deployed)
    stream.run(data, out, blocks(data, known), known, partial(verbs.decode, deployed))
    return _done(out, quiet)


def score(
    model: Model,
    data: Data,
    out: Out = None,
    against: Against = None,
    features: Graph = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write how unlike the training rows each row is: a score, high for odd rows, and its p-value.

    The p-value is the share of normal rows that score as high: of calibration rows in the model, or of --against.

    [bold]isthmus score model new.csv | head[/bold]
    """
    from isthmus.ship import verbs

    deployed = _loaded(model)
    own = _against(deployed, against, features) if against is not None or deployed.calibration is not None else None
    found = verbs.blocks_of(deployed, data, features)
    stream.run(data, out, found, verbs.wanted(deployed), lambda block: verbs.score(deployed, block, own))
    return _done(out, quiet)


def flag(
    model: Model,
    data: Data,
    out: Out = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="RATE", help="False alarms per normal row.", show_default="the model's own"),
    ] = None,
    per_day: Annotated[
        float | None, typer.Option("--per-day", metavar="N", help="False alarms a day, with --rows-per-day.")
    ] = None,
    rows_per_day: Annotated[
        float | None, typer.Option("--rows-per-day", metavar="N", help="Rows that come in a day.")
    ] = None,
    against: Against = None,
    features: Graph = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write which rows are odd, so that a stated share of normal rows is flagged, and no more.

    A rate that so few calibration rows can say nothing of is refused: give more normal rows with --against.

    [bold]isthmus flag model new.csv --rate 0.01 -o flagged.csv[/bold]
    """
    from isthmus.errors import BadInput
    from isthmus.ship import calibrate, verbs

    if (per_day is None) != (rows_per_day is None) or (rate is not None and per_day is not None):
        raise BadInput("give --rate, or --per-day together with --rows-per-day")
    deployed = _loaded(model)
    own = _against(deployed, against, features)
    if per_day is not None and rows_per_day is not None:
        rate = calibrate.per_day(per_day, rows_per_day)
    level = own.rate if rate is None else rate
    calibrate.enough(len(own.scores), level)
    flagged = [0]

    def answer(block: Block) -> Answer:
        found = verbs.flag(deployed, block, own, level)
        flagged[0] += int(found.columns["flag"].sum())
        return found

    count = stream.run(data, out, verbs.blocks_of(deployed, data, features), verbs.wanted(deployed), answer)
    show.note(
        f"{flagged[0]:,} of {count:,} rows flagged at a false-alarm rate of {level:g}, from {len(own.scores):,} "
        f"calibration rows ({own.about}); of normal rows alone {level * count:.3g} would be",
        quiet=quiet,
    )
    return _done(out, quiet)


def sample(
    model: Model,
    count: Annotated[int, typer.Option("--rows", "-n", min=1, help="Rows to draw.")] = 100,
    out: Out = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed; the same seed gives the same rows.")] = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write new rows, drawn from the model's prior.

    Only of families that have one (isthmus list families): the variational ones, say.

    [bold]isthmus sample model -n 1000 -o new.csv[/bold]
    """
    from isthmus.data.blocks import Block
    from isthmus.ship import verbs

    deployed = _loaded(model)
    made = deployed.sample(count, seed)
    stream.write(Block(made, None), verbs.rows(deployed, made), out)
    return _done(out, quiet)


def _loaded(model: Path) -> Deployed:
    from isthmus.ship import artefact

    return artefact.load(model)


def _against(deployed: Deployed, path: Path | None, features: Path | None) -> Any:
    """The calibration in the model, or that of normal rows in a file."""
    import numpy as np

    from isthmus.ship import verbs
    from isthmus.ship.deployed import Calibration

    if path is None:
        return deployed.needed()
    found = []
    for block in verbs.blocks_of(deployed, path, features):
        for told in block.told:
            show.warn(told)
        found.append(verbs.scored(deployed, block))
    scores = np.concatenate(found)
    return Calibration.of(scores[~np.isnan(scores)], f"rows of {path.name}")


def _done(out: Path | None, quiet: bool) -> int:
    if out is not None and out != stream.STDOUT:
        show.note(f"Written: {out}", quiet=quiet)
    return ends.DONE

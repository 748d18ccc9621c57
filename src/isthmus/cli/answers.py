"""``isthmus encode``, ``decode``, ``reconstruct``, ``score``, ``flag``, ``sample``: a saved model at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show, stream
from isthmus.cli.options import Debug, Quiet
from isthmus.cli.stream import Data, Model, Out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isthmus.data.blocks import Block
    from isthmus.ship.deployed import Deployed

Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Normal rows that the model was not trained on: scores are compared with theirs.",
        show_default="calibration rows in the model",
    ),
]


def encode(model: Model, data: Data, out: Out = None, quiet: Quiet = False, debug: Debug = False) -> int:
    """Write the code of each row.

    Columns that the model does not know, such as labels and numbers of rows, are carried along.

    [bold]isthmus encode model rows.csv -o codes.parquet[/bold]
    """
    deployed = _loaded(model)

    def answer(block: Block) -> stream.Answer:
        rows, good = stream.rows_of(deployed, block)
        codes = stream.answered(deployed.encode, rows, good)
        return stream.Answer({f"code{j}": codes[:, j] for j in range(codes.shape[1])}, codes)

    return _run(deployed, data, out, answer, quiet)


def reconstruct(model: Model, data: Data, out: Out = None, quiet: Quiet = False, debug: Debug = False) -> int:
    """Write what the model makes of each row, in the units of the data.

    [bold]isthmus reconstruct model rows.csv -o again.csv[/bold]
    """
    deployed = _loaded(model)

    def answer(block: Block) -> stream.Answer:
        rows, good = stream.rows_of(deployed, block)
        return _rows(deployed, stream.answered(deployed.reconstruct, rows, good))

    return _run(deployed, data, out, answer, quiet)


def decode(model: Model, data: Data, out: Out = None, quiet: Quiet = False, debug: Debug = False) -> int:
    """Write the rows that codes stand for: the columns code0, code1, ... of what encode wrote, or a .npy file.

    [bold]isthmus decode model codes.parquet -o rows.csv[/bold]
    """
    from isthmus.data.fields import Field

    deployed = _loaded(model)
    fields = tuple(Field(f"code{j}", "number", gaps=True) for j in range(deployed.model.latents))

    def answer(block: Block) -> stream.Answer:
        import numpy as np

        from isthmus.errors import BadInput

        if block.rows.ndim != 2 or block.rows.shape[1] != len(fields):
            raise BadInput(f"codes must have {len(fields)} columns; got rows of shape {block.rows.shape[1:]}")
        good = np.isfinite(block.rows).all(axis=1)
        return _rows(deployed, stream.answered(deployed.decode, block.rows, good))

    stream.run(data, out, fields, answer)
    return _done(out, quiet)


def score(
    model: Model, data: Data, out: Out = None, against: Against = None, quiet: Quiet = False, debug: Debug = False
) -> int:
    """Write how unlike the training rows each row is: a score, high for odd rows, and its p-value.

    The p-value is the share of normal rows that score as high: of calibration rows in the model, or of --against.

    [bold]isthmus score model new.csv | head[/bold]
    """
    deployed = _loaded(model)
    own = _against(deployed, against) if against is not None or deployed.calibration is not None else None

    def answer(block: Block) -> stream.Answer:
        rows, good = stream.rows_of(deployed, block)
        scores = stream.answered(deployed.scores, rows, good)
        columns = {"score": scores}
        if own is not None:
            columns["p_value"] = own.p_values(scores)
        return stream.Answer(columns, scores)

    return _run(deployed, data, out, answer, quiet)


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
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write which rows are odd, so that a stated share of normal rows is flagged, and no more.

    A rate that so few calibration rows can say nothing of is refused: give more normal rows with --against.

    [bold]isthmus flag model new.csv --rate 0.01 -o flagged.csv[/bold]
    """
    from isthmus.errors import BadInput
    from isthmus.ship import calibrate

    if (per_day is None) != (rows_per_day is None) or (rate is not None and per_day is not None):
        raise BadInput("give --rate, or --per-day together with --rows-per-day")
    deployed = _loaded(model)
    own = _against(deployed, against)
    if per_day is not None and rows_per_day is not None:
        rate = calibrate.per_day(per_day, rows_per_day)
    level = own.rate if rate is None else rate
    calibrate.enough(len(own.scores), level)
    flagged = [0]

    def answer(block: Block) -> stream.Answer:
        rows, good = stream.rows_of(deployed, block)
        scores = stream.answered(deployed.scores, rows, good)
        p = own.p_values(scores)
        found = calibrate.flags(p, level)
        flagged[0] += int(found.sum())
        return stream.Answer({"score": scores, "p_value": p, "flag": found}, found)

    count = stream.run(data, out, stream.wanted(deployed), _told(deployed, answer))
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

    deployed = _loaded(model)
    made = deployed.sample(count, seed)
    stream.write(Block(made, None), _rows(deployed, made), out)
    return _done(out, quiet)


def _loaded(model: Path) -> Deployed:
    from isthmus.ship import artefact

    return artefact.load(model)


def _against(deployed: Deployed, path: Path | None) -> Any:
    """The calibration in the model, or that of normal rows in a file."""
    import numpy as np

    from isthmus.data.blocks import blocks
    from isthmus.ship.deployed import Calibration

    if path is None:
        return deployed.needed()
    found = []
    for block in blocks(path, stream.wanted(deployed)):
        rows, good = stream.rows_of(deployed, block)
        found.append(deployed.scores(rows[good]) if good.any() else np.zeros(0))
    return Calibration.of(np.concatenate(found), f"rows of {path.name}")


def _told(deployed: Deployed, answer: Any) -> Any:
    """The same answers, and a line where rows have none."""
    import warnings

    def tell(block: Block) -> stream.Answer:
        _, good = stream.rows_of(deployed, block)
        if not good.all():
            warnings.warn(
                "rows with a gap have no answer, for the model was trained on rows without gaps: train it on some, or "
                "fill them in",
                stacklevel=2,
            )
        found: stream.Answer = answer(block)
        return found

    return tell


def _rows(deployed: Deployed, rows: NDArray[Any]) -> stream.Answer:
    """Rows in the units of the data, by the names of their columns."""
    from isthmus.data.dataset import element_names
    from isthmus.data.frames import column

    if deployed.fields:
        return stream.Answer({f.name: column(f, rows[:, j]) for j, f in enumerate(deployed.fields)}, None)
    own = deployed.columns if deployed.target_layout is None else ()
    names = own or element_names(rows.shape[1:])
    flat = rows.reshape(len(rows), -1)
    return stream.Answer({name: flat[:, j] for j, name in enumerate(names)}, rows)


def _run(deployed: Deployed, data: Path, out: Path | None, answer: Any, quiet: bool) -> int:
    stream.run(data, out, stream.wanted(deployed), _told(deployed, answer))
    return _done(out, quiet)


def _done(out: Path | None, quiet: bool) -> int:
    if out is not None and out != stream.STDOUT:
        show.note(f"Written: {out}", quiet=quiet)
    return ends.DONE

"""``isthmus encode``, ``decode``, ``reconstruct``, ``score``, ``sample``: a saved model at work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show, stream
from isthmus.cli.options import Debug, Quiet
from isthmus.cli.stream import Data, Graph, Model, Out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isthmus.data.blocks import Block
    from isthmus.ship.deployed import Calibration, Deployed
    from isthmus.ship.shift import Ratio, Shift

AUTO = "auto"
Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Normal rows that the model was not trained on: scores are compared with theirs.",
        show_default="calibration rows in the model",
    ),
]

Shifted = Annotated[
    Path | None,
    typer.Option(
        "--shift",
        metavar="FILE",
        help="Rows of a population that is made up otherwise than that of --against: calibration rows weigh as much as "
        "their kind is more frequent there. DATA itself may be such a file.",
        show_default=False,
    ),
]

Weighted = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="COLUMN",
        help="As --shift, where the weights are known: the column of --against and of DATA that says how much more "
        "frequent the kind of a row is in the population of DATA, up to a factor.",
        show_default=False,
    ),
]


Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where the network computes: cpu, cuda, mps or auto.")
]


def encode(
    model: Model,
    data: Data,
    out: Out = None,
    features: Graph = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write the code of each row.

    Columns that the model does not know, such as labels and numbers of rows, are carried along.

    [bold]isthmus encode model rows.csv -o codes.parquet[/bold]
    """
    from isthmus.ship import verbs

    deployed = loaded(model, device)
    stream.run(
        data, out, verbs.blocks_of(deployed, data, features), verbs.wanted(deployed), partial(verbs.encode, deployed)
    )
    return done(out, quiet)


def reconstruct(
    model: Model,
    data: Data,
    out: Out = None,
    features: Graph = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write what the model makes of each row, in the units of the data.

    [bold]isthmus reconstruct model rows.csv -o again.csv[/bold]
    """
    from isthmus.ship import verbs

    deployed = loaded(model, device)
    stream.run(
        data,
        out,
        verbs.blocks_of(deployed, data, features),
        verbs.wanted(deployed),
        partial(verbs.reconstruct, deployed),
    )
    return done(out, quiet)


def decode(
    model: Model, data: Data, out: Out = None, device: Device = "cpu", quiet: Quiet = False, debug: Debug = False
) -> int:
    """Write the rows that codes stand for: the columns code0, code1, ... of what encode wrote, or a .npy file.

    [bold]isthmus decode model codes.parquet -o rows.csv[/bold]
    """
    from isthmus.data.blocks import blocks
    from isthmus.ship import verbs

    deployed = loaded(model, device)
    known = verbs.codes(deployed)
    stream.run(data, out, blocks(data, known), known, partial(verbs.decode, deployed))
    return done(out, quiet)


def score(
    model: Model,
    data: Data,
    out: Out = None,
    against: Against = None,
    shift: Shifted = None,
    weights: Weighted = None,
    features: Graph = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write how unlike the training rows each row is: a score, high for odd rows, and its p-value.

    The p-value is the share of normal rows that score as high: of calibration rows in the model, or of --against, as
    they are or weighted (--shift, --weights).

    [bold]isthmus score model new.csv | head[/bold]
    """
    from isthmus.ship import verbs

    deployed = loaded(model, device)
    bare = against is None and shift is None and weights is None and deployed.calibration is None
    own, weighted = (None, None) if bare else known_of(deployed, against, shift, weights, features, quiet)
    found = verbs.blocks_of(deployed, data, features, weights)
    stream.run(data, out, found, verbs.wanted(deployed), lambda block: verbs.score(deployed, block, own, weighted))
    return done(out, quiet)


def sample(
    model: Model,
    count: Annotated[int, typer.Option("--rows", "-n", min=1, help="Rows to draw.")] = 100,
    out: Out = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed; the same seed gives the same rows.")] = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write new rows.

    A model that was taken for them (isthmus take DIR --for generation) draws them as they were measured; another one
    from its prior, if its family has one (isthmus list families): the variational ones, say.

    [bold]isthmus sample model -n 1000 -o new.csv[/bold]
    """
    from isthmus.data.blocks import Block
    from isthmus.ship import verbs

    deployed = loaded(model, device)
    stream.write(
        ((Block(made, None), verbs.rows(deployed, made)) for made in verbs.samples(deployed, count, seed)), out
    )
    return done(out, quiet)


def loaded(model: Path, device: str = "cpu") -> Deployed:
    """A saved model, whose network computes on a device."""
    from isthmus.ship import artefact

    found = artefact.load(model)
    return found if device == "cpu" else found.placed(device)


def known_of(
    deployed: Deployed,
    against: Path | None,
    shift: Path | None,
    weights: str | None,
    features: Path | None,
    quiet: bool,
    contamination: str | None = None,
    blocks: int | None = None,
) -> tuple[Calibration, Shift | None]:
    """Normal rows, or blocks of them, that scores are compared with; their weights, for another population."""
    from isthmus.errors import BadInput

    if shift is not None and weights is not None:
        raise BadInput(
            "--shift and --weights do not go together: one estimates the weights that the other gives; leave one out"
        )
    if blocks is not None:
        return _blocks(deployed, against, features, blocks), None
    if shift is not None:
        return _shifted(deployed, against, shift, features, quiet)
    if weights is not None:
        return _given(deployed, against, weights, features, quiet)
    return _against(deployed, against, features, contamination), None


def _against(deployed: Deployed, path: Path | None, features: Path | None, contamination: str | None = None) -> Any:
    """The calibration in the model, or that of normal rows in a file, without the share of them that is not."""
    import numpy as np

    from isthmus.errors import BadInput
    from isthmus.ship import calibrate
    from isthmus.ship.deployed import Calibration, tied

    if path is None:
        if contamination is not None:
            raise BadInput("--contamination is the share of anomalies among the rows of --against: give that file too")
        return deployed.needed()
    share = 0.0
    if contamination not in {None, AUTO}:
        try:
            share = float(str(contamination))
        except ValueError:
            raise BadInput(f"--contamination must be a share such as 0.05, or auto; got {contamination!r}") from None
    clean = deployed.needed().scores if contamination == AUTO else None
    scores = _scores(deployed, path, features)
    scores, about = scores[~np.isnan(scores)], f"rows of {path.name}"
    if clean is not None:
        odd = calibrate.contamination(clean, tied(scores))
        show.warn(f"{odd.share:.3g} of the rows of {path.name} are anomalous (95 %: {odd.low:.3g} to {odd.high:.3g})")
        share = odd.share
    if share:
        whole = len(scores)
        scores = calibrate.trimmed(scores, share)
        about += f", without the {whole - len(scores):,} highest scores"
    return Calibration.of(scores, about)


def _scores(deployed: Deployed, path: Path, features: Path | None) -> Any:
    """Scores of the rows of a file, in their order; NaN where there is none."""
    import numpy as np

    from isthmus.ship import verbs

    found = []
    for block in verbs.blocks_of(deployed, path, features):
        for told in block.told:
            show.warn(told)
        found.append(verbs.scored(deployed, block))
    return np.concatenate(found)


def _blocks(deployed: Deployed, against: Path | None, features: Path | None, length: int) -> Calibration:
    """The highest score of each block of normal rows of a file."""
    from isthmus.errors import BadInput
    from isthmus.ship import calibrate
    from isthmus.ship.deployed import Calibration

    if against is None:
        raise BadInput(
            "--blocks needs calibration rows in their order, and the model holds sorted scores: give the rows with "
            "--against"
        )
    scores = _scores(deployed, against, features)
    return Calibration.of(calibrate.highest(scores, length), f"blocks of {length:,} rows of {against.name}")


def _shifted(
    deployed: Deployed, against: Path | None, other: Path, features: Path | None, quiet: bool
) -> tuple[Calibration, Shift]:
    """Calibration rows of a file, weighted for the population of another one; the first is read twice."""
    from isthmus.data.blocks import STDIN, some
    from isthmus.errors import BadInput
    from isthmus.ship import verbs
    from isthmus.ship.shift import ROWS, Ratio

    place = _apart(deployed, against, "--shift")
    if STDIN in {str(place), str(other)}:
        raise BadInput("--shift and --against are read more than once: give files instead of -")

    def rows(path: Path) -> Any:
        return some((verbs.rows_seen(deployed, block) for block in verbs.blocks_of(deployed, path, features)), ROWS)

    ratio = Ratio.of(rows(place), rows(other))
    found = verbs.blocks_of(deployed, place, features)
    return _weighted(deployed, found, ratio, place, f"population of {other.name}", quiet)


def _given(
    deployed: Deployed, against: Path | None, column: str, features: Path | None, quiet: bool
) -> tuple[Calibration, Shift]:
    """Calibration rows of a file with their weights."""
    from isthmus.ship import verbs

    place = _apart(deployed, against, "--weights")
    found = verbs.blocks_of(deployed, place, features, column)
    return _weighted(deployed, found, None, place, f"population that {column} tells of", quiet)


def _apart(deployed: Deployed, against: Path | None, option: str) -> Path:
    """The file of calibration rows that weigh; refused if there is none, or rows depend on each other."""
    from isthmus.errors import BadInput

    if against is None:
        raise BadInput(
            f"{option} weighs calibration rows, and the model holds their scores alone: give the rows with --against"
        )
    if deployed.series is not None:
        raise BadInput(
            f"{option} is for rows that do not depend on each other, not for windows of a series; see --adapt"
        )
    return against


def _weighted(
    deployed: Deployed, found: Iterator[Block], ratio: Ratio | None, against: Path, whose: str, quiet: bool
) -> tuple[Calibration, Shift]:
    """Calibration rows with their weights, and what they are worth; those without a score are left out."""
    import numpy as np

    from isthmus.ship import verbs
    from isthmus.ship.shift import Shift

    scores, weights = [], []
    for block in found:
        one = verbs.scored(deployed, block)
        scores.append(one[good := ~np.isnan(one)])
        weights.append(verbs.weights_of(deployed, block, ratio)[good])
    made = Shift(np.concatenate(scores), np.concatenate(weights), ratio)
    show.note(f"{len(made.scores):,} calibration rows are worth {made.rows:,} of the {whose}", quiet=quiet)
    return made.calibration(f"rows of {against.name}, weighted for the {whose}"), made


def done(out: Path | None, quiet: bool) -> int:
    """Say what was written, where it is a file."""
    if out is not None and out != stream.STDOUT:
        show.note(f"Written: {out}", quiet=quiet)
    return ends.DONE

"""Rivals that are not saved as models, for who wants to use them: the objects of scikit-learn that they are, named with
their settings and never pickled, or a few lines of Python that do what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Step = tuple[str, Mapping[str, Any]]
"""Where an object is imported from, and its parameters."""

Takes = Literal["rows", "gaps", "counts", "text", "cells"]
"""Rows as they were scaled; those of a table with NaN where a cell is missing; counts; the text of each row; or the
data as they come."""
Use = Literal["classify", "score", "distance", "draw", "code", "fill"]
USES: dict[Use, tuple[str, str]] = {
    "classify": ("model.fit(X, y)", "model.predict(X)"),
    "score": ("model.fit(X)", "-model.score_samples(X)"),
    "distance": ("model.fit(X)", "model.transform(X).min(axis=1)"),
    "draw": ("model.fit(X)", "model.sample(1000)[0]"),
    "code": ("model.fit(X)", "model.transform(X)"),
    "fill": ("model.fit(X)", "model.transform(X)"),
}
"""How it is fitted, and asked."""
BACK = "model[:-1].inverse_transform(model[-1].sample(1000)[0])"
"""How rows are drawn from the end of a pipeline."""
SCALED = "X = {scaler}.fit_transform(X.reshape(len(X), -1)).reshape(X.shape)"
"""How rows of any number of axes are scaled."""


class Kin(NamedTuple):
    """One object, or a pipeline of them."""

    use: Use
    steps: tuple[Step, ...]
    takes: Takes = "rows"

    @classmethod
    def of(cls, use: Use, name: str, **parameters: Any) -> Kin:
        """A single object that takes rows."""
        return cls(use, ((name, parameters),))

    def told(self) -> list[dict[str, Any]]:
        """Its objects, as plain data."""
        return [{"object": name, "parameters": dict(settings)} for name, settings in self.steps]

    def code(self, before: Sequence[Step] = (), ask: str | None = None) -> str:
        """Python that makes it, as ``model``, fits it and asks it; ``before`` comes first in the pipeline, and ``ask``
        stands for the last line.

        Examples
        --------
        >>> one = Kin.of("classify", "sklearn.neighbors.KNeighborsClassifier", n_neighbors=3)
        >>> print(one.code([("sklearn.preprocessing.StandardScaler", {})]))
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        <BLANKLINE>
        model = make_pipeline(
            StandardScaler(),
            KNeighborsClassifier(n_neighbors=3),
        )
        model.fit(X, y)
        model.predict(X)
        """
        steps = (*before, *self.steps)
        names = {name for name, _ in steps} | ({"sklearn.pipeline.make_pipeline"} if len(steps) > 1 else set())
        imports = sorted(map(_import, names))
        calls = [_call(*step) for step in steps]
        fit, usual = USES[self.use]
        made = calls[0]
        if len(calls) > 1:
            made = "\n    ".join(["make_pipeline(", *(f"{one}," for one in calls)]) + "\n)"
            usual = BACK if self.use == "draw" else usual
        return "\n".join([*imports, "", f"model = {made}", fit, ask or usual])


class Lines(NamedTuple):
    """What is no object of scikit-learn: Python that does to ``X`` what it did."""

    text: str
    takes: Takes = "rows"

    def told(self) -> list[dict[str, Any]]:
        """It has no objects."""
        return []

    def code(self, before: Sequence[Step] = (), ask: str | None = None) -> str:
        """The lines; what comes ``before`` scales the rows. They ask themselves: ``ask`` is for objects.

        Examples
        --------
        >>> print(Lines("made = X[:2]").code([("sklearn.preprocessing.StandardScaler", {})]))
        from sklearn.preprocessing import StandardScaler
        <BLANKLINE>
        X = StandardScaler().fit_transform(X.reshape(len(X), -1)).reshape(X.shape)
        made = X[:2]
        """
        imports = sorted({_import(name) for name, _ in before})
        scaled = [SCALED.format(scaler=_call(*step)) for step in before]
        return "\n".join([*imports, *([""] if imports else []), *scaled, self.text])


def _import(name: str) -> str:
    return "from {} import {}".format(*name.rsplit(".", 1))


def _call(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name.rsplit('.', 1)[1]}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"

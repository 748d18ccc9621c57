"""The objects of scikit-learn that rivals are, for who wants to use them: named with their settings, never pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Step = tuple[str, Mapping[str, Any]]
"""Where an object is imported from, and its parameters."""

Use = Literal["classify", "score", "distance", "draw"]
USES: dict[Use, tuple[str, str]] = {
    "classify": ("model.fit(X, y)", "model.predict(X)"),
    "score": ("model.fit(X)", "-model.score_samples(X)"),
    "distance": ("model.fit(X)", "model.transform(X).min(axis=1)"),
    "draw": ("model.fit(X)", "model.sample(1000)[0]"),
}
"""How it is fitted, and asked."""
BACK = "model[:-1].inverse_transform(model[-1].sample(1000)[0])"
"""How rows are drawn from the end of a pipeline."""


class Kin(NamedTuple):
    """One object, or a pipeline of them."""

    use: Use
    steps: tuple[Step, ...]
    takes: Literal["rows", "text"] = "rows"
    """Rows as they were scaled, or the text of each row."""

    @classmethod
    def of(cls, use: Use, name: str, **parameters: Any) -> Kin:
        """A single object that takes rows."""
        return cls(use, ((name, parameters),))

    def code(self, before: Sequence[Step] = ()) -> str:
        """Python that makes it, as ``model``, fits it and asks it; ``before`` comes first in the pipeline.

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
        imports = sorted("from {} import {}".format(*name.rsplit(".", 1)) for name in names)
        calls = [
            f"{name.rsplit('.', 1)[1]}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
            for name, settings in steps
        ]
        fit, ask = USES[self.use]
        made = calls[0]
        if len(calls) > 1:
            made = "\n    ".join(["make_pipeline(", *(f"{one}," for one in calls)]) + "\n)"
            ask = BACK if self.use == "draw" else ask
        return "\n".join([*imports, "", f"model = {made}", fit, ask])

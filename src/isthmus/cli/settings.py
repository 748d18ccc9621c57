"""``--set FIELD=VALUE``: fields of a family, or of the plan of training, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.errors import BadInput
from isthmus.study.options import value

if TYPE_CHECKING:
    from isthmus.model import Recipe


def configure(family: str | Recipe, shape: tuple[int, ...], settings: list[str]) -> tuple[Recipe, dict[str, Any]]:
    """A recipe as it is, or a family's at the capacity of a comparison, as ``--set`` changes it; and the fields of the
    plan that it names."""
    from isthmus.families import named, read
    from isthmus.study.capacity import capacity, match
    from isthmus.train.plan import Plan

    default = named(family) if isinstance(family, str) else family
    fields: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set takes FIELD=VALUE; got {setting!r}")
        of_plan = name in Plan.__dataclass_fields__ and name not in default.get_params(deep=False)
        (plan if of_plan else fields)[name] = value(text, listed=isinstance(default.get_params().get(name), tuple))
    matched = default
    if isinstance(family, str):
        default.set_params(backbone=fields.pop("backbone", default.backbone))
        matched = match(family, default, *capacity(shape, default.backbone, fields.pop("latents", None)))
    return read(type(default), matched.to_json() | fields), plan

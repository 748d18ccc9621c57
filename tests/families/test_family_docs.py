"""One page for each family, with every field of its own and an example that runs."""

import dataclasses
import functools
import re
from pathlib import Path

import pytest

from isthmus.families import FAMILIES, named
from isthmus.model import Recipe
from isthmus.train import fitted
from isthmus.train.plan import Plan

PAGES = Path(__file__).parents[2] / "docs" / "families"


def test_index_lists_every_family_and_common_field():
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+)\.md\)", index) == list(FAMILIES)
    for field in dataclasses.fields(Recipe):
        assert f"| `{field.name}` | `{field.default!r}` |" in index


@pytest.mark.parametrize("name", list(FAMILIES))
def test_page_has_every_field_with_its_default_and_help(name):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    common = {field.name for field in dataclasses.fields(Recipe)}
    for field in dataclasses.fields(FAMILIES[name]):
        if field.name not in common:
            assert f"| `{field.name}` | `{field.default!r}` |" in page
            assert field.metadata["text"] in page


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_example_runs(name, monkeypatch, capsys):
    monkeypatch.setattr(fitted, "fit", functools.partial(fitted.fit, plan=Plan(steps=20)))
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert f'named("{name}")' in example
    exec(compile(example, name, "exec"), {})
    assert 0 < float(capsys.readouterr().out) < 1
    assert named(name).to_json() == FAMILIES[name].to_json()

"""All that is known of a facet is in its declaration: general code names no facet and opens no facet's file."""

import ast
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.answers.words import Words
from isthmus.facets import ALWAYS, FACETS
from isthmus.metrics import METRICS

HOUSE = Path(isthmus.__file__).parent
BELOW = {"data", "families", "metrics", "parts", "train", "facets"}
"""What lies below the facets, where these words are terms of a loss or parts of data; and the facets."""
ALLOWED = {
    ("answers/capacity.py", "cost"): "a field of what a record keeps of a configuration",
    ("api/several.py", "anomaly"): "the option --anomaly",
    ("cli/compare.py", "anomaly"): "the option --anomaly",
    ("doctor/finding.py", "reconstruction"): "a term of a loss",
    ("doctor/training.py", "reconstruction"): "a term of a loss",
    ("report/method.py", "anomaly"): "the option --anomaly",
    ("report/method.py", "factors"): "the option --factors",
    ("ship/graph.py", "anomaly"): "an output of an exported graph",
    ("study/budget.py", "anomaly"): "the option --anomaly",
    ("study/design.py", "anomaly"): "the option --anomaly",
    ("study/design.py", "factors"): "the option --factors",
    ("study/examine.py", "anomaly"): "the option --anomaly",
    ("study/examine.py", "factors"): "the option --factors",
    ("study/profile.py", "factors"): "the role of a column, as in the option --factors",
    ("study/several.py", "anomaly"): "the option --anomaly",
    ("testing/__init__.py", "reconstruction"): "a term of a loss",
    ("testing/faults.py", "reconstruction"): "the facet of a record that is made up",
}


def general():
    """The files of general code: name -> syntax tree."""
    files = {path.relative_to(HOUSE).as_posix(): path for path in HOUSE.rglob("*.py")}
    return {name: ast.parse(path.read_text()) for name, path in files.items() if name.split("/")[0] not in BELOW}


@pytest.mark.slow
def test_general_code_names_no_facet():
    found = {
        (file, node.value)
        for file, tree in general().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in FACETS
    }
    assert found == ALLOWED.keys()  # a word that is no longer there leaves the list


@pytest.mark.slow
def test_general_code_looks_into_no_file_of_a_facet():
    own = {f"isthmus.facets.{name}" for name in FACETS}
    found = {
        (file, node.module)
        for file, tree in general().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in own
    }
    assert found == set()
    assert all((HOUSE / "facets" / f"{name}.py").is_file() for name in FACETS)


def test_what_is_always_measured_has_a_price():
    assert ALWAYS == ("cost",)
    assert all(set(FACETS[name].prices) <= set(FACETS[name].metrics) for name in ALWAYS)


@pytest.mark.parametrize("facet", [facet for facet in FACETS.values() if facet.against], ids=lambda facet: facet.name)
def test_what_is_drawn_against_another_facet_exists_and_has_a_title(facet):
    other, metric = facet.against.other
    assert facet.against.metric in facet.metrics
    assert metric in FACETS[other].metrics
    assert {facet.against.metric, metric} <= METRICS.keys()
    for lang in ("en", "zh"):
        t = Words(lang)
        assert t(f"against.{facet.name}") == facet.against.title.of(lang)
        assert t(f"against_text.{facet.name}") == facet.against.text.of(lang)


def test_only_whoever_decides_without_labels_has_a_caveat_for_that():
    assert {f.name for f in FACETS.values() if f.unlabelled} == {f.name for f in FACETS.values() if f.unlabelled_caveat}


def test_metrics_that_follow_from_scores_are_those_of_the_facet():
    raw = {"row_error": np.ones(2), "anomaly_score": np.arange(2.0), "anomaly_label": np.arange(2)}
    found = {name: facet.again(raw, {}) for name, facet in FACETS.items()}
    assert {name for name, again in found.items() if again} == {name for name, facet in FACETS.items() if facet.kept}
    assert all(set(again) <= set(FACETS[name].metrics) for name, again in found.items())

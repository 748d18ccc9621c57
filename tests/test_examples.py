"""The examples in docstrings are run, and everything public has one or says where it is."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import isthmus
from isthmus.registry import OWN

MODULES = [
    name
    for _, name, package in pkgutil.walk_packages(isthmus.__path__, "isthmus.")
    if not package and not name.endswith("__main__")
]
WITH = [name for name in MODULES if ">>> " in inspect.getsource(importlib.import_module(name))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few steps, so that it is quick
@pytest.mark.parametrize("name", WITH)
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = set(OWN)
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    for registered in set(OWN) - before:
        del OWN[registered]
    assert tried
    assert not failed


@pytest.mark.parametrize("name", isthmus.__all__)
def test_everything_public_is_shown(name):
    thing = getattr(isthmus, name)
    said = inspect.getdoc(thing)
    assert ">>> " in said or "for an example" in said
    methods = [one for key, one in inspect.getmembers(thing, callable) if inspect.isclass(thing) and key[0] != "_"]
    for method in methods:
        assert inspect.getdoc(method), f"{name}.{method.__name__} has no docstring"

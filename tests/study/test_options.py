"""An option of a study is declared once: Python's signature, its defaults and the command line follow."""

import inspect
import re
import typing

import pytest

import isthmus
from isthmus.cli import ablate, compare
from isthmus.cli.options import understood
from isthmus.errors import BadInput
from isthmus.study import options
from isthmus.study.design import design
from isthmus.study.options import AblateOptions, CompareOptions, DesignOptions, declared, filled
from isthmus.study.outline import outline

PAIRS = ((isthmus.compare, CompareOptions), (isthmus.ablate, AblateOptions), (outline, CompareOptions))


@pytest.mark.parametrize(("function", "kind"), [*PAIRS, (design, DesignOptions)], ids=lambda one: one.__name__)
def test_signatures_show_every_option_with_its_default(function, kind):
    shown = inspect.signature(function).parameters
    assert {name: shown[name].default for name in declared(kind)} == filled(kind, {})
    assert not any(one.kind is one.VAR_KEYWORD for one in shown.values())
    assert set(typing.get_type_hints(kind, localns={"Plan": isthmus.Plan, "Recipe": object})) == set(declared(kind))


@pytest.mark.parametrize(("function", "kind"), PAIRS[:2], ids=lambda one: one.__name__)
def test_docstrings_name_every_option(function, kind):
    heads = re.findall(r"^((?:\w+, )*\w+)(?= :|\n    )", inspect.getdoc(function).split("----------\n")[1], re.M)
    assert {name for head in heads for name in head.split(", ")} >= set(declared(kind))


@pytest.mark.parametrize(("command", "kind"), [(compare.compare, CompareOptions), (ablate.ablate, AblateOptions)])
def test_the_command_line_offers_every_option_that_can_be_typed(command, kind):
    shown = inspect.signature(command).parameters
    typed = {name: option for name, option in declared(kind).items() if option.kind is not None}
    assert set(shown) >= set(typed)
    assert {shown[name].default for name in ("replicates", "seed")} == {None, 0}
    assert all(option.help.endswith(".") for option in typed.values())


def test_an_unknown_option_is_refused_as_python_does():
    with pytest.raises(TypeError, match="there is no option 'familes'; the options are kinds, drop, "):
        isthmus.compare("iris", familes="plain")
    with pytest.raises(TypeError, match="there is no option 'budget'"):
        isthmus.ablate("plain", "iris", budget="5m")


def test_what_was_typed_becomes_what_python_takes():
    assert understood(CompareOptions, {"latents": "auto", "hidden": "8,4", "seed": 3}) == {
        "latents": "auto",
        "hidden": [8, 4],
        "seed": 3,
    }
    with pytest.raises(BadInput, match="--hidden takes widths with commas, like 64,64, or none; got 'wide'"):
        understood(CompareOptions, {"hidden": "wide"})


def test_nothing_heavy_is_loaded_by_the_declarations():
    assert "import torch" not in inspect.getsource(options)

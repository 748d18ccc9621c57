"""Abilities are declared (isthmus.abilities): who has which, and nothing is found out behind their back."""

import ast
from collections import Counter
from pathlib import Path

import pytest
import torch

import isthmus
from isthmus.abilities import OF_MODELS, Discrete, Foldable, HasPosterior, HasPreBias, HasPrior, HasProposals, Layered
from isthmus.families import FAMILIES, named
from isthmus.model import Model
from isthmus.parts.backbones import decoder, encoder

SOURCE = Path(isthmus.__file__).parent
VARIATIONAL = {"betatc", "cvae", "dip", "factor", "flow", "infovae", "iwae", "ladder", "vae", "vamp"}
DICTIONARIES = {"abstopk", "crosscoder", "batchtopk", "gated", "jumprelu", "matryoshka", "panneal", "sae", "topk"}
HAVE = {
    HasPrior: VARIATIONAL | {"aae", "wae"},
    HasPosterior: VARIATIONAL,
    HasProposals: VARIATIONAL,
    Discrete: {"fsq", "gumbel", "lfq", "rvq", "vq"},
    HasPreBias: DICTIONARIES,
    Foldable: DICTIONARIES,
}

FOREIGN = "an object of another library, known by what it has, since its package may not be installed"
SYSTEM = "what this system may lack"
ALLOWED = {
    ("api/notebook.py", "getattr(shell, 'kernel', None)"): FOREIGN,
    ("data/arrays.py", "getattr(source, 'tensors', None)"): FOREIGN,
    ("data/dates.py", "getattr(cells.type, 'tz', None)"): FOREIGN,
    ("train/given.py", "hasattr(x, 'columns')"): FOREIGN,
    ("train/inference.py", "hasattr(x, 'columns')"): FOREIGN,
    ("imputer.py", "hasattr(x, 'columns')"): FOREIGN,
    ("data/arrays.py", "hasattr(source, 'dataset')"): FOREIGN,
    ("data/read.py", "hasattr(source, '__next__')"): FOREIGN,
    ("data/arrays.py", "hasattr(source, 'detach')"): FOREIGN,
    ("data/arrays.py", "hasattr(source, 'layout')"): FOREIGN,
    ("data/table.py", "getattr(native, 'dtype', None)"): FOREIGN,
    ("data/table.py", "hasattr(getattr(native, 'dtype', None), 'fill_value')"): FOREIGN,
    ("data/table.py", "hasattr(native, 'sparse')"): FOREIGN,
    ("data/frames.py", "getattr(rows, 'column_names', rows.columns)"): FOREIGN,
    ("data/labels.py", "getattr(source, 'index', None)"): FOREIGN,
    ("data/labels.py", "getattr(other, 'index', None)"): FOREIGN,
    ("data/labels.py", "hasattr(rows, 'get_indexer')"): FOREIGN,
    ("data/labels.py", "hasattr(own, 'get_indexer')"): FOREIGN,
    ("estimator/network.py", "getattr(X, 'shape', ())"): FOREIGN,
    ("estimator/network.py", "getattr(X, 'ndim', 0)"): FOREIGN,
    ("runtime/graph.py", "getattr(rows, 'columns', None)"): FOREIGN,
    ("runtime/graph.py", "getattr(rows, 'column_names', None)"): FOREIGN,
    ("cli/ends.py", "getattr(error, '__notes__', [])"): "Python's own, there once a note was added",
    ("cli/ends.py", "getattr(error.__cause__, 'errors', None)"): FOREIGN,
    (
        "estimator/network.py",
        "getattr(self, 'feature_names_in_', ())",
    ): "scikit-learn's way to say that a fit saw names",
    ("ship/artefact.py", "getattr(fitted, 'deployed_', fitted)"): "scikit-learn's way to say what a fit has left",
    ("ship/artefact.py", "getattr(ctypes.CDLL(None, use_errno=True), 'renameat2', None)"): SYSTEM,
    ("data/files.py", "getattr(os, 'O_NOFOLLOW', 0)"): SYSTEM,
    ("data/files.py", "getattr(os, 'O_NONBLOCK', 0)"): SYSTEM,
    ("data/files.py", "getattr(os, 'O_BINARY', 0)"): SYSTEM,
    ("dispatch.py", "getattr(op, '_op', op)"): "an inner part of torch: this is the file for them",
    ("dispatch.py", "getattr(torch, name(op), None)"): "an inner part of torch: this is the file for them",
    ("dispatch.py", "getattr(torch, '_fused_adamw_', None)"): "an inner part of torch: this is the file for them",
}
"""Every question for an attribute that may not be there, with the reason why no protocol declares it."""


def built(name: str) -> Model:
    return named(name).build((6,), "gaussian")


@pytest.mark.parametrize("ability", OF_MODELS, ids=lambda ability: ability.__name__)
def test_who_has_an_ability(ability: type) -> None:
    assert {name for name in FAMILIES if isinstance(built(name), ability)} == HAVE[ability]


def test_a_model_of_ones_own_has_an_ability_by_its_methods_alone() -> None:
    class Mine(Model):
        def prior(self, n: int, generator: torch.Generator) -> torch.Tensor:
            return torch.randn((n, 2), generator=generator)

    assert isinstance(Mine(), HasPrior)
    assert not isinstance(Mine(), HasPosterior)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
def test_only_dense_networks_know_their_depth(hidden: tuple[int, ...]) -> None:
    recipe = named("plain").set_params(hidden=hidden, latents=3)
    to, back = encoder(recipe, (4, 4), 3), decoder(recipe, (4, 4))
    for network in (to, back, decoder(recipe, (4, 4), to)):
        assert isinstance(network, Layered)
        assert network.depth() == len(hidden) + 1
    pictures = named("plain").set_params(hidden=(5,), latents=3, backbone="conv2d")
    assert not isinstance(encoder(pictures, (4, 4), 3), Layered)
    assert not isinstance(decoder(pictures, (4, 4)), Layered)


@pytest.mark.slow
def test_nothing_else_is_found_out_by_whether_an_attribute_is_there() -> None:
    """Neither ``hasattr`` nor ``getattr`` with a default: what is asked of an object is declared, or stands above."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                count = {"hasattr": 2, "getattr": 3}.get(node.func.id)
                if count == len(node.args):
                    found.add((path.relative_to(SOURCE).as_posix(), ast.unparse(node)))
    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set()


@pytest.mark.slow
def test_the_words_of_the_house_name_one_thing_each() -> None:
    """Those that the architecture speaks in: a second class of the name would make every sentence about it a riddle."""
    words = {"Rows", "Batches", "Estimate", "Progress", "Record", "Plan", "Design", "Study", "Facet", "Contender"}
    there = Counter(
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name in words
    )
    assert there == dict.fromkeys(words, 1)

"""Whoever reads a public function finds what it does beside it, or beside what it fulfils."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import isthmus

HOUSE = Path(isthmus.__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


def untold(trees: Mapping[str, ast.Module]) -> list[str]:
    """Public functions, and public methods of any class, without a docstring.

    A method needs none if a class that its own is derived from has one for it, or a protocol whose names its class has.
    """
    classes: dict[str, list[ast.ClassDef]] = {}
    for one in (one for tree in trees.values() for one in within(tree)):
        classes.setdefault(one.name, []).append(one)
    derived = {name: [one for one in some if "Protocol" in bases(one)] for name, some in classes.items()}
    every = [one for some in derived.values() for one in some]  # from protocols alone, whatever shares a name with one
    protocols = [(one, set().union(*map(names, ancestry(one, derived)))) for one in every]
    found = []
    for file, tree in trees.items():
        found += [f"{file}: {name}" for name, one in functions(tree).items() if not ast.get_docstring(one)]
        for owner in within(tree):
            line = list(ancestry(owner, classes))
            known = set().union(*map(names, line))
            told = [*line, *(one for one, wanted in protocols if wanted <= known)]
            for name in functions(owner):
                if not any(name in functions(one) and ast.get_docstring(functions(one)[name]) for one in told):
                    found.append(f"{file}: {owner.name}.{name}")
    return found


def within(owner: ast.stmt | ast.Module) -> Iterator[ast.ClassDef]:
    """All classes, those in functions and in other classes too."""
    for one in getattr(owner, "body", ()):
        if isinstance(one, ast.stmt):
            yield from [one] if isinstance(one, ast.ClassDef) else []
            yield from within(one)


@cache
def functions(owner: ast.Module | ast.ClassDef) -> dict[str, Function]:
    """The public functions of a module or class by name; of a property, what reads it."""
    every = [one for one in owner.body if isinstance(one, Function) and not one.name.startswith("_")]
    return {one.name: one for one in reversed(every)}


@cache
def names(owner: ast.ClassDef) -> set[str]:
    """All public names that a class gives to its instances."""
    fields = {
        one.target.id for one in owner.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    plain = {t.id for one in owner.body if isinstance(one, ast.Assign) for t in one.targets if isinstance(t, ast.Name)}
    own = {
        one.attr for one in ast.walk(owner) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)
    }  # self.x = ...
    return {name for name in {*functions(owner), *fields, *plain, *own} if not name.startswith("_")}


def bases(owner: ast.ClassDef) -> list[str]:
    """The names of what a class is derived from."""
    plain = [one.value if isinstance(one, ast.Subscript) else one for one in owner.bases]
    return [one.attr if isinstance(one, ast.Attribute) else one.id for one in plain if not isinstance(one, ast.Call)]


def ancestry(
    owner: ast.ClassDef, classes: Mapping[str, list[ast.ClassDef]], seen: tuple[str, ...] = ()
) -> Iterator[ast.ClassDef]:
    """A class, and all of ours that it is derived from."""
    yield owner
    for name in set(bases(owner)) - {owner.name, *seen}:
        for one in classes.get(name, []):
            yield from ancestry(one, classes, (*seen, owner.name))


@pytest.mark.slow
def test_every_public_function_says_what_it_does():
    trees = {path.relative_to(HOUSE).as_posix(): ast.parse(path.read_bytes()) for path in sorted(HOUSE.rglob("*.py"))}
    assert untold(trees) == []


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("def f(): ...", ["a.py: f"]),
        ("def _f(): ...", []),
        ("class A:\n def f(self): ...", ["a.py: A.f"]),
        ("class _A:\n def f(self): ...\n def _g(self): ...", ["a.py: _A.f"]),
        ("class A:\n @property\n def f(self):\n  'Told.'\n @f.setter\n def f(self, x): ...", []),
        ("class A:\n def f(self):\n  'Told.'\nclass B(A):\n def f(self): ...\n def g(self): ...", ["a.py: B.g"]),
        ("class A(Protocol):\n x: int\n def f(self):\n  'Told.'\nclass B:\n def f(self): ...", ["a.py: B.f"]),
        ("class A(Protocol):\n x: int\n def f(self):\n  'Told.'\nclass B:\n x = 1\n def f(self): ...", []),
    ],
)
def test_what_lacks_a_docstring_is_found(code, wanted):
    assert untold({"a.py": ast.parse(code)}) == wanted

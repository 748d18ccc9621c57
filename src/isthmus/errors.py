"""What goes wrong in a way the user can mend. The message says what was expected, what came, and what to do."""

import json
from typing import Any


class BadInput(ValueError):
    """The data, an argument or a file is not usable as given. Exit code 2."""


class NoSuchColumn(BadInput):
    """The data have no column of the name that was asked for; ``option`` is what it was asked for as."""

    def __init__(self, message: str, column: str, option: str) -> None:
        super().__init__(message)
        self.column, self.option = column, option

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.column, self.option)


class NoSuchClass(BadInput):
    """The data have no class of the name that was asked for."""


class BadEnvironment(RuntimeError):
    """The disk, a permission, a lock or a missing package stands in the way. Exit code 3."""


class MissingExtra(BadEnvironment, ImportError):
    """An optional package is needed; the message names the exact ``pip install``."""


class Lost(BadEnvironment):
    """Another process of several that work together is lost; ``first`` of them is who noticed it first, and speaks."""

    def __init__(self, message: str, first: bool) -> None:
        super().__init__(message)
        self.first = first

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.first)


def difference(there: Any, here: Any, where: str = "") -> str:
    """The first place in which two pieces of plain data differ, in words; "" if they are equal.

    Examples
    --------
    >>> difference({"plan": {"steps": 5}}, {"plan": {"steps": 7}})
    'plan.steps is 5 there and 7 here'
    """
    if isinstance(there, dict) and isinstance(here, dict):
        # Plain values first: they say best what a person asked for differently.
        for key in sorted(there.keys() | here.keys(), key=lambda k: (isinstance(here.get(k), dict | list), k)):
            found = difference(there.get(key), here.get(key), f"{where}.{key}" if where else key)
            if found:
                return found
        return ""
    if there == here:
        return ""
    show = [text if len(text := json.dumps(value)) <= 60 else text[:57] + "..." for value in (there, here)]
    return f"{where or 'it'} is {show[0]} there and {show[1]} here"

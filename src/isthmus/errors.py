"""What goes wrong in a way the user can mend. The message says what was expected, what came, and what to do."""


class BadInput(ValueError):
    """The data, an argument or a file is not usable as given. Exit code 2."""


class NoSuchColumn(BadInput):
    """The data have no column of labels of the name that was asked for."""


class NoSuchClass(BadInput):
    """The data have no class of the name that was asked for."""


class BadEnvironment(RuntimeError):
    """The disk, a permission, a lock or a missing package stands in the way. Exit code 3."""


class MissingExtra(BadEnvironment, ImportError):
    """An optional package is needed; the message names the exact ``pip install``."""

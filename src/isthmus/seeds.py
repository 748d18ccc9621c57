"""Seeds come from hashing what a thing *is*, never from the order in which it arrives."""

import hashlib
import json


def seed(*parts: object) -> int:
    """A 63-bit seed named by its parts.

    Parameters
    ----------
    *parts : str, int, float, bool, None, or lists and dicts of these
        What the random stream belongs to, e.g. ``seed(0, "plain", "digits", 3, "order")``.

    Examples
    --------
    >>> seed(0, "order") == seed(0, "order")
    True
    >>> seed(0, "order") == seed(1, "order")
    False
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

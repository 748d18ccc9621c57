"""A text in both languages stays one wherever it goes."""

import copy
import pickle

import pytest

from isthmus.said import Said

ROADS = {"pickle": lambda one: pickle.loads(pickle.dumps(one)), "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("road", ROADS)
def test_it_is_the_same_where_it_was_sent(road: str) -> None:
    found = ROADS[road](Said("Cost", "代价"))
    assert type(found) is Said
    assert (found, found.of("zh")) == ("Cost", "代价")

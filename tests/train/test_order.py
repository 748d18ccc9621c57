"""Rows come once per epoch, in a seeded order, in full batches."""

import torch

from isthmus.train.order import Order


def test_every_row_once_per_epoch_however_it_is_cut():
    stream = torch.cat([Order(7, seed=3).take(21)])
    for epoch in stream.split(7):
        assert epoch.sort().values.tolist() == list(range(7))
    other = Order(7, seed=3)
    assert torch.equal(stream, torch.cat([other.take(n) for n in (1, 5, 8, 0, 7)]))


def test_the_seed_names_the_order():
    assert not torch.equal(Order(50, seed=0).take(50), Order(50, seed=1).take(50))


def test_fewer_rows_than_a_batch():
    assert Order(1, seed=0).take(4).tolist() == [0, 0, 0, 0]

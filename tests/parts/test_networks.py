"""Convolutions, the small transformer, normalisation and skips: shapes, independent formulas, and the contract."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from isthmus.activations import ACTIVATIONS
from isthmus.errors import BadInput
from isthmus.families.l1 import L1
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.parts.backbones import Decoder, Encoder, TiedDecoder
from isthmus.parts.backbones.conv import ConvDecoder, ConvEncoder, sizes
from isthmus.parts.backbones.vit import Block, Patches, VitEncoder
from isthmus.registry import BACKBONES
from isthmus.testing import CHECKS, check_fields, check_gradcheck, check_overfits, check_stack, check_tape, rows

QUICK = [c for c in CHECKS if c not in (check_fields, check_overfits)]
NETWORKS = {
    "conv2d": ((4, 4), {"backbone": "conv2d", "hidden": (3,)}),
    "conv2d odd colours": ((5, 7, 2), {"backbone": "conv2d", "hidden": (4, 6), "norm": "layer", "activation": "tanh"}),
    "conv2d line": ((1, 9), {"backbone": "conv2d", "hidden": (3, 2), "activation": "elu"}),
    "conv1d": ((9,), {"backbone": "conv1d", "hidden": (3, 4)}),
    "conv1d channels": ((6, 2), {"backbone": "conv1d", "hidden": (3,), "activation": "silu"}),
    "vit": ((4, 4), {"backbone": "vit", "hidden": (8, 8)}),
    "vit odd colours": ((3, 5, 2), {"backbone": "vit", "hidden": (6,), "activation": "gelu"}),
    "norm and skips": ((6,), {"hidden": (8, 8, 5), "norm": "layer", "residual": True}),
    "tied norm and skips": ((6,), {"hidden": (5, 5), "norm": "layer", "residual": True, "tied": True}),
}


@pytest.mark.slow
@pytest.mark.parametrize("network", list(NETWORKS))
def test_contract(network):
    shape, fields = NETWORKS[network]
    for check in QUICK:
        check(Plain(latents=3, **fields), shape)
    check_tape(VAE(latents=2, **{k: v for k, v in fields.items() if k != "tied"}), shape, "gaussian")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["conv2d", "vit", "norm and skips"])
def test_learns(network):
    shape, fields = NETWORKS[network]
    check_overfits(Plain(latents=4, **fields), shape)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["conv2d", "vit", "norm and skips"])
def test_no_field_is_ignored(network):
    shape, fields = NETWORKS[network]
    check_fields(Plain(latents=2, **fields), shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in {"relu", "sigmoid", "tanh"}])
def test_every_activation_stacks_and_replays(name):
    recipe = Plain(latents=2, hidden=(4,), activation=name)
    for check in (check_stack, check_tape, check_gradcheck):
        check(recipe)


def test_activations_are_those_of_torch():
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    modules = {name.lower(): getattr(nn, name) for name in dir(nn)}
    for name, function in ACTIVATIONS.items():
        torch.testing.assert_close(function(x), modules[name.replace("_", "")]()(x))
        assert function(x).shape == x.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (4, 4), (5, 7), (28, 28), (1, 31)])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_convolutions_come_back_to_their_size(size, layers):
    hidden = tuple(range(2, 2 + layers))
    encoder = ConvEncoder("conv2d", (*size, 3), hidden, 4, "relu", "none")
    decoder = ConvDecoder("conv2d", (*size, 3), hidden, 4, "relu", "none")
    h = torch.rand(2, 3, *size)
    for layer, after in zip(encoder.layers, sizes(size, layers)[1:], strict=True):
        h = layer(h)
        assert h.shape[2:] == after == tuple(max(1, n // 2) for n in size)
        size = after
    assert decoder(torch.rand(2, 4)).shape[1:] == decoder.shape


def test_convolution_of_an_image_is_a_sum_over_windows():
    torch.manual_seed(0)
    encoder = ConvEncoder("conv2d", (6, 4, 2), (3,), 2, "identity", "none").double()
    with torch.no_grad():
        encoder.layers[0].bias.normal_()
    x = torch.randn(5, 6, 4, 2, dtype=torch.float64)
    padded = torch.zeros(5, 8, 6, 2, dtype=torch.float64)
    padded[:, 1:-1, 1:-1] = x
    weight = encoder.layers[0].weight.permute(2, 3, 1, 0)
    places = [[padded[:, i : i + 4, j : j + 4] for j in (0, 2)] for i in (0, 2, 4)]
    found = torch.stack([torch.stack([torch.einsum("bhwc,hwco->bo", w, weight) for w in r], 2) for r in places], 2)
    found = found + encoder.layers[0].bias[:, None, None]
    torch.testing.assert_close(encoder(x), encoder.last(found.flatten(1)))


def test_a_series_is_read_along_its_time():
    """Channels last: a step of the series shifts the code's input by places, not by channels."""
    torch.manual_seed(0)
    encoder = ConvEncoder("conv1d", (8, 3), (5,), 2, "identity", "none").double()
    x = torch.randn(4, 8, 3, dtype=torch.float64)
    want = functional.conv1d(x.transpose(1, 2), encoder.layers[0].weight[..., 0], encoder.layers[0].bias, 2, 1)
    torch.testing.assert_close(encoder(x), encoder.last(want.flatten(1)))


def test_the_decoder_covers_every_element_alike():
    """Constant channels give a constant inside: no checkerboard from uneven overlap."""
    decoder = ConvDecoder("conv2d", (16, 16), (2, 3), 1, "identity", "none")
    with torch.no_grad():
        for layer in decoder.layers:
            layer.weight.fill_(1.0)
        decoder.first.weight.fill_(1.0)
    inside = decoder(torch.ones(1, 1))[0, 3:-3, 3:-3]
    assert inside.unique().numel() == 1


@pytest.mark.parametrize("network", list(NETWORKS))
def test_start_predicts_the_mean_of_each_element(network):
    shape, fields = NETWORKS[network]
    x = rows(shape, 50)
    model = Plain(latents=3, **fields).build(shape, "bernoulli")
    model.start(x)
    torch.testing.assert_close(model.decoder(model.encode(x)).mean(0), torch.logit(x.mean(0)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model.encode(x).mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    assert model.decoder.last_bias.shape == (math.prod(shape),)
    assert model.decoder.dictionary.shape[1] == 3


@pytest.mark.parametrize("shape", [(4, 4), (28, 28), (5, 9), (1, 9), (3, 5, 2), (32, 32, 3), (1, 1), (100, 7)])
def test_patches_go_there_and_back(shape):
    patches = Patches(shape)
    x = torch.rand(3, *shape)
    cut = patches.cut(x)
    assert cut.shape == (3, patches.count, patches.size)
    assert patches.count <= 64
    assert torch.equal(patches.join(cut), x)


def test_patches_hold_neighbours():
    x = torch.arange(64.0).reshape(1, 8, 8)
    assert Patches((8, 8)).cut(x)[0, :2].tolist() == [[0, 1, 8, 9], [2, 3, 10, 11]]


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    block = Block(48, "gelu").double()
    assert block.heads == 3
    assert Block(20, "gelu").heads == 1
    h = torch.randn(2, 5, 48, dtype=torch.float64)
    theirs = nn.MultiheadAttention(48, 3, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(block.asks.weight)
        theirs.out_proj.weight.copy_(block.mixes.weight)
    torch.testing.assert_close(block.attend(h), theirs(h, h, h)[0])


def test_positions_tell_patches_apart():
    torch.manual_seed(0)
    encoder = VitEncoder((4, 4), (8,), 2, "gelu")
    x = torch.rand(1, 4, 4)
    moved = x.roll(2, dims=2)
    assert not torch.allclose(encoder(x), encoder(moved), atol=1e-6)
    with torch.no_grad():
        encoder.positions.zero_()
    torch.testing.assert_close(encoder(x), encoder(moved))


def test_norm_and_skip_as_a_formula():
    torch.manual_seed(0)
    net = Encoder((3,), (4, 4), 2, "tanh", "layer", residual=True).double()
    x = torch.randn(5, 3, dtype=torch.float64)

    def normal(h):
        return (h - h.mean(1, keepdim=True)) / (h.var(1, correction=0, keepdim=True) + 1e-5).sqrt()

    a, b, c = net.layers
    h = torch.tanh(normal(a(x)))
    h = torch.tanh(normal(b(h))) + h
    torch.testing.assert_close(net(x), c(h))


def test_a_skip_stands_between_equal_hidden_layers_only():
    torch.manual_seed(0)
    x = torch.randn(5, 4)
    for hidden, same in (((4,), True), ((4, 3), True), ((3, 3), False), ((5, 3, 3), False)):
        for kind in (Encoder, Decoder):
            torch.manual_seed(0)
            plain = kind((4,), hidden, 4, "relu")
            torch.manual_seed(0)
            skips = kind((4,), hidden, 4, "relu", residual=True)
            assert torch.equal(plain(x), skips(x)) is same


def test_tied_decoder_has_norms_and_skips_of_its_own():
    torch.manual_seed(0)
    encoder = Encoder((6,), (5, 5), 3, "tanh", "layer", residual=True)
    decoder = TiedDecoder(encoder, (6,))
    z = torch.randn(2, 3)
    first, second, third = (layer.weight for layer in encoder.layers)
    h = torch.tanh(functional.layer_norm(z @ third, (5,)))
    h = torch.tanh(functional.layer_norm(h @ second, (5,))) + h
    torch.testing.assert_close(decoder(z), h @ first)


REFUSED = {
    "needs hidden: the channels": ((8, 8), {"backbone": "conv2d"}),
    "needs hidden: the widths of its blocks": ((8, 8), {"backbone": "vit"}),
    r"takes images \(H, W\) or \(H, W, C\); these rows have shape \(64,\)": (
        (64,),
        {"backbone": "conv2d", "hidden": (4,)},
    ),
    r"takes series \(T,\) or \(T, C\)": ((4, 4, 3), {"backbone": "conv1d", "hidden": (4,)}),
    "blocks of backbone vit have one width": ((8, 8), {"backbone": "vit", "hidden": (8, 4)}),
    "takes no norm": ((8, 8), {"backbone": "vit", "hidden": (8,), "norm": "layer"}),
    "takes no residual": ((8, 8), {"backbone": "vit", "hidden": (8,), "residual": True}),
    "residual needs backbone mlp": ((8, 8), {"backbone": "conv2d", "hidden": (8, 8), "residual": True}),
    "residual needs .* of equal width": ((8,), {"hidden": (8, 4), "residual": True}),
    "norm layer needs hidden layers": ((8,), {"norm": "layer"}),
    "at least 2 elements": ((8,), {"hidden": (1,), "norm": "layer"}),
    "tied weights need backbone linear or mlp": ((8, 8), {"backbone": "conv2d", "hidden": (4,), "tied": True}),
    "norm must be one of none, layer": ((8,), {"norm": "batch"}),
    "residual must be true or false": ((8,), {"residual": 1}),
    "activation must be one of": ((8,), {"activation": "prelu"}),
    "Register a network of your own first": ((8,), {"backbone": "unheard_of"}),
}


@pytest.mark.parametrize("message", list(REFUSED))
def test_refused(message):
    shape, fields = REFUSED[message]
    with pytest.raises(BadInput, match=message) as caught:
        Plain(**fields).build(shape, "gaussian")
    assert "\n" not in str(caught.value)


def test_a_dictionary_of_unit_norm_in_every_network_of_the_house():
    for name, shape in zip(BACKBONES, [(6,), (6,), (8, 2), (5, 6), (4, 4)], strict=True):
        model = L1(latents=3, backbone=name, hidden=() if name == "linear" else (4,)).build(shape, "gaussian")
        torch.testing.assert_close(model.decoder.dictionary.norm(dim=0), torch.ones(3))

import copy

import pytest
import torch
from torch.func import functional_call

from isthmus.parts.backbones import ACTIVATIONS, Decoder, Encoder, TiedDecoder


def test_widths_are_mirrored():
    encoder, decoder = Encoder((4, 3), (7, 5), 2, "relu"), Decoder((4, 3), (7, 5), 2, "relu")
    assert [tuple(layer.weight.shape) for layer in encoder.layers] == [(7, 12), (5, 7), (2, 5)]
    assert [tuple(layer.weight.shape) for layer in decoder.layers] == [(5, 2), (7, 5), (12, 7)]
    assert encoder(torch.ones(6, 4, 3)).shape == (6, 2)
    assert decoder(torch.ones(6, 2)).shape == (6, 4, 3)


@pytest.mark.slow
def test_first_and_last_layer_are_raw():
    torch.manual_seed(0)
    encoder = Encoder((3,), (), 2, "relu").double()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(encoder(x), x @ encoder.layers[0].weight.t() + encoder.layers[0].bias)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activation_stands_between_layers(name):
    torch.manual_seed(0)
    net = Encoder((3,), (4,), 2, name).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    a, b = net.layers
    torch.testing.assert_close(net(x), b(ACTIVATIONS[name](a(x))))


def test_glorot_start():
    torch.manual_seed(0)
    layer = Encoder((300,), (), 500, "relu").layers[0]
    assert layer.weight.var().item() == pytest.approx(2 / 800, rel=0.02)
    assert not layer.bias.any()


def test_dictionary_is_what_a_code_element_adds():
    torch.manual_seed(0)
    encoder = Encoder((5,), (), 2, "relu")
    for decoder in (Decoder((5,), (), 2, "relu"), TiedDecoder(encoder, (5,))):
        unit = decoder(torch.tensor([[0.0, 1.0]])) - decoder(torch.zeros(1, 2))
        torch.testing.assert_close(unit[0], decoder.dictionary[:, 1])


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder((5,), (4,), 2, "tanh")
        self.decoder = TiedDecoder(self.encoder, (5,))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_tied_weights_stand_once():
    model = Tied()
    assert sum(p.numel() for p in model.parameters()) == (5 * 4 + 4 + 4 * 2 + 2) + (4 + 5)
    assert sorted(model.state_dict()) == sorted(dict(model.named_parameters()))
    first, second = model.encoder.layers
    z = torch.randn(3, 2)
    want = torch.tanh(z @ second.weight + model.decoder.biases[0]) @ first.weight + model.decoder.biases[1]
    torch.testing.assert_close(model.decoder(z), want)


def test_tie_survives_copy_and_functional_call():
    torch.manual_seed(0)
    model, x = Tied(), torch.randn(3, 5)
    twin = copy.deepcopy(model)
    before = model(x)
    with torch.no_grad():
        twin.encoder.layers[0].weight.zero_()
    torch.testing.assert_close(model(x), before)
    torch.testing.assert_close(twin(x), twin.decoder.biases[1].expand(3, 5))
    values = {k: v.clone() for k, v in model.state_dict().items()} | {"encoder.layers.0.weight": torch.zeros(4, 5)}
    torch.testing.assert_close(functional_call(model, values, (x,)), model.decoder.biases[1].expand(3, 5))

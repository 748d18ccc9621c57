import pytest
import torch

from isthmus.families.plain import Plain
from isthmus.testing import rows


@pytest.mark.parametrize("head", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_start_centres_the_raw_output(head, hidden):
    x = rows((4,), 40)
    model = Plain(latents=3, hidden=hidden, code_activation="sigmoid").build((4,), head)
    model.start(x)
    want = x.mean(0) if head == "gaussian" else torch.logit(x.mean(0))
    torch.testing.assert_close(model.decoder(model.encode(x)).mean(0), want)


def test_misfit_is_the_sum_over_elements_mean_over_rows_over_d():
    x = rows((2, 3), 10)
    model = Plain(latents=2).build((2, 3), "gaussian")
    z = model.encode(x)
    want = 0.5 * (model.decode(z) - x).square().sum((1, 2)).mean() / 6
    torch.testing.assert_close(model.misfit(z, x), want)


def test_bernoulli_decode_is_a_probability_and_gaussian_is_raw():
    for head in ("gaussian", "bernoulli"):
        model = Plain(latents=2).build((3,), head)
        z = 50 * torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
        raw = model.decoder(z)
        torch.testing.assert_close(model.decode(z), torch.sigmoid(raw) if head == "bernoulli" else raw)


def test_a_start_on_very_many_numbers_is_by_rows_evenly_spread(monkeypatch):
    from isthmus.parts import encoder_decoder

    def started(x):
        model = Plain(latents=2).build((3,), "gaussian")
        model.start(x)
        return model.decoder.last_bias.clone(), model.encoder.last.bias.clone()

    rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    few, whole = started(rows[::4]), started(rows)
    monkeypatch.setattr(encoder_decoder, "STARTED", 75)
    some = started(rows)
    assert torch.equal(some[1], few[1])
    assert not torch.equal(some[1], whole[1])
    # the mean of the rows is that of all of them
    torch.testing.assert_close(some[0] - few[0], rows.mean(0) - rows[::4].mean(0), rtol=1e-4, atol=1e-6)

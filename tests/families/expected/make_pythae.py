"""Loss terms as pythae computes them, on fixed weights, rows and noise: written to ``pythae.json`` beside this file.

Run in an environment of its own, for pythae's dependencies are not ours:

    python -m venv pythae && pythae/bin/pip install pythae==0.1.2
    pythae/bin/python tests/families/expected/make_pythae.py
"""

import json
from pathlib import Path

import torch
from pythae.models import (
    IWAE,
    RAE_L2,
    VAE,
    VQVAE,
    WAE_MMD,
    BetaTCVAE,
    BetaTCVAEConfig,
    IWAEConfig,
    RAE_L2_Config,
    VAEConfig,
    VQVAEConfig,
    WAE_MMD_Config,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

ROWS, WIDTH, LATENTS, SAMPLES, ENTRIES, ALL = 6, 5, 3, 4, 4, 40


class Encoder(BaseEncoder):
    def __init__(self, layer, gaussian):
        super().__init__()
        self.layer, self.gaussian = layer, gaussian

    def forward(self, x):
        h = self.layer(x)
        if not self.gaussian:
            return ModelOutput(embedding=h)
        mean, log_variance = h.chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self, layer, squash):
        super().__init__()
        self.layer, self.squash = layer, squash

    def forward(self, z):
        raw = self.layer(z)
        return ModelOutput(reconstruction=torch.sigmoid(raw) if self.squash else raw)


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return layer


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    x = torch.rand(ROWS, WIDTH)
    weights = {
        "encoder.layers.0.weight": 0.7 * torch.randn(2 * LATENTS, WIDTH),
        "encoder.layers.0.bias": 0.3 * torch.randn(2 * LATENTS),
        "decoder.layers.0.weight": 0.7 * torch.randn(WIDTH, LATENTS),
        "decoder.layers.0.bias": 0.3 * torch.randn(WIDTH),
    }
    noise, many = torch.randn(ROWS, LATENTS), torch.randn(ROWS, SAMPLES, LATENTS)
    book = torch.randn(ENTRIES, 1)  # pythae quantises each element of a flat code by itself
    enc = [weights["encoder.layers.0.weight"], weights["encoder.layers.0.bias"]]
    dec = [weights["decoder.layers.0.weight"], weights["decoder.layers.0.bias"]]

    def parts(gaussian, squash):
        outputs = 2 * LATENTS if gaussian else LATENTS
        encoder = Encoder(linear(enc[0][:outputs], enc[1][:outputs]), gaussian)
        return {"encoder": encoder, "decoder": Decoder(linear(*dec), squash)}

    def run(model, drawn):
        real = torch.randn_like
        torch.randn_like = lambda *a, **k: drawn.clone()
        try:
            return (
                model.double()({"data": x}, dataset_size=ALL) if model.model_name == "BetaTCVAE" else model({"data": x})
            )
        finally:
            torch.randn_like = real

    def told(out, *names):
        return {name: out[name].item() for name in names}

    size = {"input_dim": (WIDTH,), "latent_dim": LATENTS}
    found = {}
    for loss in ("bce", "mse"):
        both = {**size, "reconstruction_loss": loss}
        found[f"vae {loss}"] = told(
            run(VAE(VAEConfig(**both), **parts(True, loss == "bce")), noise), "recon_loss", "reg_loss"
        )
        found[f"iwae {loss}"] = told(
            run(IWAE(IWAEConfig(**both, number_samples=SAMPLES), **parts(True, loss == "bce")), many),
            "recon_loss",
            "reg_loss",
            "loss",
        )
    for alpha, beta, gamma in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        config = BetaTCVAEConfig(**size, reconstruction_loss="bce", alpha=alpha, beta=beta, gamma=gamma, use_mss=False)
        key = f"betatc {alpha:g} {beta:g} {gamma:g}"
        found[key] = told(run(BetaTCVAE(config, **parts(True, True)), noise), "recon_loss", "reg_loss")
    config = WAE_MMD_Config(**size, kernel_choice="imq", reconstruction_loss_scale=0.5)
    found["wae"] = told(run(WAE_MMD(config, **parts(False, False)), noise), "recon_loss", "mmd_loss")
    found["rae"] = told(
        run(RAE_L2(RAE_L2_Config(**size), **parts(False, False)), noise), "recon_loss", "embedding_loss"
    )
    vq = VQVAE(VQVAEConfig(**size, num_embeddings=ENTRIES, commitment_loss_factor=1.0), **parts(False, False))
    vq.quantizer.embeddings.weight.data = book.clone()
    vq.quantizer.quantization_loss_factor = 0.0
    torch.float = torch.float64  # its quantiser casts to float32 by that name
    found["vq"] = told(run(vq, noise), "recon_loss", "vq_loss")
    given = {"x": x, "noise": noise, "many": many, "book": book, **weights}
    content = {"sizes": {"rows": ALL}, "given": {k: v.tolist() for k, v in given.items()}, "pythae": found}
    Path(__file__).with_name("pythae.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

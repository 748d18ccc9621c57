"""A wide top-k autoencoder on a CPU: our training step, a dense loop by hand, SAELens and dictionary_learning.

Run: ``python benchmarks/wide.py [--peers ENVIRONMENT/bin/python] [--threads 1]``. The peers live in an environment of
their own (``pip install sae-lens dictionary-learning``) and are left out where they are not given. Every contender
makes steps of 4096 rows, 768 -> 16,384 units, k = 32, float32, from the same weights on the same batches, in a process
of its own, one after the other; CPU seconds of a step are the median over the steps after the first two. The mean
squared error of each step's batch is printed side by side: the same error from contenders of the same optimiser says
that they do the same work.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

SIZES = {"rows": 4096, "inputs": 768, "units": 16384, "k": 32}
RATE = 2e-4


def ingredients(sizes, steps):
    """Batches with a planted sparse structure, and initial weights (L, D) with unit norm: the same for everybody."""
    g = torch.Generator().manual_seed(0)
    weight = torch.nn.functional.normalize(torch.randn(sizes["units"], sizes["inputs"], generator=g), dim=1)
    atoms = torch.nn.functional.normalize(torch.randn(4096, sizes["inputs"], generator=g), dim=1)
    batches = []
    for _ in range(steps):
        chosen = torch.randint(0, 4096, (sizes["rows"], 24), generator=g)
        strength = torch.rand(sizes["rows"], 24, generator=g)
        batches.append(torch.nn.functional.embedding_bag(chosen, atoms, mode="sum", per_sample_weights=strength))
    return weight, batches


def timed(step, count):
    """CPU seconds and squared errors of steps."""
    seconds, errors = [], []
    for i in range(count):
        began = time.process_time()
        error = step(i)
        seconds.append(time.process_time() - began)
        errors.append(float(error))
    return seconds, errors


def isthmus(sizes, steps):
    """Ours: the engine's own step of the family topk, as ``fit`` takes it."""
    from isthmus.families import named
    from isthmus.train.stack import Stack

    weight, batches = ingredients(sizes, steps)
    recipe = named("topk").set_params(latents=sizes["units"], k=sizes["k"], head="gaussian")
    model = recipe.build((sizes["inputs"],), "gaussian")
    with torch.no_grad():
        model.encoder.last.weight.copy_(weight)
        model.decoder.dictionary.copy_(weight.t())
    stack = Stack(
        [model],
        corruption="none",
        levels=[0.0],
        generators=[torch.Generator()],
        rows=(torch.cat(batches),),
        batch=sizes["rows"],
    )
    names = list(model.weights)

    def step(i):
        numbers = torch.arange(i * sizes["rows"], (i + 1) * sizes["rows"])
        stack.step(numbers, 0.0, [RATE], tell=True)
        return 2 * stack.means()[0][names.index("reconstruction")]

    return timed(step, steps)


def dense(sizes, steps):
    """By hand: the same network and loss, dense products, torch.topk and scatter, fused Adam."""
    weight, batches = ingredients(sizes, steps)
    encoder = torch.nn.Linear(sizes["inputs"], sizes["units"])
    decoder = torch.nn.Linear(sizes["units"], sizes["inputs"])
    pre = torch.nn.Parameter(torch.zeros(sizes["inputs"]))
    with torch.no_grad():
        encoder.weight.copy_(weight)
        decoder.weight.copy_(weight.t())
        encoder.bias.zero_()
        decoder.bias.zero_()
    adam = torch.optim.Adam([pre, *encoder.parameters(), *decoder.parameters()], lr=RATE, fused=True)

    def step(i):
        x = batches[i]
        values, units = encoder(x - pre).topk(sizes["k"], sorted=False)
        z = x.new_zeros(len(x), sizes["units"]).scatter(1, units, values.relu())
        error = (decoder(z) - x).square().mean()
        adam.zero_grad()
        (0.5 * error).backward()
        adam.step()
        return error.detach()

    return timed(step, steps)


def dictionary_learning(sizes, steps):
    """TopKTrainer.update of dictionary_learning."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    weight, batches = ingredients(sizes, steps)
    trainer = TopKTrainer(
        steps=10_000,
        activation_dim=sizes["inputs"],
        dict_size=sizes["units"],
        k=sizes["k"],
        layer=0,
        lm_name="",
        lr=RATE,
        warmup_steps=0,
        device="cpu",
    )
    with torch.no_grad():
        trainer.ae.encoder.weight.copy_(weight)
        trainer.ae.decoder.weight.copy_(weight.t())

    def step(i):
        # The trainer sets its bias to the geometric median at step 0; it begins at step 1 to start from zero, as all.
        return trainer.update(i + 1, batches[i]) / sizes["inputs"]

    return timed(step, steps)


def sae_lens(sizes, steps, sparse=False):
    """The training step of SAELens: training_forward_pass, backward, clipping as its trainer does, Adam."""
    from sae_lens.saes.sae import TrainStepInput
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

    weight, batches = ingredients(sizes, steps)
    config = TopKTrainingSAEConfig(
        d_in=sizes["inputs"],
        d_sae=sizes["units"],
        k=sizes["k"],
        rescale_acts_by_decoder_norm=False,
        apply_b_dec_to_input=True,
        use_sparse_activations=sparse,
    )
    sae = TopKTrainingSAE(config)
    with torch.no_grad():
        sae.W_enc.copy_(weight.t())
        sae.W_dec.copy_(weight)
    adam = torch.optim.Adam(sae.parameters(), lr=RATE)
    alive = torch.zeros(sizes["units"], dtype=torch.bool)

    def step(i):
        given = TrainStepInput(
            sae_in=batches[i], coefficients={}, dead_neuron_mask=alive, n_training_steps=i, is_logging_step=False
        )
        out = sae.training_forward_pass(given)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        return out.losses["mse_loss"].detach() / sizes["inputs"]

    return timed(step, steps)


def sae_lens_sparse(sizes, steps):
    """SAELens with its option ``use_sparse_activations``."""
    return sae_lens(sizes, steps, sparse=True)


CONTENDERS = {f.__name__: f for f in (isthmus, dense, sae_lens, sae_lens_sparse, dictionary_learning)}
PEERS = ("sae_lens", "sae_lens_sparse", "dictionary_learning")


def run(python, name, options):
    """One contender in a process of its own."""
    command = [python, __file__, "--only", name, "--steps", str(options.steps), "--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: left out: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name}: {found['seconds']}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python of an environment with sae-lens and dictionary-learning")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=list(CONTENDERS), help="run one contender here and print JSON")
    options = parser.parse_args()
    if options.only:
        torch.set_num_threads(options.threads)
        seconds, errors = CONTENDERS[options.only](SIZES, options.steps)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": [round(s, 3) for s in seconds], "errors": errors, "memory": memory}))
        return
    names = [n for n in CONTENDERS if n not in PEERS or options.peers]
    results = {n: run(options.peers if n in PEERS else sys.executable, n, options) for n in names}
    median = {n: statistics.median(r["seconds"][2:]) for n, r in results.items() if r}
    flops = 2 * SIZES["rows"] * SIZES["inputs"] * SIZES["units"]
    a, b = torch.randn(SIZES["rows"] // 16, SIZES["inputs"]), torch.randn(SIZES["inputs"], SIZES["units"])
    torch.set_num_threads(options.threads)
    rates = []
    for _ in range(8):
        began = time.process_time()
        torch.mm(a, b)
        rates.append(flops / 16 / (time.process_time() - began))
    floor = flops / statistics.median(rates)
    print(f"the encoder's product alone: {flops / 1e9:.0f} GFLOP, {floor:.2f} CPU s here")
    print("| | CPU s | x isthmus | x floor | peak GiB | squared error of the first and the last batch |")
    print("|---|---|---|---|---|---|")
    for n, seconds in median.items():
        r = results[n]
        print(
            f"| {n} | {seconds:.2f} | {seconds / median['isthmus']:.1f} | {seconds / floor:.1f} | {r['memory']:.2f} "
            f"| {r['errors'][0]:.6f}, {r['errors'][-1]:.6f} |"
        )


if __name__ == "__main__":
    main()

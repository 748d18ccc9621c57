"""Tests run on one thread: small matrix products gain nothing from a second, and results must not depend on it."""

import torch

torch.set_num_threads(1)

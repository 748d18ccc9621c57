"""Tests run on one thread: small matrix products gain nothing from a second, and results must not depend on it.

No test looks at a clock, hypothesis neither: on a busy machine the first example may wait seconds for an import.
"""

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

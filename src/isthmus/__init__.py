"""Isthmus: which autoencoder, if any, serves your data and your purpose?

The names below load on first use, so that ``import isthmus`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.api.ablation import Ablation, ablate
    from isthmus.api.profile import DataProfile, profile
    from isthmus.api.several import Several, compare_many
    from isthmus.api.study import Study, compare
    from isthmus.data.source import source
    from isthmus.estimator.classifier import AutoencoderClassifier
    from isthmus.estimator.detector import AnomalyDetector
    from isthmus.estimator.nbsvm import NBSVM
    from isthmus.estimator.transformer import Autoencoder
    from isthmus.families import named
    from isthmus.registry import register_backbone
    from isthmus.ship.artefact import load, save
    from isthmus.train.fitted import fit
    from isthmus.train.plan import Plan

__version__ = "0.1.0"

__all__ = [
    "NBSVM",
    "Ablation",
    "AnomalyDetector",
    "Autoencoder",
    "AutoencoderClassifier",
    "DataProfile",
    "Plan",
    "Several",
    "Study",
    "ablate",
    "compare",
    "compare_many",
    "fit",
    "load",
    "named",
    "profile",
    "register_backbone",
    "save",
    "source",
]

_HOMES = {
    "Ablation": "isthmus.api.ablation",
    "AnomalyDetector": "isthmus.estimator.detector",
    "Autoencoder": "isthmus.estimator.transformer",
    "AutoencoderClassifier": "isthmus.estimator.classifier",
    "DataProfile": "isthmus.api.profile",
    "NBSVM": "isthmus.estimator.nbsvm",
    "Plan": "isthmus.train.plan",
    "Several": "isthmus.api.several",
    "Study": "isthmus.api.study",
    "ablate": "isthmus.api.ablation",
    "compare": "isthmus.api.study",
    "compare_many": "isthmus.api.several",
    "fit": "isthmus.train.fitted",
    "load": "isthmus.ship.artefact",
    "named": "isthmus.families",
    "profile": "isthmus.api.profile",
    "register_backbone": "isthmus.registry",
    "save": "isthmus.ship.artefact",
    "source": "isthmus.data.source",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

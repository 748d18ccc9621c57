"""Models on the Hugging Face hub (extra ``hub``): the folder of a saved model with its card, there and back.

Nothing here opens a socket unless it is asked to: a folder on this machine is read as it is, and where HF_HUB_OFFLINE
is set only what was fetched before is found.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from isthmus.errors import BadEnvironment, BadInput
from isthmus.ship import artefact, card
from isthmus.ship.deployed import Deployed

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}/[A-Za-z0-9][\w.\-]{0,95}", re.ASCII)
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
YES = frozenset({"1", "on", "yes", "true"})


def save_pretrained(fitted: Any, folder: str | os.PathLike[str]) -> Path:
    """Save a fitted model in the layout of the hub: that of :func:`isthmus.save`, and its card as ``README.md``.

    Parameters
    ----------
    fitted : Fitted, Deployed or estimator
    folder : path

    Returns
    -------
    Path
        The folder, which :func:`isthmus.load` takes too.

    Raises
    ------
    BadInput, BadEnvironment
        As :func:`isthmus.save`.

    Examples
    --------
    >>> import isthmus
    >>> import numpy as np
    >>> model = isthmus.fit(isthmus.named("pca").set_params(latents=1), np.random.default_rng(0).normal(size=(40, 3)))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     sorted(one.name for one in save_pretrained(model, f"{place}/model").iterdir())
    ['README.md', 'model.json', 'model.safetensors']
    """
    model = artefact.shipped(fitted)
    front = f"---\nlibrary_name: isthmus\ntags:\n- isthmus\n- autoencoder\n- {model.recipe.family}\n---\n"
    return artefact.save(model, folder, front + card.markdown(model))


def from_pretrained(
    where: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
) -> Deployed:
    """A model from a folder or file, or from a repository of the hub, checked like any other (:func:`isthmus.load`).

    Parameters
    ----------
    where : path or str
        A folder, a single file, or the name of a repository, ``owner/name``. What is there comes first.
    revision : str, optional
        A branch, tag or commit of the repository.
    token : str, optional
        By default the hub's own, if there is one.

    Raises
    ------
    BadInput
        If it is neither, or no model, or was changed.
    BadEnvironment
        If the hub cannot be had: its package is missing, it is out of reach, or HF_HUB_OFFLINE is set and the model was
        not fetched before.
    """
    if Path(where).exists():
        return artefact.load(where)
    name = _repository(where)
    hub = _hub()
    try:
        found = hub.snapshot_download(name, revision=revision, token=token, allow_patterns=list(artefact.MEMBERS))
    except (OSError, ValueError, RuntimeError) as error:
        raise _out_of_reach(name, error) from error
    with tempfile.TemporaryDirectory() as place:  # the hub's cache holds links, which load does not follow
        for member in artefact.MEMBERS:
            if (there := Path(found, member)).is_file():
                shutil.copyfile(there, Path(place, member))
        return artefact.load(place)


def push_to_hub(fitted: Any, repository: str, *, private: bool = True, token: str | None = None) -> str:
    """Send a fitted model to a repository of the hub, which is made if it is not there.

    Parameters
    ----------
    fitted : Fitted, Deployed or estimator
    repository : str
        ``owner/name``.
    private : bool, default True
        Whether a repository that is made here is seen by its owner alone.
    token : str, optional
        By default the hub's own, if there is one.

    Returns
    -------
    str
        Where it is now.

    Raises
    ------
    BadInput
        If the name is none, or the model cannot be saved.
    BadEnvironment
        If HF_HUB_OFFLINE is set, the package is missing, or the hub refuses.
    """
    name = _repository(repository)
    if variable := next((one for one in OFFLINE if os.environ.get(one, "").lower() in YES), None):
        raise BadEnvironment(f"{variable} is set, so nothing is sent to the hub: unset it, or use save_pretrained")
    hub = _hub()
    with tempfile.TemporaryDirectory() as place:
        folder = save_pretrained(fitted, Path(place, "model"))
        try:
            hub.create_repo(name, private=private, token=token, exist_ok=True)
            sent = hub.upload_folder(repo_id=name, folder_path=folder, token=token, commit_message="A model of isthmus")
        except (OSError, ValueError, RuntimeError) as error:
            raise _out_of_reach(name, error) from error
    return str(sent)


def _repository(name: str | os.PathLike[str]) -> str:
    if not isinstance(name, str) or not REPOSITORY.fullmatch(name):
        raise BadInput(f"expected a folder that is there, or a repository owner/name; got {str(name)!a:.100}")
    return name


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise BadEnvironment("the hub needs its package: pip install 'isthmus[hub]'") from None
    return huggingface_hub


def _out_of_reach(name: str, error: Exception) -> BadEnvironment:
    why = next(iter(str(error).split("\n")), "") or type(error).__name__
    return BadEnvironment(f"{name} on the hub: {why[:300]}")

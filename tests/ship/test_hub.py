"""Models in the layout of the hub: there and back by a hub of our own, and no socket unless it is asked for."""

import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.errors import BadEnvironment, BadInput
from isthmus.estimator.detector import AnomalyDetector
from isthmus.ship.artefact import load
from isthmus.ship.hub import from_pretrained, push_to_hub, save_pretrained

X = np.random.default_rng(0).normal(size=(200, 3))


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector("pca", latents=1, random_state=0).fit(X)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a socket was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A hub in a folder; like the real one it gives back links into a cache."""
    calls: list[tuple] = []

    def create_repo(name: str, **how: object) -> None:
        calls.append(("create", name, how))
        Path(tmp_path, "hub", name).mkdir(parents=True, exist_ok=True)

    def upload_folder(*, repo_id: str, folder_path: Path, **how: object) -> str:
        calls.append(("upload", repo_id, how))
        shutil.copytree(folder_path, Path(tmp_path, "hub", repo_id), dirs_exist_ok=True)
        return f"https://hub.example/{repo_id}"

    def snapshot_download(name: str, **how: object) -> str:
        calls.append(("download", name, how))
        if not Path(tmp_path, "hub", name).is_dir():
            raise OSError("404: no such repository\nand more")
        cache = Path(tmp_path, "cache")
        cache.mkdir()
        for one in Path(tmp_path, "hub", name).iterdir():
            (cache / one.name).symlink_to(one)
        return str(cache)

    module = SimpleNamespace(create_repo=create_repo, upload_folder=upload_folder, snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return calls


@pytest.mark.usefixtures("no_sockets")
def test_a_folder_has_safetensors_json_and_a_card(detector: AnomalyDetector, tmp_path: Path) -> None:
    place = save_pretrained(detector, tmp_path / "model")
    text = (place / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: isthmus\ntags:\n- isthmus\n- autoencoder\n- pca\n---\n# pca")
    assert {one.suffix for one in place.iterdir()} == {".safetensors", ".json", ".md"}
    for again in (from_pretrained(place), load(place)):
        np.testing.assert_array_equal(again.scores(X), detector.deployed_.scores(X))
    save_pretrained(detector, place)  # replaced like any model


def test_there_and_back(detector: AnomalyDetector, hub: list[tuple]) -> None:
    assert push_to_hub(detector, "some/one", token="t") == "https://hub.example/some/one"
    again = from_pretrained("some/one", revision="main", token="u")
    np.testing.assert_array_equal(again.flags(X), detector.predict(X) == -1)
    assert [(verb, name) for verb, name, _ in hub] == [(v, "some/one") for v in ("create", "upload", "download")]
    assert hub[0][2] == {"private": True, "token": "t", "exist_ok": True}
    assert (hub[2][2]["revision"], hub[2][2]["token"]) == ("main", "u")
    assert "model.json" in hub[2][2]["allow_patterns"]
    push_to_hub(detector, "some/two", private=False)
    assert hub[3][2]["private"] is False


def test_what_the_hub_refuses_is_one_line(hub: list[tuple]) -> None:
    with pytest.raises(BadEnvironment, match=r"^some/none on the hub: 404: no such repository$"):
        from_pretrained("some/none")


def test_offline_nothing_is_sent(detector: AnomalyDetector, hub: list[tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        with monkeypatch.context() as patched:
            patched.setenv(variable, "1")
            with pytest.raises(BadEnvironment, match=f"{variable} is set"):
                push_to_hub(detector, "some/one")
    assert hub == []


@pytest.mark.parametrize("name", ["nothing", "../up/model", "a/b/c", "https://x/y", "a/../b", "-x/y", "ü/y"])
def test_names_that_are_none_are_refused_before_anything(name: str, hub: list[tuple], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (from_pretrained, lambda one: push_to_hub(None, one)):
        with pytest.raises(BadInput, match="expected a folder that is there, or a repository owner/name"):
            call(name)
    assert hub == []


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadEnvironment, match=r"pip install 'isthmus\[hub\]'"):
        from_pretrained("some/one")


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.filterwarnings("ignore")
def test_the_real_hub_honours_its_switch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadEnvironment, match="some/one on the hub"):
        from_pretrained("some/one")

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from flexrel_sim.networks import CardFile
from tests.networks.cards import trained_tiny, write_checkpoint


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CardFile:
    return write_checkpoint(tmp_path_factory.mktemp("tiny"), trained_tiny().checkpoint)


@pytest.fixture
def folder(tiny: CardFile, tmp_path: Path) -> Path:
    for file in (tiny.file, tiny.checkpoint):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "of-a-test"
    monkeypatch.setenv("FLEXREL_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Threads cost more than they give on such small networks.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

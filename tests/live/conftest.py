"""Real schedulers for the tests, where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.slurm_cluster import Cluster, cluster, missing
from tests.live.slurm_files import Setup

GPU_SETUP = Setup(nodes=4, cpus=64, memory=512_000, gpus=8, accounting=True, rest=True)


@contextmanager
def talking_to(setup: Setup) -> Iterator[Cluster]:
    """Start a private Slurm that the commands of this process, and what it starts, talk to."""
    if reason := missing(setup):
        pytest.skip(f"no Slurm: {reason}")
    with cluster(setup) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(started.conf))
        yield started


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """A private Slurm of two nodes, without accounting; its slurm.conf."""
    with talking_to(Setup()) as started:
        yield started.conf


@pytest.fixture(scope="module")
def gpu_slurm() -> Iterator[Cluster]:
    """A private Slurm of four nodes of eight GPUs, with accounting and REST."""
    with talking_to(GPU_SETUP) as started:
        yield started

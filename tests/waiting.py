"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    true: Callable[[], bool], seconds: float = 30.0, said: Callable[[], str] = lambda: "waited too long"
) -> None:
    """Wait until ``true()``, and fail with what ``said`` gives if it takes too long."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, said()
        time.sleep(0.05)

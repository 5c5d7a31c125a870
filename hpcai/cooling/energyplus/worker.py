"""The process that EnergyPlus runs in: reads actuator values from one pipe, writes readings to another, step by step.

Run as a script with a JSON file that says what to simulate (:class:`hpcai.cooling.energyplus.process.Job`). It knows
nothing of hpcai or of any building, imports the standard library alone and so starts quickly; that EnergyPlus can
crash, or print, or leak, stays its own affair.

EnergyPlus calls back at the beginning of each zone time step, where actuators are written, at the end of each system
time step, where powers are summed up (a zone time step has one or more of these), and at the end of the zone time
step, where readings are sent. A value of nan hands an actuator back to the model's own control.
"""

from __future__ import annotations

import ctypes as c
import json
import math
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLBACK = c.CFUNCTYPE(None, c.c_void_p)
_WEATHER_RUN = 3  # kindOfSim: the run period, not a design day


class _HungUpError(Exception):
    """Whoever told us what to do has gone."""


class Simulation:
    """One run of EnergyPlus."""

    def __init__(self, job: dict[str, Any], commands: int, readings: int) -> None:
        self.job, self.commands, self.readings = job, commands, readings
        self.means, self.lasts = job["means"], job["lasts"]  # (variable, key) pairs
        self.form = struct.Struct(f"<{len(job['actuators'])}d")
        self.sums = [0.0] * len(self.means)
        self.hours = 0.0
        self.ready = False
        self.begun = False
        self.error: BaseException | None = None
        self.lib = c.CDLL(job["library"])
        self.lib.stateNewPython.restype = c.c_void_p
        for name in ("getVariableValue", "getInternalVariableValue", "systemTimeStep"):
            getattr(self.lib, name).restype = c.c_double
        for name in ("getVariableValue", "getInternalVariableValue", "resetActuator"):
            getattr(self.lib, name).argtypes = [c.c_void_p, c.c_int]
        self.lib.setActuatorValue.argtypes = [c.c_void_p, c.c_int, c.c_double]
        self.lib.energyplus.argtypes = [c.c_void_p, c.c_int, c.POINTER(c.c_char_p)]

    def run(self) -> int:
        """Simulate to the end and return EnergyPlus's exit code."""
        lib, job = self.lib, self.job
        state = c.c_void_p(lib.stateNewPython())  # stateNew() has crashed in stateDelete()
        lib.setEnergyPlusRootDirectory(state, job["root"].encode())
        lib.setConsoleOutputState(state, 0)
        for variable, key in (*self.means, *self.lasts):
            lib.requestVariable(state, variable.encode(), key.encode())
        hooks = [
            self._guarded(lambda state: self._begin(state)),
            self._guarded(lambda state: self._sum_up(state)),
            self._guarded(lambda state: self._end(state)),
        ]
        lib.callbackBeginZoneTimeStepBeforeInitHeatBalance(state, hooks[0])
        lib.callbackEndOfSystemTimeStepAfterHVACReporting(state, hooks[1])
        lib.callbackEndOfZoneTimeStepAfterZoneReporting(state, hooks[2])
        words = ["energyplus", "-w", job["weather"], "-d", job["folder"], job["model"]]
        arguments = (c.c_char_p * len(words))(*(word.encode() for word in words))
        code = int(lib.energyplus(state, len(words), arguments))
        if self.error is not None:
            raise self.error
        return code

    def _guarded(self, method: Callable[[c.c_void_p], None]) -> Any:
        def call(pointer: int) -> None:
            state = c.c_void_p(pointer)
            try:
                if self.error is None and self._in_weather(state):
                    method(state)
            except BaseException as error:  # must not cross the C boundary
                self.error = error
                self.lib.stopSimulation(state)

        return CALLBACK(call)

    def _in_weather(self, state: c.c_void_p) -> bool:
        """Whether the run period is on, its warm-up over; looks the names up when it begins."""
        lib = self.lib
        if not lib.apiDataFullyReady(state) or lib.warmupFlag(state) or lib.kindOfSim(state) != _WEATHER_RUN:
            return False
        if not self.ready:
            self._look_up(state)
            self.ready = True
        return True

    def _look_up(self, state: c.c_void_p) -> None:
        lib = self.lib

        def handle(find: Any, *names: str) -> int:
            found = int(find(state, *(name.encode() for name in names)))
            if found < 0:
                raise LookupError(f"the model has no {' / '.join(names)}")
            return found

        self.mean_handles = [handle(lib.getVariableHandle, *pair) for pair in self.means]
        self.last_handles = [handle(lib.getVariableHandle, *pair) for pair in self.lasts]
        self.actuators = [handle(lib.getActuatorHandle, *names) for names in self.job["actuators"]]
        self.scales = [
            1.0 if scale is None else lib.getInternalVariableValue(state, handle(lib.getInternalVariableHandle, *scale))
            for scale in self.job["scales"]
        ]

    def _begin(self, state: c.c_void_p) -> None:
        """Take the commands of the step that begins; before the first one say how things stand."""
        if not self.begun:
            self.begun = True
            self._send([self.lib.getVariableValue(state, handle) for handle in self.mean_handles], state)
        said = self._receive()
        for actuator, scale, value in zip(self.actuators, self.scales, self.form.unpack(said), strict=True):
            if math.isnan(value):
                self.lib.resetActuator(state, actuator)
            else:
                self.lib.setActuatorValue(state, actuator, value * scale)

    def _sum_up(self, state: c.c_void_p) -> None:
        hours, value = self.lib.systemTimeStep(state), self.lib.getVariableValue
        self.hours += hours
        self.sums = [total + hours * value(state, i) for total, i in zip(self.sums, self.mean_handles, strict=True)]

    def _end(self, state: c.c_void_p) -> None:
        means = [total / self.hours for total in self.sums]
        self.sums, self.hours = [0.0] * len(self.sums), 0.0
        self._send(means, state)

    def _send(self, means: list[float], state: c.c_void_p) -> None:
        values = means + [self.lib.getVariableValue(state, handle) for handle in self.last_handles]
        os.write(self.readings, struct.pack(f"<{len(values)}d", *values))

    def _receive(self) -> bytes:
        said = b""
        while len(said) < self.form.size:
            more = os.read(self.commands, self.form.size - len(said))
            if not more:
                raise _HungUpError
            said += more
        return said


def main(job_file: str, commands: str, readings: str) -> int:
    """Simulate what the file says; the other two are numbers of inherited pipes."""
    job = json.loads(Path(job_file).read_text("utf-8"))
    try:
        return Simulation(job, int(commands), int(readings)).run()
    except (_HungUpError, BrokenPipeError):
        return 0
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # EnergyPlus's own tear-down is not needed, and could crash

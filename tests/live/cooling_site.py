"""A site for tests: the fast plant in a hall behind a real Modbus TCP server, which can be cut, frozen and broken."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hpcai.cooling.interface import OWN, READINGS, SETPOINT_INDEX, Floats
from hpcai.live.cooling.points import PointMap, load_points
from hpcai.simulation.cooling.hall import Hall

SETPOINTS = {
    "east_supply": {"low": 16.0, "high": 27.0, "rate": 0.1, "own": 18.0},
    "west_supply": {"low": 16.0, "high": 27.0, "rate": 0.1, "own": 18.0},
    "east_airflow": {"scale": 0.001, "own": 1.0},
    "west_airflow": {"scale": 0.001, "own": 1.0},
    "chilled_water": {"own": 7.0},
}
FIRST_HOLDING = 100


def point_map() -> dict[str, Any]:
    """Return a map of a plant with every reading in floats, loads and setpoints as numbers with a scale."""
    names = [point.name for point in READINGS]
    loads = ("east_load", "west_load")
    readings: dict[str, Any] = {
        name: {"table": "input", "address": 2 * i, "type": "float32"} for i, name in enumerate(names)
    }
    for name in ("east_supply", "west_supply"):
        readings[name]["frozen"] = False  # the plant holds them to the digit
    readings["dry_bulb"] |= {"word_order": "little"}
    return {
        "word_order": "big",
        "unit": 3,
        "readings": readings,
        "loads": {
            name: {"table": "input", "address": 60 + i, "type": "uint16", "scale": 0.0001}
            for i, name in enumerate(loads)
        },
        "setpoints": {
            name: {"address": FIRST_HOLDING + i, "scale": 0.1} | of for i, (name, of) in enumerate(SETPOINTS.items())
        },
        "release": {"address": 120},
        "enable": {"table": "input", "address": 70},
        "heartbeat": {"address": 121},
    }


def write_points(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(point_map() | changes))
    return path


@dataclass
class Time:
    """A clock that the test moves."""

    now: float
    passed: float = 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds


@dataclass
class Site:
    """Registers with a hall behind them; ``writes`` are (name, value) in order."""

    points: PointMap
    hall: Hall
    start: int = 4000
    words: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[str, float]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    refuses_to_write: set[str] = field(default_factory=set)
    held: dict[str, float] = field(default_factory=dict)  # readings that no longer follow the plant
    silent: bool = False
    connections: int = 0
    still: int = 0
    beat: float = 0.0

    def __post_init__(self) -> None:
        self.names = {register.address: name for name, register in self.points.read.items()}
        self.names |= {register.address: name for name, register in self.points.written.items()}
        for name, setpoint in self.points.setpoints.items():
            self.put(name, setpoint, setpoint.own if setpoint.own is not None else 20.0)
        self.allow(True)
        self.put("release", self.points.written["release"], 0.0)
        self.put("heartbeat", self.points.written["heartbeat"], 0.0)
        self.observation = self.hall.begin(self.start)
        self.publish()

    def put(self, name: str, register: Any, value: float) -> None:
        self.words |= {register.address + i: word for i, word in enumerate(register.encode(value))}

    def get(self, name: str) -> float:
        register = self.points.written[name]
        return register.decode([self.words[register.address + i] for i in range(register.count)])

    @property
    def released(self) -> bool:
        """Whether the plant is in control of itself."""
        return self.get("release") == 0.0

    def allow(self, allowed: bool) -> None:
        assert self.points.enable is not None
        self.put("enable", self.points.enable, float(allowed))

    def own_setpoints(self) -> bool:
        return all(math.isclose(self.get(name), of["own"], abs_tol=1e-6) for name, of in SETPOINTS.items())

    def told(self) -> Floats:
        """Return what the plant is told: by the registers, or by nobody."""
        told = OWN.copy()
        if not self.released:
            for name in self.points.setpoints:
                told[SETPOINT_INDEX[name]] = self.get(name)
        return told

    def step(self, watchdog: int = 3) -> None:
        """Go one step on; without a heartbeat for ``watchdog`` steps the plant takes itself back."""
        beat = self.get("heartbeat")
        self.still, self.beat = (0 if beat != self.beat else self.still + 1), beat
        if self.still >= watchdog:
            self.put("release", self.points.written["release"], 0.0)
        self.observation = self.hall.step(self.told())
        self.publish()

    def publish(self) -> None:
        """Put the readings of now into the registers."""
        values = {point.name: float(self.observation[i]) for i, point in enumerate(READINGS)}
        values |= {
            "east_load": float(self.observation[len(READINGS)]),
            "west_load": float(self.observation[len(READINGS) + 1]),
        }
        for name, value in (values | self.held).items():
            register = self.points.readings.get(name) or self.points.loads.get(name)
            if register is not None:
                self.put(name, register, value)

    def freeze(self, name: str) -> None:
        """Let a reading stay as it is."""
        self.held[name] = float(np.float32(self.observation[[p.name for p in READINGS].index(name)]))

    def names_in(self, address: int, count: int) -> set[str]:
        return {self.names[a] for a in range(address, address + count) if a in self.names}

    async def answer(
        self, code: int, first: int, address: int, count: int, registers: list[int], given: list[int] | None
    ) -> ExcCodes | None:
        """Serve a request, as pymodbus asks."""
        while self.silent:
            await asyncio.sleep(0.01)
        if (code == 4) != (address < FIRST_HOLDING) or self.names_in(address, count) & self.refuses:
            return ExcCodes.ILLEGAL_ADDRESS
        if given is not None and self.names_in(address, count) & self.refuses_to_write:
            return ExcCodes.ILLEGAL_VALUE
        if given is not None:
            self.words |= {address + i: int(word) for i, word in enumerate(given)}
            self.writes.append((self.names[address], self.get(self.names[address])))
        for i in range(count):
            registers[address - first + i] = self.words.get(address + i, 0)
        return None


class Server:
    """A Modbus TCP server for a site, in a thread, on a port of its own that it keeps when it is cut and mended."""

    def __init__(self, site: Site) -> None:
        self.site = site
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: ModbusTcpServer | None = None
        self.mend()

    def _run(self, work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(10)

    def mend(self) -> None:
        """Serve."""
        self._run(self._serve())

    async def _serve(self) -> None:
        device = SimDevice(3, [SimData(0, count=200, values=0, datatype=DataType.REGISTERS)], action=self.site.answer)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port), trace_connect=self._count)
        await self._server.serve_forever(background=True)

    def _count(self, connected: bool) -> None:
        self.site.connections += connected

    def cut(self) -> None:
        """Close every connection and listen no more."""
        if self._server is not None:
            self._run(self._shutdown())

    async def _shutdown(self) -> None:
        assert self._server is not None
        await self._server.shutdown()
        self._server = None
        await asyncio.sleep(0.01)  # transports close in the next turns of the loop

    def close(self) -> None:
        self.site.silent = False
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def served(folder: Path, hall: Hall, **changes: Any) -> Iterator[tuple[Site, Server, Path]]:
    """Yield a site, its server and the file of its point map."""
    path = write_points(folder / "points.yaml", **changes)
    site = Site(load_points(path), hall)
    server = Server(site)
    try:
        yield site, server, path
    finally:
        server.close()

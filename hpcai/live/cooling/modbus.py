"""A plant's controller behind Modbus TCP: registers read in as few requests as can be, and written one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from hpcai.errors import HpcaiError, InputError
from hpcai.live.cooling.registers import Register

_MOST: Final = 100  # registers of a request; the protocol allows 125
_WHY: Final = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "busy",
               10: "no path to the unit", 11: "the unit does not answer"}  # fmt: skip

Names = dict[str, Register]


class LostError(HpcaiError):
    """There is no connection, or nobody answers."""


class RefusedError(HpcaiError):
    """The plant answered that a register cannot be read or written."""


class Connection:
    """A connection that is made when it is first needed, and again after it was lost."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        """Connect to nobody yet; ``timeout`` (s) holds for each answer. Raises InputError without pymodbus."""
        try:
            from pymodbus.client import ModbusTcpClient
        except ImportError as error:
            raise InputError("live cooling: needs pymodbus; install hpcai[modbus]") from error
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what goes wrong is told by us
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._client: Any = ModbusTcpClient(host, port=port, timeout=timeout, retries=0)
        self._where = f"{host}:{port}"

    @property
    def connected(self) -> bool:
        """Whether it is there, as far as is known."""
        return bool(self._client.connected)

    def connect(self) -> None:
        """Raise LostError if nobody is there."""
        if not self._client.connect():
            raise LostError(f"{self._where}: no connection")

    def close(self) -> None:
        """End it."""
        self._client.close()

    def read(self, registers: Mapping[str, Register]) -> dict[str, float]:
        """Return the values of registers by name; nan for none. Raises LostError, RefusedError."""
        values = {}
        for run in _runs(registers):
            first = next(iter(run.values()))
            ask = self._client.read_input_registers if first.table == "input" else self._client.read_holding_registers
            count = max(register.address + register.count for register in run.values()) - first.address
            words = self._answer(partial(ask, first.address, count=count, device_id=first.unit), run)
            if len(words) != count:
                self.close()
                raise LostError(f"{self._where}: {len(words)} registers of {count} were answered")
            for name, register in run.items():
                begin = register.address - first.address
                values[name] = register.decode(words[begin : begin + register.count])
        return values

    def write(self, name: str, register: Register, value: float) -> None:
        """Write a value. Raises LostError, RefusedError."""
        words = register.encode(value)
        tell = self._client.write_register if len(words) == 1 else self._client.write_registers
        told = words[0] if len(words) == 1 else words
        self._answer(partial(tell, register.address, told, device_id=register.unit), [name])

    def _answer(self, ask: Callable[[], Any], names: Iterable[str]) -> list[int]:
        try:
            answer = ask()
        except Exception as error:  # pymodbus raises errors of many kinds on frames that are none
            self.close()
            raise LostError(f"{self._where}: {error}") from error
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            raise RefusedError(f"{', '.join(names)}: refused, {_WHY.get(code, f'exception {code}')}")
        return list(answer.registers)


def _runs(registers: Mapping[str, Register]) -> Iterator[Names]:
    """Yield registers that one request can read: of one table and unit, one right after another."""
    ordered = sorted(registers.items(), key=lambda item: (item[1].unit, item[1].table, item[1].address))
    run: Names = {}
    begin = end = 0
    for name, register in ordered:
        last = next(reversed(run.values())) if run else register
        follows = (register.unit, register.table) == (last.unit, last.table) and register.address <= end
        after = register.address + register.count
        if run and not (follows and after - begin <= _MOST):
            yield run
            run = {}
        if not run:
            begin = end = register.address
        run[name], end = register, max(end, after)
    if run:
        yield run

"""A value in Modbus registers: its type, its words, its scale."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Type = Literal["int16", "uint16", "int32", "uint32", "float32"]

_CODES: Final = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}
_RANGES: Final = {
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "float32": (-3.4e38, 3.4e38),
}
FITS: Final = {name: f"{name} ({low:g} to {high:g} times its scale)" for name, (low, high) in _RANGES.items()}
"""What a type holds, in words."""


class Register(BaseModel):
    """Where a value lies: value = number in the register x ``scale`` + ``offset``.

    ``address`` counts from 0, as it stands in a request: register 40001 of the old notation is holding 0. ``missing``
    is the number that stands for no value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Literal["holding", "input"] = "holding"
    address: Annotated[int, Field(ge=0, le=65535)]
    type: Type = "int16"
    word_order: Literal["big", "little"] = "big"  # of types of two registers: big, the high word first
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    missing: float | None = None

    @property
    def count(self) -> int:
        """Registers that it takes."""
        return 1 if self.type.endswith("16") else 2

    def number(self, value: float) -> float:
        """Return the number that stands for a value."""
        number = (value - self.offset) / self.scale if self.scale else math.nan
        return number if self.type == "float32" else float(round(number)) if math.isfinite(number) else math.nan

    def holds(self, value: float) -> bool:
        """Whether a value can be written."""
        low, high = _RANGES[self.type]
        return low <= self.number(value) <= high

    def same(self, a: float, b: float) -> bool:
        """Whether two values are written as the same words."""
        return self.holds(a) and self.holds(b) and self.encode(a) == self.encode(b)

    def encode(self, value: float) -> list[int]:
        """Return the words of a value that it holds."""
        number = self.number(value)
        data = struct.pack(_CODES[self.type], number if self.type == "float32" else int(number))
        words = [int(word) for word in struct.unpack(f">{self.count}H", data)]
        return words if self.word_order == "big" else words[::-1]

    def decode(self, words: Sequence[int]) -> float:
        """Return the value of words; nan if they stand for none."""
        ordered = words if self.word_order == "big" else words[::-1]
        (number,) = struct.unpack(_CODES[self.type], struct.pack(f">{self.count}H", *ordered))
        return math.nan if number == self.missing else float(number) * self.scale + self.offset

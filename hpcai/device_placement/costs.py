"""How long an operator takes on a kind of device: a roofline with efficiencies, from a table in YAML.

    seconds = overhead + max(FLOPs / (peak x compute), bytes / (bandwidth x share of bandwidth))

Source of the form: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009. Where the figures come from stands beside
each in ``costs.yaml``.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError

VALUE_BYTES: Final = {"float32": 4, "tfloat32": 4, "float16": 2, "bfloat16": 2}

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Backward(_Part):
    """The backward pass over the forward pass."""

    flops: _NonNegative = 2.0
    moved: _NonNegative = 2.0


class Efficiency(_Part):
    """What a class of operators reaches of a device's peaks; above 1 where an algorithm does less than is counted."""

    compute: _Positive  # share of the peak in float32
    tensor: _Positive  # share of the peak in lower precisions
    bandwidth: _Positive  # share of the memory bandwidth
    backward: Backward = Backward()


class Override(_Part):
    """What of an efficiency is different on one kind of device."""

    compute: _Positive | None = None
    tensor: _Positive | None = None
    bandwidth: _Positive | None = None
    backward: Backward | None = None


class DeviceKind(_Part):
    """A kind of device."""

    peak: dict[str, _Positive]  # FLOP/s by precision
    bandwidth: _Positive  # bytes/s of its memory
    memory: _Positive  # bytes
    overhead: _NonNegative  # seconds of an operator beside its work
    classes: dict[str, Override] = {}  # where it differs from the table's


class CostTable(_Part):
    """Kinds of device, and what each class of operators reaches on them."""

    classes: dict[str, Efficiency]
    free: frozenset[str] = frozenset()  # classes that take no time
    devices: dict[str, DeviceKind]

    @model_validator(mode="after")
    def _knows_the_unknown(self) -> Self:
        if "unknown" not in self.classes:
            raise ValueError("classes: expected one 'unknown' for operators of no other class")
        return self

    def device(self, name: str) -> DeviceKind:
        """Return a kind of device; InputError, with the names that there are, if there is none of ``name``."""
        if name not in self.devices:
            raise InputError(f"device {name!r}: expected one of {', '.join(self.devices)}")
        return self.devices[name]

    def efficiency(self, name: str, device: DeviceKind) -> Efficiency:
        """Return what operators of class ``name`` reach on ``device``; of 'unknown' where there is no such class."""
        known = name if name in self.classes else "unknown"
        common = self.classes[known]
        own = device.classes.get(known)
        return common.model_copy(update=own.model_dump(exclude_none=True)) if own else common

    def seconds(
        self, name: str, flops: float, moved: float, device: str, precision: str = "float32", backward: bool = False
    ) -> float:
        """Return the seconds of an operator.

        Args:
            name: its class.
            flops: floating-point operations of its forward pass, two for a multiply-add.
            moved: bytes that its forward pass reads and writes.
            device: a kind of device of the table.
            precision: one of the device's.
            backward: whether to time its backward pass.

        Raises:
            InputError: there is no such device, or it has no such precision.
        """
        kind = self.device(device)
        if precision not in kind.peak:
            raise InputError(f"device {device}: precision {precision!r}: expected one of {', '.join(kind.peak)}")
        if name in self.free:
            return 0.0
        reached = self.efficiency(name, kind)
        more = reached.backward if backward else Backward(flops=1.0, moved=1.0)
        compute = reached.compute if precision == "float32" else reached.tensor
        return kind.overhead + max(
            flops * more.flops / (kind.peak[precision] * compute),
            moved * more.moved / (kind.bandwidth * reached.bandwidth),
        )


@cache
def default_table() -> CostTable:
    """Return the table that ships with the package, ``costs.yaml``."""
    return read_table(Path(str(resources.files("hpcai.device_placement") / "costs.yaml")))


def read_table(path: str | Path) -> CostTable:
    """Return the table in a YAML file like ``costs.yaml``; raises InputError with the key that is wrong."""
    return validated(CostTable, read_mapping(path), str(path))

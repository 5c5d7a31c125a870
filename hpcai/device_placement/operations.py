"""Operators by what they compute, before they have times: the common ground of the zoo, of ONNX and of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.costs import CostTable, default_table
from hpcai.device_placement.graph import OperatorGraph

_TWO_GRADIENTS: Final = ("conv", "depthwise", "matmul", "recurrent")  # one for the input, one for the weights
_FEW: Final = 4  # channels: images, where hardly any product is large enough
_MANY: Final = 128  # channels from which on Winograd's algorithm pays for 3 x 3


@dataclass(frozen=True)
class Operation:
    """One operator of a forward pass."""

    name: str
    kind: str  # a class of the cost table
    inputs: tuple[str, ...] = ()  # names of the operators whose output it takes
    flops: float = 0.0  # two for a multiply-add
    moved: float = 0.0  # bytes that it reads and writes
    weights: float = 0.0  # bytes of parameters
    output: float = 0.0  # bytes
    saved: float = 0.0  # bytes kept for the backward pass
    cost: str = ""  # class of the cost table where it is finer than the kind, such as conv3x3


def conv_cost(kernel: tuple[int, ...], stride: int, before: int, after: int, groups: int = 1) -> str:
    """Return the class of cost of a convolution by its kernel, its stride, its channels ``before`` and ``after``."""
    if groups > 1 and groups == before:
        return "depthwise"
    if before <= _FEW:
        return "conv_narrow"
    return "conv3x3" if kernel == (3, 3) and stride == 1 and min(before, after) // groups >= _MANY else "conv"


def priced(
    name: str,
    operations: Sequence[Operation],
    device_kinds: Sequence[str] = ("V100",),
    *,
    precision: str = "float32",
    training: bool = True,
    table: CostTable | None = None,
    where: str | None = None,
) -> OperatorGraph:
    """Return the graph of ``operations``, in topological order, with costs on each of ``device_kinds``.

    An operator without weights after inputs alone has no backward pass; one with weights there needs no gradient of
    its input, which halves the work of those that have two. Errors name ``where``, by default the graph.

    Raises:
        InputError: a device or a precision that the table does not have; see ``assemble``.
    """
    table = table or default_table()
    differentiable: set[str] = set()
    rows = []
    for operation in operations:
        inner = any(source in differentiable for source in operation.inputs)
        if inner or operation.weights:
            differentiable.add(operation.name)
        share = 0.0 if not (inner or operation.weights) or not training else 1.0
        if not inner and operation.kind in _TWO_GRADIENTS:
            share /= 2
        rows.append(_row(operation, device_kinds, precision, share, table))
    edges = [(source, operation.name) for operation in operations for source in operation.inputs]
    return assemble(where or name, name, device_kinds, rows, edges)


def _row(operation: Operation, devices: Sequence[str], precision: str, backward: float, table: CostTable) -> Row:
    name, flops, moved = operation.cost or operation.kind, operation.flops, operation.moved
    return Row(
        operation.name,
        operation.kind,
        forward=[table.seconds(name, flops, moved, device, precision) for device in devices],
        backward=[
            table.seconds(name, flops * backward, moved * backward, device, precision, backward=True)
            if backward
            else 0.0
            for device in devices
        ],
        weights=operation.weights,
        activations=operation.saved,
        output=operation.output,
    )

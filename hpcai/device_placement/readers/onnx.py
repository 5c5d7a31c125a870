"""ONNX files: operators with the shapes that ONNX infers, and costs from the table.

Only shapes are read, never weights; data in other files is not opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import onnx

from hpcai.device_placement.costs import CostTable
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.operations import Operation, priced
from hpcai.device_placement.readers._onnx_model import Tensor, load
from hpcai.device_placement.readers._onnx_work import Node, work
from hpcai.errors import InputError
from hpcai.records.readers._source import stem

_LATEST: Final = 30  # version of the format that there may be; onnx 1.23 writes 14
_FEW: Final = 64  # integers: no more of them are the arithmetic of shapes


def matches(head: bytes) -> bool:
    """Whether it begins as a model of ONNX does: the field of the format's version."""
    return len(head) > 1 and head[0] == 0x08 and 0 < head[1] <= _LATEST


def read(
    path: Path,
    *,
    device_kinds: Sequence[str] = ("V100",),
    sizes: Mapping[str, int] | None = None,
    precision: str = "float32",
    training: bool = False,
    table: CostTable | None = None,
) -> OperatorGraph:
    """Return the graph in an ONNX file, with costs on each of ``device_kinds``.

    Args:
        path: the file.
        device_kinds: of the ``table``.
        sizes: of dimensions that the file leaves open, by their name, such as ``{"batch": 32}``, or by the input and
            the dimension's number, such as ``{"images.0": 32}``.
        precision: of the products; bytes are those of the file's types.
        training: whether to add a backward pass.
        table: costs; by default those that ship with the package.

    Raises:
        InputError: it cannot be read, is no model, has control flow or a dimension of unknown size; see ``priced``.
    """
    model, tensors = load(path, dict(sizes or {}))
    operations = list(_Reader(path, model, tensors, training).operations())
    return priced(
        stem(path),
        operations,
        device_kinds,
        precision=precision,
        training=training,
        table=table,
        where=str(path),
    )


class _Reader:
    """Turns the nodes of a graph, in order, into operations."""

    def __init__(self, path: Path, graph: onnx.GraphProto, tensors: Mapping[str, Tensor], training: bool) -> None:
        self.path, self.graph, self.tensors, self.training = path, graph, tensors, training
        self.names = {node.name for node in graph.node}
        self.weights: dict[str, frozenset[str]] = {}  # of a constant tensor, the weights that it is made of
        self.maker: dict[str, str] = {}  # of any other, its operator
        self.uses: dict[str, int] = {}

    def operations(self) -> Iterator[Operation]:
        """Give the operators: inputs, weights that several share, and nodes that depend on an input."""
        self._find_constants()
        for given in self.graph.input:
            if given.name not in self.weights:
                yield self._source(given.name, "input", 0.0)
        for name, uses in self.uses.items():
            if uses > 1 and self.tensors[name].shape:
                yield self._source(name, "variable", self.tensors[name].bytes)
        for node in self.graph.node:
            if not all(output in self.weights for output in filter(None, node.output)):
                yield self._operation(node)

    def _find_constants(self) -> None:
        stored = (*self.graph.initializer, *(sparse.values for sparse in self.graph.sparse_initializer))
        for tensor in stored:
            self.weights[tensor.name] = frozenset() if self.tensors[tensor.name].integer else frozenset([tensor.name])
        for node in self.graph.node:
            taken, made = list(filter(None, node.input)), list(filter(None, node.output))
            if node.op_type == "Constant":
                known = self.tensors.get(made[0])
                self.weights[made[0]] = frozenset(made if known and known.shape and not known.integer else ())
            elif all(name in self.weights for name in taken):
                made_of = frozenset().union(*(self.weights[name] for name in taken))
                self.weights |= dict.fromkeys(made, made_of)
            else:
                for name in self._weights_of(node):
                    self.uses[name] = self.uses.get(name, 0) + 1

    def _weights_of(self, node: onnx.NodeProto) -> list[str]:
        return sorted({name for taken in node.input for name in self.weights.get(taken, ())})

    def _source(self, tensor: str, kind: str, weights: float) -> Operation:
        name = tensor if tensor not in self.names else f"{kind} {tensor}"
        self.maker[tensor] = name
        return Operation(name, kind, weights=weights, output=self.tensors[tensor].bytes)

    def _operation(self, node: onnx.NodeProto) -> Operation:
        taken = [self._known(node, name) for name in node.input]
        made = [self._known(node, name) for name in node.output if name]
        self.maker |= dict.fromkeys(filter(None, node.output), node.name)
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        described = Node([tensor.shape for tensor in taken], made[0].shape, attributes)
        try:
            kind, flops, cost = work(node.op_type, described, [name in self.weights for name in node.input])
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{self.path}: operator {node.name!r}: not a {node.op_type} as ONNX has it") from error
        if all(tensor.integer and math.prod(tensor.shape) <= _FEW for tensor in made):
            kind = "view"  # the arithmetic of shapes
        output = sum(tensor.bytes for tensor in made)
        own = [name for name in self._weights_of(node) if name not in self.maker]
        self.maker |= dict.fromkeys(own, "")  # a scalar that several share counts once
        shared = [self.maker[name] for name in self._weights_of(node) if self.maker[name]]
        sources = [self.maker[name] for name in node.input if self.maker.get(name)]
        return Operation(
            node.name,
            kind,
            tuple(dict.fromkeys([*sources, *shared])),
            flops=flops,
            moved=self._moved(kind, taken, output),
            weights=sum(self.tensors[name].bytes for name in own),
            output=output,
            saved=0.0 if kind == "view" else output,
            cost=cost,
        )

    def _moved(self, kind: str, taken: Sequence[Tensor], output: float) -> float:
        if kind == "embedding":
            return 2 * output
        again = taken[0].bytes if kind == "normalization" and self.training else 0.0
        return sum(tensor.bytes for tensor in taken) + again + output

    def _known(self, node: onnx.NodeProto, name: str) -> Tensor:
        if not name:
            return Tensor((), 0.0, False)
        if name not in self.tensors:
            raise InputError(
                f"{self.path}: operator {node.name!r} ({node.op_type}): the shape of {name!r} cannot be inferred; "
                "simplify the model to constant shapes first"
            )
        return self.tensors[name]

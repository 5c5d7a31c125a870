"""A model of ONNX made ready to be read: its operators in order, and the shape of every tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from hpcai.errors import FormatError, InputError

_CONTROL: Final = ("If", "Loop", "Scan", "SequenceMap")


class Tensor(NamedTuple):
    """A tensor's shape, and what it takes."""

    shape: tuple[int, ...]
    bytes: float
    integer: bool  # of more than a byte: numbers of things, not quantized values


def load(path: Path, sizes: dict[str, int]) -> tuple[onnx.GraphProto, dict[str, Tensor]]:
    """Return the operators of a model, in topological order, and every tensor whose shape is given or inferred.

    Raises InputError; see ``onnx.read``.
    """
    model = _load(path)
    _close_dimensions(path, model.graph, sizes)
    _sort(path, model.graph)
    return model.graph, _tensors(path, model)


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DecodeError as error:
        raise FormatError(f"{path}: not a model of ONNX, or cut short") from error
    if not model.graph.node:
        raise FormatError(f"{path}: expected operators, found none")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    for node in model.graph.node:
        if node.op_type in _CONTROL:
            raise InputError(f"{path}: operator {node.name!r}: expected no control flow, found {node.op_type}")
        if not any(node.output):
            raise InputError(f"{path}: operator {node.name!r} ({node.op_type}): expected an output, found none")
    return model


def _close_dimensions(path: Path, graph: onnx.GraphProto, sizes: dict[str, int]) -> None:
    """Give each open dimension of the inputs its size, and forget the shapes that would be wrong with it."""
    used = set()
    weights = {tensor.name for tensor in graph.initializer}
    for given in graph.input:
        if given.name in weights:
            continue
        if not given.type.tensor_type.HasField("shape"):
            raise InputError(f"{path}: input {given.name!r}: expected a tensor with a shape, found none")
        for axis, dimension in enumerate(given.type.tensor_type.shape.dim):
            names = [name for name in (dimension.dim_param, f"{given.name}.{axis}") if name]
            chosen = next((name for name in names if name in sizes), None)
            if chosen is not None and not dimension.HasField("dim_value"):
                used.add(chosen)
                dimension.dim_value = sizes[chosen]
            if not dimension.HasField("dim_value") or dimension.dim_value < 1:
                raise InputError(
                    f"{path}: input {given.name!r}: dimension {axis} has no size; give one, such as "
                    f"sizes={{{names[0]!r}: 1}}"
                )
    if unused := sizes.keys() - used:
        raise InputError(f"{path}: sizes: there is no open dimension {min(unused)!r}")
    del graph.value_info[:]
    for result in graph.output:
        result.type.tensor_type.ClearField("shape")


def _sort(path: Path, graph: onnx.GraphProto) -> None:
    """Bring the operators into a topological order, as the format asks for; name those that have none."""
    maker: dict[str, int] = {}
    for i, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
        for output in filter(None, node.output):
            if output in maker:
                raise InputError(f"{path}: tensor {output!r}: expected one operator that makes it, found two")
            maker[output] = i
    known = {given.name for given in (*graph.input, *graph.initializer, *(s.values for s in graph.sparse_initializer))}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for i, node in enumerate(graph.node):
        for taken in filter(None, node.input):
            if taken not in maker and taken not in known:
                raise InputError(f"{path}: operator {node.name!r}: there is no tensor {taken!r}")
        sorter.add(i, *(maker[taken] for taken in node.input if taken in maker and taken not in known))
    try:
        nodes = [graph.node[i] for i in sorter.static_order()]
    except CycleError as error:
        names = ", ".join(graph.node[i].name for i in error.args[1][:3])
        raise InputError(f"{path}: expected no cycle, found one around {names}") from error
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _tensors(path: Path, model: onnx.ModelProto) -> dict[str, Tensor]:
    """Return every tensor whose shape is given or inferred."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, DecodeError) as error:
        raise InputError(f"{path}: shapes cannot be inferred: {' '.join(str(error).split())[:200]}") from error
    tensors = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        dimensions = tensor.shape.dim
        if tensor.HasField("shape") and all(dimension.HasField("dim_value") for dimension in dimensions):
            tensors[value.name] = _tensor(tensor.elem_type, [dimension.dim_value for dimension in dimensions])
    for weight in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        tensors[weight.name] = _tensor(weight.data_type, weight.dims)
    return tensors


def _tensor(data_type: int, dimensions: Sequence[int]) -> Tensor:
    shape = tuple(dimensions)
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(data_type)
    except KeyError:  # a type that NumPy does not have
        return Tensor(shape, float(math.prod(shape)), False)
    return Tensor(shape, float(math.prod(shape) * dtype.itemsize), dtype.kind in "iub" and dtype.itemsize != 1)

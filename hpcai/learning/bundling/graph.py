"""A policy as an ONNX graph: a formula operation by operation, a network layer by layer.

Graphs are written with the operators of one fixed version and no operator of anybody's own, and the queue's length is
left open, so that any runtime can serve them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hpcai.cooling.controllers.learned import PolicyNetwork
from hpcai.live.cluster.weighted import CHOSEN
from hpcai.live.manifest import OPSET
from hpcai.scheduling.formula import Formula, operations
from hpcai.scheduling.network import Network
from hpcai.scheduling.outlook import VARIABLES

JOB_AXIS: Final = "job"
_NAMES: Final = {
    "neg": "Neg", "log": "Log", "sqrt": "Sqrt", "exp": "Exp", "abs": "Abs", "floor": "Floor", "ceil": "Ceil",
    "tanh": "Tanh", "+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Pow",
}  # fmt: skip
_COMPARISONS: Final = {"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual", "==": "Equal"}


class _Graph:
    """A graph under construction; every method that adds a node returns the name of what it gives."""

    def __init__(self, dtype: type[np.floating]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.dtype = dtype

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node with one output, or return the stem of the names of several."""
        name = f"t{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return name

    def constant(self, value: object, dtype: type[np.generic] | None = None) -> str:
        """Add a constant."""
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype or self.dtype), name))
        return name

    def model(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Mapping[str, str]) -> bytes:
        """Return the finished graph; ``outputs`` says which result is called what. Its one axis has open length."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        infos = []
        for name, result in outputs.items():
            self.nodes.append(helper.make_node("Identity", [result], [name]))
            infos.append(helper.make_tensor_value_info(name, kind, [f"{name}s"]))
        graph = helper.make_graph(self.nodes, "policy", list(inputs), infos, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def formula_graph(formula: Formula, variables: Sequence[str]) -> bytes:
    """Return a graph from ``variables`` (v, job), in float64, to ``priority`` (job,), lowest first.

    ``variables`` name the rows, and are those that the formula needs. A value that is not a number is last.
    """
    graph = _Graph(np.float64)
    rows = {name: graph.add("Gather", "variables", graph.constant(k, np.int64)) for k, name in enumerate(variables)}
    names, stack = list(VARIABLES), list[str]()
    for operation, operand in operations(formula):
        if operation == "constant":
            stack.append(graph.constant(operand))
        elif operation == "variable":
            stack.append(rows[names[int(operand)]])
        else:
            _apply(graph, operation, stack)
    (value,) = stack
    zero = graph.add("Mul", rows[variables[0]], graph.constant(0.0)) if variables else None
    value = graph.add("Add", value, zero) if zero else value  # a constant has no axis of jobs
    value = graph.add("Where", graph.add("IsNaN", value), graph.constant(math.inf), value)
    inputs = [helper.make_tensor_value_info("variables", TensorProto.DOUBLE, [len(variables), JOB_AXIS])]
    return graph.model(inputs, {"priority": value})


def weighted_graph(rows: str, axis: str, weights: NDArray[np.float64]) -> bytes:
    """Return a graph from features ``rows`` (axis, feature), in float64, to ``cost`` (axis,), their weighted sum.

    ``weights`` are (set, feature). Where there are several sets, the input ``chosen`` (set,) is 1 for the one that
    counts, else 0.
    """
    graph = _Graph(np.float64)
    sets, features = weights.shape
    inputs = [helper.make_tensor_value_info(rows, TensorProto.DOUBLE, [axis, features])]
    used = graph.constant(weights[0])
    if sets > 1:
        inputs.append(helper.make_tensor_value_info(CHOSEN, TensorProto.DOUBLE, [sets]))
        column = graph.add("Reshape", CHOSEN, graph.constant([sets, 1], np.int64))
        parts = graph.add("Mul", column, graph.constant(weights))
        used = graph.add("ReduceSum", parts, graph.constant([0], np.int64), keepdims=0)
    products = graph.add("Mul", rows, used)
    return graph.model(inputs, {"cost": graph.add("ReduceSum", products, graph.constant([1], np.int64), keepdims=0)})


def _apply(graph: _Graph, operation: str, stack: list[str]) -> None:
    """Replace the operands on the stack by what an operation makes of them."""
    if operation == "where":
        other, chosen, condition = stack.pop(), stack.pop(), stack.pop()
        holds = graph.add("Not", graph.add("Equal", condition, graph.constant(0.0)))
        stack.append(graph.add("Where", holds, chosen, other))
    elif operation in ("log2", "log10"):
        base = math.log(2.0 if operation == "log2" else 10.0)
        stack.append(graph.add("Div", graph.add("Log", stack.pop()), graph.constant(base)))
    elif operation in ("neg", "log", "sqrt", "exp", "abs", "floor", "ceil", "tanh"):
        stack.append(graph.add(_NAMES[operation], stack.pop()))
    else:
        right, left = stack.pop(), stack.pop()
        stack.append(_binary(graph, operation, left, right))


def _binary(graph: _Graph, operation: str, left: str, right: str) -> str:
    if operation == "%":  # of Python: the sign of the divisor
        whole = graph.add("Floor", graph.add("Div", left, right))
        return graph.add("Sub", left, graph.add("Mul", whole, right))
    if operation in ("min", "max"):  # of Python: the first, unless the second is beyond it (and not nan)
        beyond = graph.add("Less" if operation == "min" else "Greater", right, left)
        return graph.add("Where", beyond, right, left)
    if operation in _NAMES:
        return graph.add(_NAMES[operation], left, right)
    if operation == "!=":
        return graph.add("Cast", graph.add("Not", graph.add("Equal", left, right)), to=TensorProto.DOUBLE)
    return graph.add("Cast", graph.add(_COMPARISONS[operation], left, right), to=TensorProto.DOUBLE)


def network_graph(network: Network) -> bytes:
    """Return a graph in float32 from ``jobs`` (job, features) and ``machine`` (features,) to ``score``, highest first.

    ``score`` has a value for each job and, if the network may defer, one more. A plain MLP takes exactly as many
    jobs as its window has slots; slots without a job are all 0, and its scores for them mean nothing.
    """
    meta = network.meta
    slots: str | int = meta.window if meta.kind == "mlp" else JOB_AXIS
    inputs = [
        helper.make_tensor_value_info("jobs", TensorProto.FLOAT, [slots, len(meta.job_features)]),
        helper.make_tensor_value_info("machine", TensorProto.FLOAT, [len(meta.machine_features)]),
    ]
    layers = _Layers(network)
    score = layers.plain() if meta.kind == "mlp" else layers.scoring()
    return layers.graph.model(inputs, {"score": score})


def actor_graph(network: PolicyNetwork) -> bytes:
    """Return a graph in float32 from a scaled ``observation`` (feature,) to ``action`` (action,), -1..1."""
    graph, meta, value = _Graph(np.float32), network.meta, "observation"
    for k, (matrix, bias) in enumerate(network.weights):
        weights = graph.constant(np.ascontiguousarray(matrix.T))
        value = graph.add("Add", graph.add("MatMul", value, weights), graph.constant(bias))
        if k < len(network.weights) - 1:
            value = graph.add("Tanh" if meta.activation == "tanh" else "Relu", value)
    bounds = (graph.constant(-1.0), graph.constant(1.0))
    value = graph.add("Tanh", value) if meta.squash == "tanh" else graph.add("Clip", value, *bounds)
    inputs = [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [len(meta.observed)])]
    return graph.model(inputs, {"action": value})


class _Layers:
    """The layers of hpcai.scheduling.network.Network, as nodes of a graph."""

    def __init__(self, network: Network) -> None:
        self.graph, self._network = _Graph(np.float32), network

    def _linear(self, name: str, x: str) -> str:
        weights = self._network.weights
        y = self.graph.add("MatMul", x, self._weight(weights[f"{name}_weight"].T))
        bias = weights.get(f"{name}_bias")
        return y if bias is None else self.graph.add("Add", y, self._weight(bias))

    def _weight(self, array: NDArray[np.float32]) -> str:
        return self.graph.constant(np.ascontiguousarray(array))

    def plain(self) -> str:
        """Return the scores of a plain MLP."""
        flat = self.graph.add("Reshape", "jobs", self.graph.constant([-1], np.int64))
        x = self.graph.add("Concat", flat, "machine", axis=0)
        last = sum(name.endswith("_weight") for name in self._network.weights) - 1
        activation = "Tanh" if self._network.meta.activation == "tanh" else "Relu"
        for k in range(last):
            x = self.graph.add(activation, self._linear(f"layer_{k}", x))
        return self._linear(f"layer_{last}", x)

    def scoring(self) -> str:
        """Return the scores of a network that scores job by job."""
        graph, meta = self.graph, self._network.meta
        of_machine = graph.add("Relu", self._linear("machine", "machine"))
        both = graph.add("Add", self._linear("job", "jobs"), self._linear("machine_to_job", of_machine))
        h = graph.add("Relu", self._linear("embed", graph.add("Relu", both)))
        if meta.kind == "attention":
            h = graph.add("Relu", graph.add("Add", h, self._linear("out", self._attend(h))))
        jobs = graph.constant([0], np.int64)
        mean, most = (graph.add(operator, h, jobs, keepdims=0) for operator in ("ReduceMean", "ReduceMax"))
        summary = graph.add("Concat", mean, most, of_machine, axis=0)
        own = graph.add("Relu", graph.add("Add", self._linear("own", h), self._linear("context", summary)))
        flat = graph.constant([-1], np.int64)
        score = graph.add("Reshape", self._linear("score", own), flat)
        if not meta.defer:
            return score
        hidden = graph.add("Relu", self._linear("defer_0", summary))
        return graph.add("Concat", score, self._linear("defer_1", hidden), axis=0)

    def _attend(self, h: str) -> str:
        """Return what each job gathers from all, (job, hidden)."""
        graph, heads = self.graph, self._network.meta.heads
        hidden = self._network.weights["embed_weight"].shape[0]
        apart = graph.constant([-1, 3, heads, hidden // heads], np.int64)
        parts = graph.add("Reshape", self._linear("query_key_value", h), apart)
        by_head = graph.add("Transpose", parts, perm=[1, 2, 0, 3])
        query, key, value = (graph.add("Gather", by_head, graph.constant(k, np.int64), axis=0) for k in range(3))
        products = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 2, 1]))
        scaled = graph.add("Div", products, graph.constant(math.sqrt(hidden // heads)))
        mixed = graph.add("MatMul", graph.add("Softmax", scaled, axis=2), value)
        return graph.add(
            "Reshape", graph.add("Transpose", mixed, perm=[1, 0, 2]), graph.constant([-1, hidden], np.int64)
        )

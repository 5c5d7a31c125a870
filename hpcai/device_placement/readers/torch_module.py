"""PyTorch modules: the operators that ``torch.export`` finds in a forward pass, with costs from the table.

Where it does not succeed (control flow that depends on values), the pass is recorded once with ``torch.fx``, on the
example's own values. PyTorch's files are not read, since their archives hold pickles: write the graph as our own JSON,
or export the module to ONNX.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx, nn

from hpcai.device_placement.costs import CostTable
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.operations import Operation, priced
from hpcai.device_placement.readers._torch_work import Call, work
from hpcai.errors import InputError


class _Trace(NamedTuple):
    nodes: list[fx.Node]
    parameters: dict[str, str]  # placeholder to parameter; tied ones have one name
    inputs: set[str]  # placeholders


def read_module(
    module: nn.Module,
    example_inputs: Sequence[Any],
    *,
    name: str | None = None,
    device_kinds: Sequence[str] = ("V100",),
    precision: str = "float32",
    training: bool = True,
    table: CostTable | None = None,
) -> OperatorGraph:
    """Return the graph of a module's forward pass, and of its backward pass in ``training``.

    Args:
        module: in training or evaluation mode, as it is.
        example_inputs: positional arguments of its ``forward``; their shapes count, the batch among them.
        name: of the graph; by default the module's class.
        device_kinds: of the ``table``.
        precision: of the products; bytes are those of the tensors' types.
        training: whether there is a backward pass.
        table: costs; by default those that ship with the package.

    Raises:
        InputError: the forward pass cannot be traced; see ``priced``.
    """
    name = name or type(module).__name__
    operations = list(_Reader(name, _traced(name, module, tuple(example_inputs))).operations())
    return priced(name, operations, device_kinds, precision=precision, training=training, table=table)


def _traced(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> _Trace:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracers, about what does not concern shapes
        try:
            return _exported(module, inputs)
        except Exception as why:  # whatever the module's own code, or the tracer, raises
            try:
                return _recorded(module, inputs)
            except Exception as error:
                raise InputError(
                    f"module {name}: cannot be traced: {_line(error)}; nor exported: {_line(why)}"
                ) from why


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def _exported(module: nn.Module, inputs: tuple[Any, ...]) -> _Trace:
    program = torch.export.export(module, inputs)
    signature = program.graph_signature
    named = dict(module.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    for parameter, tensor in named.items():
        first.setdefault(id(tensor), parameter)
    parameters = {place: first[id(named[of])] for place, of in signature.inputs_to_parameters.items()}
    return _Trace(list(program.graph.nodes), parameters, {str(given) for given in signature.user_inputs})


def _recorded(module: nn.Module, inputs: tuple[Any, ...]) -> _Trace:
    from torch.fx.experimental.proxy_tensor import make_fx

    named: dict[str, Any] = dict(module.named_parameters())
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}  # the pass may write to them

    def forward(state: dict[str, Any], *given: Any) -> Any:
        return torch.func.functional_call(module, state, given)

    recorder = make_fx(forward, tracing_mode="real", _error_on_data_dependent_ops=False)
    nodes = list(recorder(named | buffers, *inputs).graph.nodes)
    places = [node.name for node in nodes if node.op == "placeholder"]
    inner = len(named) + len(buffers)
    return _Trace(nodes, dict(zip(places, named, strict=False)), set(places[inner:]))


class _Reader:
    """Turns the nodes of a trace, in order, into operations."""

    def __init__(self, name: str, trace: _Trace) -> None:
        self.name, self.trace = name, trace
        self.weights: dict[fx.Node, frozenset[str]] = {}  # of a node that depends on no input: its parameters
        self.sizes: dict[str, float] = {}  # bytes of each parameter
        self.makers: dict[fx.Node | str, str] = {}  # of other nodes, and of shared parameters: their operator
        self.uses: dict[str, int] = {}

    def operations(self) -> Iterator[Operation]:
        """Give the operators: inputs, parameters that several share, and nodes that depend on an input."""
        self._find_constants()
        for name, uses in self.uses.items():
            if uses > 1:
                self.makers[name] = name
                yield Operation(name, "variable", weights=self.sizes[name], output=self.sizes[name])
        for node in self.trace.nodes:
            if node.op == "placeholder" and node.name in self.trace.inputs:
                self.makers[node] = node.name
                yield Operation(node.name, "input", output=_bytes(node))
            elif node.op == "call_function" and node not in self.weights and _tensors(node):
                if node.target is operator.getitem:
                    self.makers[node] = self.makers[node.all_input_nodes[0]]
                else:
                    yield self._operation(node)

    def _find_constants(self) -> None:
        for node in self.trace.nodes:
            if node.op in ("placeholder", "get_attr") and node.name not in self.trace.inputs:
                own = self.trace.parameters.get(node.name)
                self.weights[node] = frozenset([own] if own else ())
                if own:
                    self.sizes[own] = _bytes(node)
            elif node.op == "call_function" and all(taken in self.weights for taken in node.all_input_nodes):
                self.weights[node] = self._weights_of(node)
            elif node.op == "call_function":
                for name in self._weights_of(node):
                    self.uses[name] = self.uses.get(name, 0) + 1

    def _weights_of(self, node: fx.Node) -> frozenset[str]:
        return frozenset().union(*(self.weights.get(taken, frozenset()) for taken in node.all_input_nodes))

    def _operation(self, node: fx.Node) -> Operation:
        if not isinstance(node.target, torch._ops.OpOverload):
            raise InputError(
                f"module {self.name}: operator {node.name!r}: expected no control flow, found {node.target}"
            )
        called = node.target.overloadpacket.__name__
        in_place = called.endswith("_")
        shapes = fx.node.map_arg(node.args, lambda taken: tuple(_tensors(taken)[0].shape) if _tensors(taken) else ())
        weights = [tuple(_tensors(taken)[0].shape) for taken in node.all_input_nodes if self.weights.get(taken)]
        try:
            kind, flops, cost = work(called.rstrip("_"), Call(shapes, tuple(_tensors(node)[0].shape), weights))
        except (IndexError, TypeError, ValueError) as error:
            raise InputError(f"module {self.name}: operator {node.name!r}: {called}: shapes not as expected") from error
        own = [name for name in self._weights_of(node) if name not in self.makers]
        sources = [self.makers[taken] for taken in node.all_input_nodes if taken in self.makers]
        shared = sorted(self.makers[name] for name in self._weights_of(node) if name in self.makers)
        self.makers[node] = node.name
        output = _bytes(node)
        return Operation(
            node.name,
            kind,
            tuple(dict.fromkeys([*sources, *shared])),
            flops=flops,
            moved=_moved(kind, node, output),
            weights=sum(self.sizes[name] for name in own),
            output=output,
            saved=0.0 if kind == "view" or in_place else output,
            cost=cost,
        )


def _moved(kind: str, node: fx.Node, output: float) -> float:
    if kind == "embedding":
        return 2 * output
    taken = [_bytes(taken) for taken in node.all_input_nodes]
    return sum(taken) + (taken[0] if kind == "normalization" else 0.0) + output


def _tensors(node: fx.Node) -> list[torch.Tensor]:
    """Return the tensors that a node gives; of several, those that something takes."""
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        return [value]
    if not isinstance(value, list | tuple):
        return []
    taken = {user.args[1] for user in node.users if user.target is operator.getitem and user.users}
    return [item for i, item in enumerate(value) if isinstance(item, torch.Tensor) and (i in taken or not taken)]


def _bytes(node: fx.Node) -> float:
    return float(sum(math.prod(tensor.shape) * tensor.element_size() for tensor in _tensors(node)))

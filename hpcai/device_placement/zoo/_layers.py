"""Layers by their shapes: what the models of the zoo are built from.

Shapes follow PyTorch: images are (batch, channels, height, width), everything else ends with its features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hpcai.device_placement.operations import Operation, conv_cost
from hpcai.errors import InputError

Pair = int | tuple[int, int]  # of height and width


class Tensor(NamedTuple):
    """The output of an operator."""

    operator: str
    shape: tuple[int, ...]

    @property
    def values(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


class Layers:
    """Operators of a forward pass, layer by layer; each method adds one and returns its output."""

    def __init__(self, value_bytes: int) -> None:
        self.operations: list[Operation] = []
        self.value_bytes = value_bytes

    def add(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Tensor],
        shape: tuple[int, ...],
        *,
        flops: float = 0.0,
        parameters: int = 0,
        reads: float | None = None,
        saves: float | None = None,
        cost: str = "",
    ) -> Tensor:
        """Add an operator.

        Args:
            name: of its own.
            kind: its class.
            inputs: what it takes.
            shape: of its output.
            flops: two for a multiply-add.
            parameters: how many it has.
            reads: values that it reads; by default its inputs and parameters, once.
            saves: values that it keeps for the backward pass; by default its output, 0 where it works in place.
            cost: class of the cost table where it is finer than the kind.
        """
        output = Tensor(name, shape)
        reads = sum(tensor.values for tensor in inputs) + parameters if reads is None else reads
        operation = Operation(
            name,
            kind,
            tuple(dict.fromkeys(tensor.operator for tensor in inputs)),
            flops=flops,
            moved=self.value_bytes * (reads + output.values),
            weights=self.value_bytes * parameters,
            output=self.value_bytes * output.values,
            saved=self.value_bytes * (output.values if saves is None else saves),
            cost=cost,
        )
        self.operations.append(operation)
        return output

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Add what the model is fed with."""
        return self.add(name, "input", [], shape)

    def variable(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Add parameters that several operators share: they are sent to each device that uses them."""
        return self.add(name, "variable", [], shape, parameters=math.prod(shape), saves=0)

    def view(self, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        """Add a part or another shape of a tensor, which costs nothing."""
        return self.add(name, "view", [x], shape, saves=0)

    def conv(self, x: Tensor, channels: int, kernel: Pair, name: str, *, stride: int = 1, padding: Pair = 0) -> Tensor:
        """Add a convolution without bias."""
        (high, wide), (above, beside) = _pair(kernel), _pair(padding)
        batch, before, height, width = x.shape
        shape = (batch, channels, _slid(height, high, stride, above, name), _slid(width, wide, stride, beside, name))
        weights = high * wide * before * channels
        flops = 2 * weights * batch * shape[2] * shape[3]
        cost = conv_cost((high, wide), stride, before, channels)
        return self.add(name, "conv", [x], shape, flops=flops, parameters=weights, cost=cost)

    def conv_norm_relu(
        self, x: Tensor, channels: int, kernel: Pair, name: str, *, stride: int = 1, padding: Pair = 0
    ) -> Tensor:
        """Add a convolution, a normalization over the batch and a rectifier."""
        x = self.conv(x, channels, kernel, f"{name}/conv", stride=stride, padding=padding)
        return self.activate(self.normalize(x, f"{name}/norm", axis=1), f"{name}/relu")

    def normalize(self, x: Tensor, name: str, *, axis: int = -1) -> Tensor:
        """Add a normalization with a scale and a shift for each value along ``axis``; it reads its input twice."""
        parameters = 2 * x.shape[axis]
        reads = 2 * x.values + parameters
        return self.add(name, "normalization", [x], x.shape, flops=8 * x.values, parameters=parameters, reads=reads)

    def activate(self, x: Tensor, name: str, *, in_place: bool = True, flops: int = 1) -> Tensor:
        """Add an activation function of ``flops`` a value."""
        saves = 0 if in_place else None
        return self.add(name, "elementwise", [x], x.shape, flops=flops * x.values, saves=saves)

    def sum(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """Add a sum of two, in place of the first."""
        return self.add(name, "elementwise", [x, y], x.shape, flops=x.values, saves=0)

    def pool(self, x: Tensor, kernel: int, name: str, *, stride: int = 1, padding: int = 0) -> Tensor:
        """Add a pooling of maxima or means."""
        batch, channels, height, width = x.shape
        size = (_slid(height, kernel, stride, padding, name), _slid(width, kernel, stride, padding, name))
        shape = (batch, channels, *size)
        return self.add(name, "pool", [x], shape, flops=math.prod(shape) * kernel**2)

    def average(self, x: Tensor, name: str) -> Tensor:
        """Add the mean over each channel of images."""
        return self.add(name, "pool", [x], x.shape[:2], flops=x.values)

    def concat(self, tensors: Sequence[Tensor], name: str, *, axis: int = 1) -> Tensor:
        """Add a concatenation."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
        return self.add(name, "copy", tensors, tuple(shape))

    def linear(self, x: Tensor, features: int, name: str, *, bias: bool = True) -> Tensor:
        """Add a product with a matrix of its own."""
        parameters = x.shape[-1] * features + (features if bias else 0)
        flops = 2 * x.values * features
        return self.add(name, "matmul", [x], (*x.shape[:-1], features), flops=flops, parameters=parameters)

    def project(self, x: Tensor, matrix: Tensor, name: str) -> Tensor:
        """Add a product with a shared matrix (outputs, features)."""
        features = matrix.shape[0]
        return self.add(name, "matmul", [x, matrix], (*x.shape[:-1], features), flops=2 * x.values * features)

    def embed(self, tokens: Tensor, words: int, features: int, name: str) -> Tensor:
        """Add a look-up of tokens in a table of its own."""
        shape = (*tokens.shape, features)
        reads = math.prod(shape)
        return self.add(name, "embedding", [tokens], shape, parameters=words * features, reads=reads, saves=0)

    def look_up(self, tokens: Tensor, table: Tensor, name: str) -> Tensor:
        """Add a look-up of tokens in a shared table (words, features)."""
        shape = (*tokens.shape, table.shape[1])
        return self.add(name, "embedding", [tokens, table], shape, reads=math.prod(shape), saves=0)

    def loss(self, logits: Tensor, name: str) -> Tensor:
        """Add a softmax with its cross entropy, one value."""
        n = logits.values
        return self.add(name, "softmax", [logits], (1,), flops=5 * n, reads=3 * n, saves=n)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _slid(size: int, kernel: int, stride: int, padding: int, name: str) -> int:
    if size + 2 * padding < kernel:
        raise InputError(f"{name}: expected a larger image: {kernel - 2 * padding} values a side here, found {size}")
    return (size + 2 * padding - kernel) // stride + 1

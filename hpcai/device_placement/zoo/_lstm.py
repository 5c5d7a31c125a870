"""Unrolled LSTM layers: one operator a step, which all share the parameters of their layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpcai.device_placement.zoo._layers import Layers, Tensor

_SAVED: Final = 6  # of its four gates, the cell and its tanh, each as large as the state


def unrolled(layers: Layers, inputs: Sequence[Sequence[Tensor]], hidden: int, name: str) -> list[Tensor]:
    """Add a layer over steps, each of which takes several (batch, features); return (batch, hidden) of each step.

    An operator's output is the hidden state and the cell, since the next step needs both.
    """
    features = sum(tensor.shape[-1] for tensor in inputs[0]) + hidden
    weights = layers.variable(f"{name}/weights", (features + 1, 4 * hidden))  # and the bias
    outputs: list[Tensor] = []
    for step, taken in enumerate(inputs):
        outputs.append(cell(layers, [*taken, *outputs[-1:]], weights, f"{name}/step{step}"))
    return outputs


def cell(layers: Layers, taken: Sequence[Tensor], weights: Tensor, name: str) -> Tensor:
    """Add one step of an LSTM: the product of its inputs with the weights, four gates, and the new state."""
    batch, (features, gates) = taken[0].shape[0], weights.shape
    hidden = gates // 4
    flops = 2 * batch * features * gates + 20 * batch * hidden
    output = layers.add(
        name,
        "recurrent",
        [*taken, weights],
        (batch, 2 * hidden),
        flops=flops,
        saves=_SAVED * batch * hidden,
    )
    return output._replace(shape=(batch, hidden))  # what the next layer takes of it

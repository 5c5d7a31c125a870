"""The language model of device placement: stacked LSTM layers, unrolled, with a softmax at each step.

Mirhoseini et al., Device Placement Optimization with Reinforcement Learning, ICML 2017, place such a grid of cells,
after Jozefowicz et al., Exploring the Limits of Language Modeling, arXiv:1602.02410. The sizes are choices of ours.
"""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers
from hpcai.device_placement.zoo._lstm import unrolled


def rnnlm(
    layers: Layers,
    *,
    batch: int = 64,
    steps: int = 40,
    depth: int = 2,
    hidden: int = 2048,
    words: int = 40_000,
) -> None:
    """Add the language model: ``depth`` x ``steps`` cells."""
    tokens = layers.input("tokens", (batch, steps))
    embedded = layers.embed(tokens, words, hidden, "embedding")
    x = [layers.view(embedded, (batch, hidden), f"embedding/step{step}") for step in range(steps)]
    for layer in range(depth):
        x = unrolled(layers, [[taken] for taken in x], hidden, f"layer{layer}")
    matrix = layers.variable("softmax/weights", (words, hidden))
    for step, state in enumerate(x):
        logits = layers.project(state, matrix, f"softmax/step{step}/logits")
        layers.loss(logits, f"softmax/step{step}/loss")

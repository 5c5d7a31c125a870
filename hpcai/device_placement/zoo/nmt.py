"""Translation with attention: an LSTM encoder and an LSTM decoder, unrolled.

Mirhoseini et al., Device Placement Optimization with Reinforcement Learning, ICML 2017, place such a model after
Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate, ICLR 2015. The sizes are choices
of ours. The first layer of the decoder takes the attention of the step before, as in Wu et al., arXiv:1609.08144.
"""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers, Tensor
from hpcai.device_placement.zoo._lstm import cell, unrolled


def nmt(
    layers: Layers,
    *,
    batch: int = 64,
    steps: int = 40,
    depth: int = 2,
    hidden: int = 1024,
    words: int = 32_000,
) -> None:
    """Add the translation model: ``depth`` x ``steps`` cells on each side, attention and softmax at each step."""
    states = _words(layers, "source", batch, steps, words, hidden)
    for layer in range(depth):
        states = unrolled(layers, [[state] for state in states], hidden, f"encoder/layer{layer}")
    memory = layers.view(layers.concat(states, "attention/states"), (batch, steps, hidden), "attention/memory")
    keys = layers.linear(memory, hidden, "attention/keys", bias=False)
    query = layers.variable("attention/query/weights", (hidden, hidden))
    matrix = layers.variable("softmax/weights", (words, 2 * hidden))
    inputs = [2 * hidden, *[hidden] * (depth - 1)]
    weights = [
        layers.variable(f"decoder/layer{layer}/weights", (size + hidden + 1, 4 * hidden))
        for layer, size in enumerate(inputs)
    ]
    before: list[Tensor] = [states[-1]] * depth  # the decoder begins where the encoder ended
    attended = states[-1]
    for step, word in enumerate(_words(layers, "target", batch, steps, words, hidden)):
        taken = [word, attended]
        for layer in range(depth):
            before[layer] = cell(layers, [*taken, before[layer]], weights[layer], f"decoder/layer{layer}/step{step}")
            taken = [before[layer]]
        attended = _attend(layers, before[-1], query, keys, memory, f"attention/step{step}")
        both = layers.concat([before[-1], attended], f"softmax/step{step}/concat")
        layers.loss(layers.project(both, matrix, f"softmax/step{step}/logits"), f"softmax/step{step}/loss")


def _words(layers: Layers, name: str, batch: int, steps: int, words: int, hidden: int) -> list[Tensor]:
    embedded = layers.embed(layers.input(name, (batch, steps)), words, hidden, f"{name}/embedding")
    return [layers.view(embedded, (batch, hidden), f"{name}/step{step}") for step in range(steps)]


def _attend(layers: Layers, state: Tensor, query: Tensor, keys: Tensor, memory: Tensor, name: str) -> Tensor:
    """Add the additive attention of a step: the mean of the memory, weighted by how well each key goes with a query."""
    batch, steps, hidden = keys.shape
    asked = layers.project(state, query, f"{name}/query")
    n = keys.values
    energies = layers.add(f"{name}/energies", "attention", [asked, keys], (batch, steps), flops=4 * n, saves=n)
    shares = layers.add(f"{name}/softmax", "softmax", [energies], (batch, steps), flops=5 * batch * steps)
    return layers.add(f"{name}/context", "attention", [shares, memory], (batch, hidden), flops=2 * n)

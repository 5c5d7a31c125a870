"""What experts do by hand, by the names of operators.

Source: Mirhoseini et al., Device Placement Optimization with Reinforcement Learning, ICML 2017, section 4.1: of
recurrent models each LSTM layer, the attention and the softmax go to devices of their own. Other models are cut into
runs of blocks, as many blocks each (Inception-V3 by its modules). With fewer devices than layers, neighbours share one.
Without layers in the names, pieces of equal time.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.chunks import pieces
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem

_PART: Final = r"(encoder|decoder|stage|block|layer)\d*"
_NUMBERED: Final = re.compile(rf"^({_PART}[/.])*{_PART}(?=[/.])")
_BEFORE: Final = ("source", "target", "tokens", "words", "segments", "positions", "embedding", "images", "input")
_FEW: Final = 3  # operators: fewer are no layer, but belong to the next


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,) of layers on the accelerators."""
    problem = Problem(graph, devices, options)
    layer = layers(graph)
    count, accelerators = int(layer.max()) + 1, problem.accelerators
    if count < 2:
        return fitted(problem, accelerators[pieces(problem, len(accelerators))])
    return fitted(problem, problem.of_units(accelerators[layer * len(accelerators) // count]))


def layers(graph: OperatorGraph) -> Ints:
    """Return (n,) the number of each operator's layer, by the first operator with an input; 0 if names tell none."""
    names = [_layer(name) for name in graph.operators]
    count = Counter(names)
    number: dict[str, int] = {}
    inner = np.diff(graph.predecessors[0]) > 0
    for i in graph.order[inner[graph.order]]:
        if count[names[i]] >= _FEW and names[i] not in _BEFORE:
            number.setdefault(names[i], len(number))
    if not number:
        return np.zeros(len(graph), np.int64)
    return _filled(graph, np.array([number.get(name, -1) for name in names], np.int64))


def _layer(name: str) -> str:
    """Return the name of an operator's layer, such as encoder/layer0 of encoder/layer0/step3."""
    found = _NUMBERED.match(name)
    return found[0] if found else re.split(r"[/.]", name)[0]


def _filled(graph: OperatorGraph, layer: Ints) -> Ints:
    """Give operators without a layer that of the first operator that needs them, or else the last."""
    starts, targets = graph.successors
    for i in graph.order[::-1]:
        if layer[i] < 0:
            layer[i] = layer[targets[starts[i] : starts[i + 1]]].min(initial=layer.max())
    return layer

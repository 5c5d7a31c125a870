"""A policy over groups that knows nothing at first, learned on the graph at hand by REINFORCE.

Source: Mirhoseini et al., Device Placement Optimization with Reinforcement Learning, ICML 2017; learned/proposing.py
has what is different.
"""

from __future__ import annotations

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.field import Quest
from hpcai.device_placement.learned.proposing import blank_decoder
from hpcai.device_placement.methods.policy import learn_from
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was drawn, and how the search went."""
    quest = Quest(graph, devices, options)
    learn_from(quest, blank_decoder(quest.units), 1.0)
    return quest.end()

"""A network that has learned on other graphs draws and learns on, a search goes on from the best that it has drawn."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.field import Quest, halve
from hpcai.device_placement.learned.network import known_network
from hpcai.device_placement.methods import single
from hpcai.device_placement.methods.policy import learn_from
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve

DRAWING: Final = 0.3  # of the budget


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was seen, and how the search went."""
    quest = Quest(graph, devices, options)
    alone = single.place(graph, devices, options)
    quest.judge(alone)
    drawn = learn_from(quest, known_network(options.network).decoder(quest.units), DRAWING)
    halve(quest, np.vstack([drawn, quest.units.units_of(alone)]))
    return quest.end()

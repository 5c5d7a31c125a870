"""A network that has learned on other graphs proposes, a search improves; see halving.py for the search."""

from __future__ import annotations

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.field import Quest
from hpcai.device_placement.learned.network import known_network
from hpcai.device_placement.methods.halving import search_from
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was seen, and how the search went."""
    quest = Quest(graph, devices, options)
    search_from(quest, known_network(options.network).decoder(quest.units))
    return quest.end()

"""What the network chooses, unit by unit, or the best of some placements that it draws, or of single devices."""

from __future__ import annotations

from typing import Final

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.field import Quest
from hpcai.device_placement.learned.network import known_network
from hpcai.device_placement.learned.proposing import Proposer
from hpcai.device_placement.methods import single
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve

DRAWN: Final = 100  # placements, with the choice and the best single device


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) of DRAWN, and how they came."""
    quest = Quest(graph, devices, options)
    proposer = Proposer(quest.units, known_network(options.network).decoder(quest.units), options.seed)
    quest.judge(quest.units.operators_placed(proposer.best_guess()))
    quest.judge(single.place(graph, devices, options))
    for places in proposer.propose(max(0, min(DRAWN, options.evaluations) - 2))[0]:
        quest.judge(quest.units.operators_placed(places))
    return quest.end()

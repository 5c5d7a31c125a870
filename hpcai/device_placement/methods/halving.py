"""Annealing of a field of beginnings, which is halved: the search of the method ``learned`` without its network.

Beginnings are the best single device and what list scheduling proposes: of placements drawn with chances that fall with
the time at which a unit would end, the best. See learned/field.py for the search.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.annealing import costs
from hpcai.device_placement.learned.field import FIELD, Quest, halve
from hpcai.device_placement.learned.proposing import Proposer, scheduling_decoder
from hpcai.device_placement.methods import single
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve

DRAWN: Final = 64  # placements that beginnings are taken from


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was seen, and how the search went."""
    quest = Quest(graph, devices, options)
    units = quest.units
    proposer = Proposer(units, scheduling_decoder(units), options.seed)
    drawn = np.unique(np.vstack([proposer.best_guess(), proposer.propose(DRAWN)[0]]), axis=0)
    best = drawn[np.argsort(costs(units, drawn), kind="stable")[: FIELD - 1]]
    alone = single.place(graph, devices, options)
    quest.judge(units.operators_placed(best[0]), len(drawn))
    quest.judge(alone)
    halve(quest, np.vstack([best, units.units_of(alone)]))
    return quest.end()

"""Draws from the network, while a table of preferences for the graph at hand is learned: no search."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.annealing import costs
from hpcai.device_placement.learned.decoding import Decoder
from hpcai.device_placement.learned.field import FIELD, Quest
from hpcai.device_placement.learned.network import known_network
from hpcai.device_placement.learned.proposing import Proposer
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.searching import Curve

DRAWN: Final = 32  # placements between two lessons


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was drawn, and how the search went."""
    quest = Quest(graph, devices, options)
    learn_from(quest, known_network(options.network).decoder(quest.units), 1.0)
    return quest.end()


def learn_from(quest: Quest, decoder: Decoder, until: float) -> Ints:
    """Draw and learn until so much of the budget is used; return (k, u) the best that were drawn, all different."""
    proposer = Proposer(quest.units, decoder, quest.problem.options.seed)
    best, least = proposer.best_guess()[None], np.full(1, np.inf)
    while quest.found.used < until:
        places, chances = proposer.propose(min(DRAWN, quest.left))
        found = costs(quest.units, places)
        proposer.learn(places, chances, found)
        if found.min() < least[0]:
            quest.judge(quest.units.operators_placed(places[found.argmin()]), len(places))
        else:
            quest.look(len(places))
        best, first = np.unique(np.vstack([best, places]), axis=0, return_index=True)
        least = np.concatenate([least, found])[first]
        chosen = np.argsort(least, kind="stable")[: FIELD - 1]
        best, least = best[chosen], least[chosen]
    return best

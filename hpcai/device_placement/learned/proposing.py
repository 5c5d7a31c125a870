"""Placements proposed by a policy for one graph, and what it learns there: a table of preferences.

The table is learned by REINFORCE with a moving average as baseline and a bonus for entropy, as Mirhoseini et al.,
Device Placement Optimization with Reinforcement Learning, ICML 2017, learn a placement of groups; with Adam (Kingma
and Ba, 2015). Their policy is a recurrent network over groups, here the table is all that it learns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.construction import CHOICES, FINISH, OF_STEP, make_state, make_task
from hpcai.device_placement.learned.decoding import Decoder, draw, make_drawn
from hpcai.device_placement.learned.units import Units

RATE: Final = 0.1
ENTROPY: Final = 0.01
MEMORY: Final = 0.9  # of the moving average
SURE: Final = 3.0  # largest advantage, in spreads
_SCHEDULED: Final = 20.0  # how much a later end counts against a device


def scheduling_decoder(units: Units) -> Decoder:
    """Return a policy that has learned nothing: the device where a unit would end first is likeliest, as of HEFT."""
    decoder = blank_decoder(units)
    decoder.direct[[FINISH, OF_STEP]] = -_SCHEDULED
    return decoder


def blank_decoder(units: Units) -> Decoder:
    """Return a policy with even chances, for the table to learn."""
    table = np.zeros((len(units), len(units.simulator.devices)))
    return Decoder(np.zeros((len(units), 1)), np.zeros((len(CHOICES), 1)), np.zeros(1), np.zeros(len(CHOICES)), table)


class Proposer:
    """Draws placements of units from a decoder, whose table it owns."""

    def __init__(self, units: Units, decoder: Decoder, seed: int) -> None:
        self.units, self.decoder = units, decoder
        self._task = make_task(units)
        self._state, self._drawn = make_state(self._task), make_drawn(self._task, len(decoder.direct))
        self._value, self._rng = np.zeros(len(decoder.out)), np.random.default_rng(seed)
        self._baseline, self._updates = np.nan, 0
        self._moments = np.zeros((2, *decoder.table.shape))

    def best_guess(self) -> Ints:
        """Return (u,) what it would choose, unit by unit."""
        return self._draw(0.0)

    def propose(self, count: int, heat: float = 1.0) -> tuple[Ints, Floats]:
        """Return placements (count, u) drawn at random, and the chances (count, u, d) of each device on the way."""
        places = np.empty((count, len(self.units)), np.int64)
        chances = np.empty((count, *self.decoder.table.shape))
        for i in range(count):
            places[i] = self._draw(heat)
            chances[i] = self._drawn.chance
        return places, chances

    def _draw(self, heat: float) -> Ints:
        noise = self._rng.random(len(self.units))
        draw(self._task, self._state, self.decoder, noise, heat, self._value, self._drawn)
        return self._state.place.copy()

    def learn(self, places: Ints, chances: Floats, found: Floats) -> None:
        """Shift the table towards placements (k, u) of low costs ``found`` (k,), drawn with ``chances`` (k, u, d)."""
        gain = -np.log(found)
        mean = float(gain.mean())
        self._baseline = mean if np.isnan(self._baseline) else MEMORY * self._baseline + (1 - MEMORY) * mean
        advantage = np.clip((gain - self._baseline) / (gain.std() + 1e-6), -SURE, SURE)
        chosen = places[..., None] == np.arange(chances.shape[-1])
        logs = np.log(np.maximum(chances, 1e-12))
        entropy = -(chances * logs).sum(axis=-1, keepdims=True)
        slope = (advantage[:, None, None] * (chosen - chances)).mean(axis=0)
        slope -= ENTROPY * (chances * (logs + entropy)).mean(axis=0)
        self._updates += 1
        first, second = self._moments
        first += 0.1 * (slope - first)
        second += 0.001 * (slope**2 - second)
        steady = (second / (1 - 0.999**self._updates)) ** 0.5 + 1e-8
        self.decoder.table[:] += RATE * first / (1 - 0.9**self._updates) / steady

"""A small network found by evolution on the fast plant: CMA-ES over weights, judged on days drawn anew.

Whole days of all weathers are played in machine code, so thousands of networks can be tried in minutes. There is no
estimate of a gradient or a value that could be off where the optimum lies on the edge of what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hpcai.cooling.action import Actions
from hpcai.cooling.interface import OWN, READING_INDEX, Floats
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.cooling.plant import LEDGER
from hpcai.cooling.policy_rollout import Moves, Terms, roll_policy
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import NETWORK_FILE
from hpcai.evaluation.fragmentation import in_threads
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.imitation import imitated
from hpcai.learning.cooling.run_folder import CoolingRunFolder
from hpcai.learning.cooling.shape import Shape
from hpcai.learning.evolution import Search, evolve
from hpcai.simulation.cooling.fast import FastPlant
from hpcai.simulation.cooling.hall import Hall

_VALIDATION: Final = 10**6  # seed of the days of validation


class Ground:
    """Days of the year at one site that networks are judged on."""

    def __init__(self, config: CoolingTraining, hall: Hall, shape: Shape) -> None:
        """Take a hall of the fast plant; raises InputError for another plant."""
        if not isinstance(hall.plant, FastPlant):
            raise InputError("method evolution: expected plant 'fast', on which networks are judged in machine code")
        self.plant, self._hall, self._shape, self._reward = hall.plant, hall, shape, config.reward
        actions, reward = shape.actions, config.reward
        self._moves = Moves(actions.low, actions.high, actions.grid, actions.targets, actions.sources, actions.added)
        self._terms = Terms(
            READING_INDEX[reward.energy], reward.high - reward.margin, reward.low, OBSERVED_INDEX["rate"]
        )
        self.per_day = round(86400.0 / hall.plant.step_length)
        self._begun: dict[int, tuple[Floats, Floats]] = {}

    def cost(self, weights: Floats, days: Sequence[int], length: int) -> float:
        """Return the mean cost of a step, as the reward counts it, over ``length`` days from each of ``days``."""
        totals, steps = np.zeros(3), 0
        net = self._shape.perceptron(weights)
        for day in days:
            state, readings = self._beginning(day)
            n = min(length * self.per_day, self._hall.steps - day * self.per_day)
            roll_policy(
                self.plant.arrays,
                state,
                net,
                self._moves,
                self._terms,
                self._hall.surroundings,
                self._hall.it_load,
                self.plant.weather,
                day * self.per_day,
                n,
                self.plant.density,
                self.plant.step_length,
                readings,
                np.empty(self._shape.hidden),
                OWN.copy(),
                np.empty(len(LEDGER)),
                totals,
            )
            steps += n
        energy, hot, cold = totals / steps
        design = self.plant.design_power * self._reward.scale
        return float(energy / design + self._reward.hot_weight * hot + self._reward.cold_weight * cold)

    def _beginning(self, day: int) -> tuple[Floats, Floats]:
        if day not in self._begun:
            readings = self.plant.reset(day * self.per_day)
            self._begun[day] = self.plant.state.copy(), readings.copy()
        state, readings = self._begun[day]
        return state.copy(), readings.copy()

    def prepare(self, days: Sequence[int]) -> None:
        """Work out how the plant is at the beginning of ``days``, which threads must not do side by side."""
        for day in days:
            self._beginning(day)


def evolve_policy(config: CoolingTraining, folder: CoolingRunFolder, quiet: bool) -> float:
    """Search for the network's weights, the best so far on disk at all times.

    Scores are costs relative to those of the setpoints that it begins with, the mean over weathers. Returns the best
    in validation.
    """
    settings = config.evolution
    halls = [config.case(weather).open() for weather in config.weather]
    shape = Shape(config.learner.hidden[0], Actions(config.actions), halls[0].plant.design_power)
    grounds = [Ground(config, hall, shape) for hall in halls]
    beginning = shape.begin(config.beginning, config.seed)
    first = beginning if settings.imitate == 0 else imitated(config, halls, shape, beginning)

    def days_of(seed: int, n: int) -> list[int]:
        drawn = np.random.default_rng((config.seed, seed)).permutation(365 // settings.length)[:n]
        return [int(day) * settings.length for day in drawn]

    def scores(candidates: Sequence[Floats], days: list[int]) -> Floats:
        for ground in grounds:
            ground.prepare(days)

        def score(weights: Floats) -> list[float]:
            return [ground.cost(weights, days, settings.length) for ground in grounds]

        every = np.array(in_threads(score, [beginning, *candidates], settings.workers))
        return np.asarray((every[1:] / every[0]).mean(axis=1))

    every_day = days_of(_VALIDATION, settings.validation_days)
    names = [f"w{i}" for i in range(shape.size)]
    search = Search(
        begin=dict(zip(names, first.tolist(), strict=True)),
        sigma=settings.sigma,
        generations=settings.generations,
        population=settings.population,
        validate_every=settings.validate_every,
        seed=config.seed,
    )
    reached: list[float] = []

    def found(best: Floats, history: list[tuple[int, float]]) -> None:
        generation, score = history[-1]
        folder.append({"generation": generation, "score": round(score, 6)})
        if not reached or score < min(reached):
            folder.write_controller({"kind": "learned", "network": NETWORK_FILE}, shape.network(best))
        reached.append(score)

    evolve(
        search,
        names,
        lambda generation, candidates: scores(candidates, days_of(generation, settings.days)),
        lambda weights: float(scores([weights], every_day)[0]),
        found,
        quiet,
    )
    return min(reached)

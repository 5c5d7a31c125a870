"""A small network found by evolution on the fast plant: CMA-ES over weights, judged on days drawn anew.

Whole days of all weathers are played in machine code, so thousands of networks can be tried in minutes. There is no
estimate of a gradient or a value that could be off where the optimum lies on the edge of what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import named
from hpcai.cooling.controllers.learned import PolicyMeta, PolicyNetwork
from hpcai.cooling.interface import OWN, READING_INDEX, Floats
from hpcai.cooling.observation import OBSERVED, OBSERVED_INDEX, Scaling
from hpcai.cooling.plant import LEDGER
from hpcai.cooling.policy_rollout import Moves, Perceptron, Terms, roll_policy
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import NETWORK_FILE
from hpcai.evaluation.fragmentation import in_threads
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.run_folder import CoolingRunFolder
from hpcai.learning.evolution import Search, evolve
from hpcai.simulation.cooling.fast import FastPlant
from hpcai.simulation.cooling.hall import Hall

FEATURES: Final = (
    "east_load",
    "west_load",
    "east_trend",
    "west_trend",
    "dry_bulb",
    "wet_bulb",
    "dry_bulb_1h",
    "wet_bulb_1h",
    "hour_sin",
    "hour_cos",
    "east_inlet",
    "west_inlet",
    "east_zone",
    "west_zone",
    "rate",
    "rate_day",
)
"""What such a network sees."""

_VALIDATION: Final = 10**6  # seed of the days of validation


class Shape:
    """The layout of a network's weights in a vector."""

    def __init__(self, hidden: int, actions: Actions, design_power: float) -> None:
        """Lay out F features x ``hidden``, hidden biases, ``hidden`` x A actions and their biases."""
        self.actions, self.hidden, self._design = actions, hidden, design_power
        features, outputs = len(FEATURES), actions.size
        self._sizes = (hidden * features, hidden, outputs * hidden, outputs)
        self.size = sum(self._sizes)
        self._places = np.array([OBSERVED_INDEX[name] for name in FEATURES])
        scaling = Scaling(design_power)
        self._middle, self._half = scaling.middle[self._places], scaling.half[self._places]

    def begin(self, points: dict[str, float], seed: int) -> Floats:
        """Return weights (size,) that tell ``points`` whatever they see; the middle of what is not named.

        Those of the first layer are drawn, since where both layers are 0 no small change has an effect.
        """
        weights = np.zeros(self.size)
        first = self._sizes[0]
        weights[:first] = np.random.default_rng(seed).normal(0.0, len(FEATURES) ** -0.5, first)
        action = np.nan_to_num(self.actions.action(named(points)))
        weights[-self.actions.size :] = np.arctanh(np.clip(action, -0.95, 0.95))
        return weights

    def perceptron(self, weights: Floats) -> Perceptron:
        """Return the network with weights (size,)."""
        first, first_bias, last, last_bias = np.split(weights, np.cumsum(self._sizes)[:-1])
        return Perceptron(
            self._places,
            self._middle,
            self._half,
            np.ascontiguousarray(first.reshape(self.hidden, -1)),
            first_bias,
            np.ascontiguousarray(last.reshape(-1, self.hidden)),
            last_bias,
        )

    def network(self, weights: Floats) -> PolicyNetwork:
        """Return the same network as a policy that sees all of OBSERVED, most of it with weight 0."""
        net = self.perceptron(weights)
        first = np.zeros((self.hidden, len(OBSERVED)), np.float32)
        first[:, self._places] = net.first
        meta = PolicyMeta(
            actions=self.actions.scheme, squash="tanh", activation="tanh", design_power=self._design, layers=2
        )
        pairs = [
            (first, net.first_bias.astype(np.float32)),
            (net.last.astype(np.float32), net.last_bias.astype(np.float32)),
        ]
        return PolicyNetwork(meta, pairs)


class Ground:
    """Days of the year at one site that networks are judged on; ``baseline`` is what the beginning reaches there."""

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


def evolve_policy(config: CoolingTraining, folder: CoolingRunFolder, quiet: bool) -> tuple[float, int]:
    """Search for the network's weights, the best so far on disk at all times.

    Scores are costs relative to those of the setpoints that it begins with, the mean over weathers. Returns the best
    in validation and the generations.
    """
    settings = config.evolution
    halls = [config.case(weather).open() for weather in config.weather]
    shape = Shape(config.learner.hidden[0], Actions(config.actions), halls[0].plant.design_power)
    grounds = [Ground(config, hall, shape) for hall in halls]
    beginning = shape.begin(config.beginning, config.seed)

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
        begin=dict(zip(names, beginning.tolist(), strict=True)),
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
    return min(reached), settings.generations

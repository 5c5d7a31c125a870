"""The layout of a small network that evolution finds: what it sees, and its weights in a vector."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import named
from hpcai.cooling.controllers.learned import PolicyMeta, PolicyNetwork
from hpcai.cooling.interface import Floats
from hpcai.cooling.observation import OBSERVED, OBSERVED_INDEX, Scaling
from hpcai.cooling.policy_rollout import Perceptron

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

    def seen(self, observation: Floats) -> Floats:
        """Return what the network takes in of observations (..., len(OBSERVED)), (..., F)."""
        return np.asarray(np.clip((observation[..., self._places] - self._middle) / self._half, -3.0, 3.0))

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

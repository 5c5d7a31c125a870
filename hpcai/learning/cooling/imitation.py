"""A first network by imitation: what predictive control does on days of the fast plant, fitted by gradient descent.

Predictive control looks ahead with the very plant that it rules, which no site can; a network that has seen it at work
needs no model, and evolution goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import nn

from hpcai.cooling.controllers.predictive import Predictive
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import Floats
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.shape import Shape
from hpcai.simulation.cooling.hall import Hall

_UPDATES: Final = 3000
_RATE: Final = 0.01
_CAUTION: Final = 0.3  # K by which the teacher stays further from the limit, since a fit misses by as much


class Shown(Predictive):
    """Predictive control, and what it saw and did."""

    def __init__(self, config: CoolingTraining, hall: Hall) -> None:
        super().__init__(
            foresight_of(config, hall),
            limit=config.reward.high,
            margin=config.reward.margin + _CAUTION,
            energy=config.reward.energy,
            scheme=config.actions,
            seed=config.seed,
        )
        self.seen: list[Floats] = []
        self.done: list[Floats] = []

    def setpoints(self, observation: Floats) -> Floats:
        """Return what it chooses, and remember that."""
        told = super().setpoints(observation)
        assert self.action is not None
        self.seen.append(observation)
        self.done.append(self.action)
        return told


def foresight_of(config: CoolingTraining, hall: Hall) -> Foresight:
    """Return the model that is the training's own plant."""
    plant = hall.plant
    case = config.case(config.weather[0])
    pressure = float(case.read_weather().frame["pressure"].mean())
    return Foresight(case.plant_preset, it_curve=config.it_curve, step_length=plant.step_length, pressure=pressure)


def imitated(config: CoolingTraining, halls: Sequence[Hall], shape: Shape, beginning: Floats) -> Floats:
    """Return weights (size,) fitted to predictive control, begun from ``beginning``."""
    seen, done = [], []
    for hall in halls:
        shown = Shown(config, hall)
        per_day = round(86400.0 / hall.plant.step_length)
        for stretch in range(config.evolution.imitate // 2):  # two days each, spread over the year
            start = int((stretch + 0.5) * 2 * 365 / config.evolution.imitate) * per_day
            hall.play(shown, start, 2 * per_day)
        seen += shown.seen
        done += shown.done
    return fitted(shape, beginning, shape.seen(np.array(seen)), np.array(done), config.seed)


def fitted(shape: Shape, beginning: Floats, seen: Floats, done: Floats, seed: int) -> Floats:
    """Return the weights (size,) of least squared error on actions ``done`` (n, A), seeing ``seen`` (n, F); Adam."""
    torch.manual_seed(seed)
    net = shape.perceptron(beginning)
    parts = [nn.Parameter(torch.tensor(part, dtype=torch.float32)) for part in net[3:]]
    first, first_bias, last, last_bias = parts
    x, y = (torch.tensor(values, dtype=torch.float32) for values in (seen, done))
    optimizer = torch.optim.Adam(parts, lr=_RATE)
    for _ in range(_UPDATES):
        rows = torch.randint(len(x), (512,))
        hidden = torch.tanh(x[rows] @ first.T + first_bias)
        loss = nn.functional.mse_loss(torch.tanh(hidden @ last.T + last_bias), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return np.concatenate([part.detach().numpy().astype(np.float64).ravel() for part in parts])

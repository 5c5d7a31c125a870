"""What a policy learns from placements of one instance: to draw the best of them more often.

Source: Petersen et al., Deep Symbolic Regression: Recovering Mathematical Expressions from Data via Risk-seeking Policy
Gradients, ICLR 2021: REINFORCE (Williams, 1992) with the best part of what was drawn alone, and the worst of that part
as the baseline. Of all that is drawn only the best placement counts, so the mean is no aim. Gains are divided by their
spread, so that graphs whose placements differ little teach nearly as much as others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.decoding import Decoder, draw, make_drawn
from hpcai.device_placement.learned.network import Network
from hpcai.learning.device_placement.config import Learner
from hpcai.learning.device_placement.instances import Instance
from hpcai.learning.device_placement.policy import Policy, Seen

_FLOOR = 0.01  # of a spread: gains below 1 % teach less


class Sample(NamedTuple):
    """Placements drawn for one instance."""

    places: Ints  # (k, u)
    choices: Floats  # (k, u, d, F)
    mask: Ints  # (k, u, d)
    costs: Floats  # (k,)


def sample(instance: Instance, decoder: Decoder, count: int, rng: np.random.Generator) -> Sample:
    """Draw ``count`` placements from a policy and time them."""
    task, u = instance.task, len(instance.units)
    value = np.zeros(len(decoder.out))
    drawn = [make_drawn(task, len(decoder.direct)) for _ in range(count)]
    places = np.empty((count, u), np.int64)
    for i, room in enumerate(drawn):
        draw(task, instance.state, decoder, rng.random(u), 1.0, value, room)
        places[i] = instance.state.place
    choices, mask = np.array([room.seen for room in drawn]), np.array([room.mask for room in drawn])
    return Sample(places, choices, mask, instance.costs(places))


def lesson(policy: Policy, seen: Seen, found: Sample, learner: Learner) -> Tensor:
    """Return the loss of placements drawn from ``policy`` itself."""
    gain = -np.log(found.costs)
    least = np.quantile(gain, 1 - learner.best)
    worth = np.maximum(gain - least, 0.0) / (gain.std() + _FLOOR) / learner.best
    logs = policy.chances(seen, found.choices, found.mask)
    taken = logs.gather(-1, torch.tensor(found.places)[..., None])[..., 0].sum(dim=-1)
    spread = -(logs.exp() * logs.clamp(min=-30.0)).sum(dim=-1).mean()
    scale = len(found.places[0]) ** 0.5  # so that a graph of many units does not outweigh others
    loss: Tensor = -(torch.tensor(worth, dtype=torch.float32) * taken).mean() / scale - learner.entropy * spread
    return loss


def decoder_of(policy: Policy, instance: Instance) -> Decoder:
    """Return the compiled decoder of a policy as it is now."""
    return Network(policy.weights()).decoder(instance.units)

"""The policy's network in PyTorch; hpcai.device_placement.learned evaluates the same arrays by NumPy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.construction import FINISH, OF_STEP
from hpcai.device_placement.learned.encoder import Weights, neighbours, unit_features
from hpcai.device_placement.learned.network import shapes
from hpcai.device_placement.learned.units import Units

_HEFT = 10.0  # what a policy begins with: scores fall with the time at which a unit would end


class Seen(NamedTuple):
    """What a graph shows of itself, as tensors."""

    x: Tensor  # (u, X)
    inputs: Tensor  # (u, u) takes means over inputs
    consumers: Tensor  # (u, u)


def seen_of(units: Units) -> Seen:
    """Return what the network takes of ``units``."""
    inputs, consumers = (torch.tensor(means.toarray()) for means in neighbours(units))
    return Seen(torch.tensor(unit_features(units), dtype=torch.float32), inputs, consumers)


class Policy(nn.Module):
    """The network; its parameters are named and shaped as :class:`Weights` are."""

    into: Tensor
    into_bias: Tensor
    own: Tensor
    before: Tensor
    after: Tensor
    bias: Tensor
    unit: Tensor
    unit_bias: Tensor
    choice: Tensor
    out: Tensor
    direct: Tensor

    def __init__(self, hidden: int, rounds: int) -> None:
        """Begin at random, but for scores of devices that are close to HEFT's choice."""
        super().__init__()
        for name, shape in shapes(hidden, rounds).items():
            fan_in = shape[-2] if len(shape) > 1 else hidden
            bound = 0.0 if "bias" in name or name == "direct" else (3.0 / fan_in) ** 0.5
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
        with torch.no_grad():
            self.out.mul_(0.1)
            self.direct[[FINISH, OF_STEP]] = -_HEFT

    def encode(self, seen: Seen) -> Tensor:
        """Return what the decoder takes of each unit (u, H)."""
        h = torch.relu(seen.x @ self.into + self.into_bias)
        for own, before, after, bias in zip(self.own, self.before, self.after, self.bias, strict=True):
            h = h + torch.relu(h @ own + (seen.inputs @ h) @ before + (seen.consumers @ h) @ after + bias)
        return h @ self.unit + self.unit_bias

    def chances(self, seen: Seen, choices: Floats, mask: Ints) -> Tensor:
        """Return logs of chances (..., u, d) of what was seen of devices (..., u, d, F), with ``mask`` (..., u, d)."""
        shown = torch.tensor(choices, dtype=torch.float32)
        hidden = torch.relu(self.encode(seen)[:, None, :] + shown @ self.choice)
        scores = hidden @ self.out + shown @ self.direct
        return torch.log_softmax(scores.masked_fill(torch.tensor(mask) == 0, -1e9), dim=-1)

    def weights(self) -> Weights:
        """Return the arrays."""
        named = {name: parameter.detach().numpy().copy() for name, parameter in self.named_parameters()}
        return Weights(**named)

    def load(self, weights: Weights) -> None:
        """Take other arrays of the same shapes."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.tensor(getattr(weights, name)))

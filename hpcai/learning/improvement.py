"""Policy improvement by branching: what each choice would have cost, all else being the same.

At a decision the episode is copied once for each choice that is looked at; in each copy the choice is taken and the
policy's own ordering decides from there to the end (a rollout; Bertsekas, Tsitsiklis and Wu, Journal of Heuristics
1997). Since the future is the same in all copies, the differences of cost are the choice's own, with far less noise
than the returns of an actor that is followed for once. The network learns to choose what costs least in expectation:

    loss = sum_a p(a | s) D(s, a),   D = what choice a costs beyond the ordering's own choice

over the choices looked at, p being the network's probabilities among them; D is scaled by the mean cost of a window
and clipped. This is one step of policy iteration from the ordering, which the network was cloned from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from torch import Tensor

from hpcai.learning.environment import Decide
from hpcai.simulation.batch import advance, make_seen, stack
from hpcai.simulation.episode import BEGIN, FOLLOW, Episodes

CHOICES: Final = 8  # looked at in a decision: the ordering's own, the network's, others at random
_STRIDE: Final = 24  # decisions from one that is branched to the next, on average


@dataclass(frozen=True)
class Branched:
    """A decision and what its choices would have cost: D for the choices looked at, nan for the others."""

    jobs: npt.NDArray[np.float32]  # (K, job features)
    machine: npt.NDArray[np.float32]  # (machine features,)
    legal: npt.NDArray[np.bool_]  # (actions,)
    cost: npt.NDArray[np.float32]  # (actions,)


class Brancher:
    """Plays episodes and branches some of their decisions."""

    def __init__(self, episodes: Episodes, seed: int) -> None:
        self._episodes, self._rng = episodes, np.random.default_rng(seed)
        self._actions = episodes.setting.actions
        self._lanes = stack(episodes, CHOICES + 1)  # the first is the episode itself
        self._arrays = [array for array in _leaves(self._lanes) if len(array) == CHOICES + 1]
        self._seen = make_seen(CHOICES + 1, episodes.setting.window)

    def play(self, decide: Decide, followed: float) -> Iterator[Branched]:
        """Yield decisions without end; in a share ``followed`` of the episodes the ordering decides, else ``decide``."""
        seen = self._seen
        while True:
            self._advance(0, BEGIN, int(self._rng.integers(self._episodes.windows)))
            follow = self._rng.random() < followed
            left = int(self._rng.integers(_STRIDE))
            while not seen.done[0]:
                legal = seen.legal[:1, : self._actions]
                observation = {"jobs": seen.jobs[:1], "machine": seen.machine[:1]}
                chosen = int(np.argmax(legal)) if follow else int(decide(observation, legal)[0])
                left -= 1
                if left < 0:
                    left = int(self._rng.integers(2 * _STRIDE))
                    yield self._branch(chosen if not follow else int(decide(observation, legal)[0]))
                self._advance(0, chosen, -1)

    def _branch(self, favourite: int) -> Branched:
        """Return the costs of some choices of the decision at hand, the network's ``favourite`` among them."""
        seen = self._seen
        legal = seen.legal[0, : self._actions].copy()
        jobs, machine = seen.jobs[0].copy(), seen.machine[0].copy()
        options = np.flatnonzero(legal)
        own = options[0]
        others = self._rng.permutation(options[(options != own) & (options != favourite)])
        choices = np.unique(np.concatenate(([own, favourite], others)))[: len(options)]
        if len(choices) > CHOICES:
            choices = np.unique(np.concatenate(([own, favourite], others[: CHOICES - 2])))
        for array in self._arrays:
            array[1 : len(choices) + 1] = array[0]
        cost = np.full(self._actions, np.nan, dtype=np.float32)
        totals = np.array([self._follow(b + 1, int(choice)) for b, choice in enumerate(choices)])
        cost[choices] = totals - totals[np.flatnonzero(choices == own)[0]]
        return Branched(jobs, machine, legal, cost)

    def _follow(self, lane: int, choice: int) -> float:
        """Return what the episode costs if ``choice`` is taken and the ordering decides from then on."""
        self._advance(lane, choice, -1)
        if not self._seen.done[lane]:
            self._advance(lane, FOLLOW, -1)
        return float(self._seen.cost[lane, 0])

    def _advance(self, lane: int, action: int, window: int) -> None:
        actions, windows = np.full(CHOICES + 1, action), np.full(CHOICES + 1, window)
        advance(self._lanes, self._episodes.pool, actions, windows, self._seen, lane, lane + 1)


def _leaves(part: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the arrays of nested tuples."""
    if isinstance(part, tuple):
        for item in part:
            yield from _leaves(item)
    elif part is not None:
        yield part


def improve(
    policy: MaskableActorCriticPolicy,
    seen: list[Branched],
    *,
    scale: float,
    clip: float,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    seed: int,
    told: Callable[[int, float], None] = lambda epoch, gain: None,
) -> float:
    """Teach ``policy`` the choices that cost least; return the mean of its expected D / ``scale`` in the last pass."""
    jobs = torch.as_tensor(np.stack([s.jobs for s in seen]))
    machine = torch.as_tensor(np.stack([s.machine for s in seen]))
    cost = np.stack([s.cost for s in seen])
    looked_at = torch.as_tensor(~np.isnan(cost))
    costs = torch.as_tensor(np.clip(np.nan_to_num(cost) / scale, -clip, clip))
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    order = np.random.default_rng(seed)
    policy.set_training_mode(True)
    expected = 0.0
    for epoch in range(epochs):
        expected = 0.0
        for rows in np.array_split(order.permutation(len(seen)), -(-len(seen) // batch_size)):
            loss = _expected_cost(policy, jobs[rows], machine[rows], looked_at[rows], costs[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimizer.step()
            expected += float(loss.detach()) * len(rows) / len(seen)
        told(epoch, expected)
    policy.set_training_mode(False)
    return expected


def _expected_cost(
    policy: MaskableActorCriticPolicy, jobs: Tensor, machine: Tensor, looked_at: Tensor, costs: Tensor
) -> Tensor:
    features = policy.extract_features({"jobs": jobs, "machine": machine})
    scores = policy.action_net(policy.mlp_extractor.forward_actor(features))
    probabilities = torch.softmax(scores.masked_fill(~looked_at, -1e8), dim=1)
    return (probabilities * costs).sum(dim=1).mean()

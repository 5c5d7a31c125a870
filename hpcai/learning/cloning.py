"""Behaviour cloning: a policy begins as a copy of a heuristic, its value as what the heuristic reaches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from hpcai.learning.config import CloningConfig
from hpcai.learning.environment import Demonstrations

HELD_OUT: Final = 0.1  # share of the decisions, the last ones, by which copying is stopped
VALUE_WEIGHT: Final = 0.5  # of the squared error of the value beside the cross-entropy


@dataclass(frozen=True)
class Cloned:
    """How well the copy agrees with its teacher on the decisions held out, after how many passes."""

    accuracy: float  # share of the decisions in which the most likely action is the teacher's
    loss: float
    epochs: int


def clone(
    policy: ActorCriticPolicy | MaskableActorCriticPolicy,
    shown: Demonstrations,
    config: CloningConfig,
    *,
    seed: int = 0,
    value: bool = True,
    told: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> Cloned:
    """Teach ``policy`` to choose as the teacher does: cross-entropy over the actions that were possible.

    With ``value`` its value learns the returns as well. Stops when it agrees with the teacher on ``enough`` of
    the held-out decisions, or its loss there has not fallen for ``patience`` passes, and goes back to the best.
    ``told`` is called after each pass.
    """
    split = max(1, int(len(shown.actions) * (1 - HELD_OUT)))
    order = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    best = Cloned(0.0, np.inf, 0)
    weights = copy.deepcopy(policy.state_dict())
    held_out = np.arange(split, len(shown.actions))
    for epoch in range(1, config.max_epochs + 1):
        policy.set_training_mode(True)
        for rows in np.array_split(order.permutation(split), -(-split // config.batch_size)):
            loss, _ = _loss(policy, shown, rows, value)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        policy.set_training_mode(False)
        now = _held_out(policy, shown, held_out, config.batch_size, value, epoch)
        told(epoch, now.accuracy)
        if now.loss < best.loss:
            best, weights = now, copy.deepcopy(policy.state_dict())
        if now.accuracy >= config.enough or epoch - best.epochs >= config.patience:
            break
    policy.load_state_dict(weights)
    return best


def _held_out(
    policy: ActorCriticPolicy | MaskableActorCriticPolicy,
    shown: Demonstrations,
    rows: npt.NDArray[np.int64],
    batch_size: int,
    value: bool,
    epoch: int,
) -> Cloned:
    loss, right = 0.0, 0.0
    with torch.no_grad():
        for batch in np.array_split(rows, -(-len(rows) // batch_size)):
            batch_loss, batch_right = _loss(policy, shown, batch, value)
            loss += float(batch_loss) * len(batch)
            right += float(batch_right.sum())
    return Cloned(right / len(rows), loss / len(rows), epoch)


def _loss(
    policy: ActorCriticPolicy | MaskableActorCriticPolicy,
    shown: Demonstrations,
    rows: npt.NDArray[np.int64],
    value: bool,
) -> tuple[Tensor, Tensor]:
    """Return the loss over some decisions, and in which of them the most likely action is the teacher's."""
    observations = {name: torch.as_tensor(array[rows]) for name, array in shown.observations.items()}
    actions, masks = torch.as_tensor(shown.actions[rows]), torch.as_tensor(shown.masks[rows])
    features = policy.extract_features(observations)
    latent_pi, latent_vf = policy.mlp_extractor(features)
    logits = policy.action_net(latent_pi).masked_fill(~masks, -1e8)
    loss = torch.nn.functional.cross_entropy(logits, actions)
    if value:
        returns = torch.as_tensor(shown.returns[rows])
        loss = loss + VALUE_WEIGHT * torch.nn.functional.mse_loss(policy.value_net(latent_vf).squeeze(1), returns)
    return loss, logits.argmax(1) == actions

"""A network that scores each waiting job, the same whatever their order and however many there are.

Deep sets (Zaheer et al., NeurIPS 2017): each job is embedded together with the state of the machine, the
queue is summarised by the mean and the maximum of the embeddings, and a job's score depends on its own
embedding and on that summary; so does the value. With attention, jobs also look at one another (one block of
multi-head self-attention; Lee et al., Set Transformer, ICML 2019). No parameter depends on the number of slots.

Observations are ``{"jobs": (B, K, F), "machine": (B, G)}``; feature 0 of a job is 1 where the slot holds a
waiting job and 0 in padding. Actions are the K slots and, where the space has one more, to defer.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

NEVER: Final = -1e8
"""Logit of a slot without a job; finite, as sb3-contrib's own masking, so that an entropy stays a number."""


class Queue(NamedTuple):
    """An embedded observation. Padding is left out of the layers that work job by job: N jobs are present."""

    jobs: Tensor  # (N, H)
    summary: Tensor  # (B, 3 H): mean and maximum over jobs, machine
    present: Tensor  # (B, K) bool
    slot: Tensor  # (N,) which of the B x K slots a job is in


class QueueEncoder(BaseFeaturesExtractor):
    """Embeds the jobs of a queue and summarises them."""

    def __init__(
        self, observation_space: spaces.Dict, hidden: int = 48, pooling: str = "deep-sets", heads: int = 4
    ) -> None:
        """``hidden`` is H, the width of every layer; ``pooling`` is deep-sets or attention, with ``heads``."""
        super().__init__(observation_space, features_dim=3 * hidden)
        job_shape, machine_shape = (observation_space[name].shape for name in ("jobs", "machine"))
        assert job_shape is not None
        assert machine_shape is not None
        self.machine = nn.Sequential(nn.Linear(machine_shape[0], hidden), nn.ReLU())
        self.job = nn.Linear(job_shape[1], hidden)
        self.machine_to_job = nn.Linear(hidden, hidden, bias=False)
        self.embed = nn.Linear(hidden, hidden)
        self.attention = _AttentionBlock(hidden, heads) if pooling == "attention" else None

    def forward(self, observation: dict[str, Tensor]) -> Queue:
        """Return the embedded queue."""
        jobs, machine = observation["jobs"], self.machine(observation["machine"])
        present = jobs[:, :, 0] > 0.5
        slot = present.flatten().nonzero().squeeze(1)
        # The machine is the same for all jobs of a queue, so its part of the layer is computed once and added.
        of_machine = self.machine_to_job(machine).index_select(0, slot // present.shape[1])
        h = torch.relu(self.job(jobs.flatten(0, 1).index_select(0, slot)) + of_machine)
        h = torch.relu(self.embed(h))
        if self.attention is not None:
            h = self.attention(_unpack(h, slot, present), present).flatten(0, 1).index_select(0, slot)
        slots = _unpack(h, slot, present)
        count = present.sum(1, keepdim=True).clamp(min=1)
        # Embeddings are not negative, so the zeros of padding never are the maximum of a queue that has jobs.
        summary = torch.cat((slots.sum(1) / count, slots.amax(1), machine), dim=1)
        return Queue(h, summary, present, slot)


def _unpack(rows: Tensor, slot: Tensor, present: Tensor, padding: float = 0.0) -> Tensor:
    """Put rows (N, H) into their slots, ``padding`` into the others (B, K, H)."""
    slots = rows.new_full((present.numel(), rows.shape[1]), padding)
    return slots.index_copy(0, slot, rows).view(*present.shape, rows.shape[1])


class _AttentionBlock(nn.Module):
    """Self-attention among the jobs that are present, added to what came in."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, h: Tensor, present: Tensor) -> Tensor:
        """Return embeddings of the same shape (B, K, H)."""
        split = self.query_key_value(h).unflatten(2, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, K, d)
        # An empty queue may look at its padding: a softmax over nothing would not be a number.
        seen = present | ~present.any(1, keepdim=True)
        mixed = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2], seen[:, None, None, :])
        return torch.relu(h + self.out(mixed.transpose(1, 2).flatten(2)))


class ScoringHeads(nn.Module):
    """From an embedded queue to the scores of the actions, and to what the value is read from."""

    def __init__(self, hidden: int, defer: bool) -> None:
        super().__init__()
        self.latent_dim_vf = hidden
        self.own = nn.Linear(hidden, hidden)
        self.context = nn.Linear(3 * hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1)
        self.defer = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)) if defer else None
        self.value = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU())

    @property
    def last_layers(self) -> list[nn.Linear]:
        """The layers that give the scores."""
        layers = [self.score, *(self.defer or ())]
        return [layer for layer in layers if isinstance(layer, nn.Linear) and layer.out_features == 1]

    def forward(self, queue: Queue) -> tuple[Tensor, Tensor]:
        """Return scores (B, actions) and the value's latent (B, H)."""
        return self.forward_actor(queue), self.forward_critic(queue)

    def forward_actor(self, queue: Queue) -> Tensor:
        """Return the score of each slot, NEVER for padding, and of deferring (B, actions)."""
        context = self.context(queue.summary).index_select(0, queue.slot // queue.present.shape[1])
        scores = self.score(torch.relu(self.own(queue.jobs) + context))
        scores = _unpack(scores, queue.slot, queue.present, padding=NEVER).squeeze(2)
        return scores if self.defer is None else torch.cat((scores, self.defer(queue.summary)), dim=1)

    def forward_critic(self, queue: Queue) -> Tensor:
        """Return what the value is a linear function of (B, H)."""
        latent: Tensor = self.value(queue.summary)
        return latent


def _build_scoring(policy: ActorCriticPolicy | MaskableActorCriticPolicy, lr_schedule: Schedule) -> None:
    """Give a policy heads whose scores are its logits, initial weights and an optimizer."""
    encoder, slots = cast(QueueEncoder, policy.features_extractor), policy.observation_space["jobs"].shape[0]  # type: ignore[index]
    hidden = encoder.embed.out_features
    heads = ScoringHeads(hidden, defer=cast(spaces.Discrete, policy.action_space).n > slots)
    policy.mlp_extractor = cast(Any, heads)  # the name by which Stable-Baselines3 calls both heads
    policy.action_net = cast(Any, nn.Identity())
    policy.value_net = nn.Linear(hidden, 1)
    for module in policy.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain=2**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    # Small at first, so that an untrained policy chooses among the jobs about evenly.
    for last in heads.last_layers:
        nn.init.orthogonal_(last.weight, gain=0.01)
    optimizer = cast(Any, policy.optimizer_class)  # each takes a learning rate, their base class says nothing of it
    policy.optimizer = optimizer(policy.parameters(), lr=lr_schedule(1), **policy.optimizer_kwargs)


class MaskableSchedulingPolicy(MaskableActorCriticPolicy):
    """The scoring network as a policy of sb3-contrib's MaskablePPO."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"features_extractor_class": QueueEncoder} | kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        _build_scoring(self, lr_schedule)


class SchedulingPolicy(ActorCriticPolicy):
    """The scoring network as a policy of PPO; only padding is masked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"features_extractor_class": QueueEncoder} | kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        _build_scoring(self, lr_schedule)

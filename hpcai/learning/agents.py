"""The learners by name, their policies as plain weights and an architecture, and their decisions."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from pydantic import BaseModel, ConfigDict
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.dqn import MultiInputPolicy as QPolicy
from stable_baselines3.dqn.policies import DQNPolicy

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.evaluation.resumable import write_whole
from hpcai.learning.config import Algo, NetworkConfig, TrainingConfig
from hpcai.learning.environment import Actions, Decide, Masks, Observations
from hpcai.learning.network import MaskableSchedulingPolicy, SchedulingPolicy

WEIGHTS, ARCHITECTURE = "weights.pt", "architecture.json"


class Architecture(BaseModel):
    """All that is needed to build a policy network before its weights are put in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algo: Algo
    network: NetworkConfig
    slots: int
    job_features: int
    machine_features: int
    actions: int

    @property
    def spaces(self) -> tuple[spaces.Dict, spaces.Discrete]:
        """Observation and action space; the bounds of the former play no part in a network."""
        jobs = spaces.Box(-np.inf, np.inf, (self.slots, self.job_features), np.float32)
        machine = spaces.Box(-np.inf, np.inf, (self.machine_features,), np.float32)
        return spaces.Dict({"jobs": jobs, "machine": machine}), spaces.Discrete(self.actions)


def make_agent(config: TrainingConfig, env: VecEnv, tensorboard: Path | None = None) -> BaseAlgorithm:
    """Return the learner that a configuration names, untrained."""
    policy, kwargs = _policy_class(config.algo, config.network)
    shared: dict[str, Any] = {
        "policy_kwargs": kwargs,
        "seed": config.seed,
        "device": "cpu",
        "tensorboard_log": None if tensorboard is None else str(tensorboard),
    }
    if config.algo == "dqn":
        return DQN(policy, env, **config.dqn.model_dump(), **shared)
    ppo = config.ppo.model_dump()
    return (
        MaskablePPO(policy, env, **ppo, **shared)
        if config.algo == "maskable-ppo"
        else PPO(policy, env, **ppo, **shared)
    )


def architecture_of(agent: BaseAlgorithm, config: TrainingConfig) -> Architecture:
    """Return what a learner's network is made like."""
    observed = cast(spaces.Dict, agent.observation_space)
    slots, job_features = cast("tuple[int, int]", observed["jobs"].shape)
    return Architecture(
        algo=config.algo,
        network=config.network,
        slots=slots,
        job_features=job_features,
        machine_features=cast("tuple[int]", observed["machine"].shape)[0],
        actions=int(cast(spaces.Discrete, agent.action_space).n),
    )


def decide_by(policy: BasePolicy) -> Decide:
    """Return the possible action that a policy scores highest, as its exported network does in a replay."""

    def decide(observations: Observations, masks: Masks) -> Actions:
        tensors = {name: torch.as_tensor(array) for name, array in observations.items()}
        with torch.no_grad():
            scores = scores_of(policy, tensors).masked_fill(~torch.as_tensor(masks), -torch.inf)
        return scores.argmax(dim=1).numpy()

    return decide


def scores_of(policy: BasePolicy, observations: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits of an actor or the values of a critic, (B, actions)."""
    if isinstance(policy, DQNPolicy):
        values: torch.Tensor = policy.q_net(observations)
        return values
    actor: Any = policy
    logits: torch.Tensor = actor.action_net(actor.mlp_extractor.forward_actor(actor.extract_features(observations)))
    return logits


def save_policy(folder: Path, policy: BasePolicy, architecture: Architecture) -> None:
    """Write a policy's weights and architecture into ``folder``."""
    write_whole(folder / ARCHITECTURE, (architecture.model_dump_json(indent=2) + "\n").encode())
    write_tensors(folder / WEIGHTS, policy.state_dict())


def load_policy(folder: Path) -> BasePolicy:
    """Return the policy that lies in ``folder``. Raises InputError if it is not all there or does not fit."""
    try:
        fields = json.loads((folder / ARCHITECTURE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / ARCHITECTURE}: cannot be read: {error}") from error
    architecture = validated(Architecture, fields, str(folder / ARCHITECTURE))
    policy_class, kwargs = _policy_class(architecture.algo, architecture.network)
    policy: BasePolicy = policy_class(*architecture.spaces, lambda _: 1e-3, **kwargs)
    try:
        policy.load_state_dict(read_tensors(folder / WEIGHTS))
    except (RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder / WEIGHTS}: does not fit {ARCHITECTURE}: {reason}") from error
    policy.set_training_mode(False)
    return policy


def write_tensors(path: Path, data: dict[str, Any]) -> None:
    """Write tensors, numbers and text in nested dicts and lists, in whole or not at all."""
    buffer = io.BytesIO()
    torch.save(data, buffer)
    write_whole(path, buffer.getvalue())


def read_tensors(path: Path) -> dict[str, Any]:
    """Return what :func:`write_tensors` wrote; a file with anything else in it is refused, never run."""
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds on files that are not its own
        raise InputError(f"{path}: cannot be read as weights: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected weights by name, found {type(data).__name__}")
    return data


def _policy_class(algo: Algo, network: NetworkConfig) -> tuple[type[Any], dict[str, Any]]:
    """Return the policy class and its arguments. DQN is a baseline, with Stable-Baselines3's own network."""
    if algo == "dqn" or network.kind == "mlp":
        layers = [network.hidden, network.hidden]
        plain = {
            "maskable-ppo": MaskableMultiInputActorCriticPolicy,
            "ppo": MultiInputActorCriticPolicy,
            "dqn": QPolicy,
        }
        return plain[algo], {"net_arch": layers}
    extractor = {"hidden": network.hidden, "pooling": network.kind, "heads": network.heads}
    scoring = MaskableSchedulingPolicy if algo == "maskable-ppo" else SchedulingPolicy
    return scoring, {"features_extractor_kwargs": extractor}

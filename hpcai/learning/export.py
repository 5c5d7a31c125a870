"""From a learner's weights to a network in plain arrays, which replays and live schedulers use."""

from __future__ import annotations

from typing import Final

import numpy as np
from stable_baselines3.common.policies import BasePolicy

from hpcai.learning.agents import Architecture
from hpcai.scheduling.network import Network, NetworkMeta
from hpcai.simulation.episode import Setting

# Names in the learner's state, and in the file.
_SCORING: Final = {
    "features_extractor.machine.0": "machine",
    "features_extractor.job": "job",
    "features_extractor.machine_to_job": "machine_to_job",
    "features_extractor.embed": "embed",
    "features_extractor.attention.query_key_value": "query_key_value",
    "features_extractor.attention.out": "out",
    "mlp_extractor.own": "own",
    "mlp_extractor.context": "context",
    "mlp_extractor.score": "score",
    "mlp_extractor.defer.0": "defer_0",
    "mlp_extractor.defer.2": "defer_1",
}
_PLAIN: Final = {
    "mlp_extractor.policy_net.0": "layer_0",
    "mlp_extractor.policy_net.2": "layer_1",
    "action_net": "layer_2",
}
_Q_VALUES: Final = {"q_net.q_net.0": "layer_0", "q_net.q_net.2": "layer_1", "q_net.q_net.4": "layer_2"}


def network_of(policy: BasePolicy, architecture: Architecture, setting: Setting) -> Network:
    """Return what a learner's policy decides by, without the parts that only learning needs."""
    plain = architecture.algo == "dqn" or architecture.network.kind == "mlp"
    names = _Q_VALUES if architecture.algo == "dqn" else _PLAIN if plain else _SCORING
    state = policy.state_dict()
    weights = {
        f"{name}_{part}": state[f"{theirs}.{part}"].detach().cpu().numpy().astype(np.float32)
        for theirs, name in names.items()
        for part in ("weight", "bias")
        if f"{theirs}.{part}" in state
    }
    meta = NetworkMeta(
        kind="mlp" if plain else architecture.network.kind,
        heads=architecture.network.heads,
        activation="relu" if architecture.algo == "dqn" else "tanh",
        window=setting.window,
        decide=setting.decide,
        defer=setting.defer,
        classes=setting.classes,
    )
    return Network(meta, weights)

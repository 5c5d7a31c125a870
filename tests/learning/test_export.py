"""A learner's network in plain arrays: the scores of the library that taught it, and files that hold nothing else."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from hpcai.errors import InputError
from hpcai.learning.agents import architecture_of, decide_by, make_agent
from hpcai.learning.config import make_config
from hpcai.learning.export import network_of
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.network import Network, NetworkMeta, load_network, save_network
from hpcai.simulation.episode import Setting
from tests.learning.conftest import JOB_FEATURES as FEWER_JOB_FEATURES
from tests.learning.conftest import MACHINE_FEATURES as FEWER_MACHINE_FEATURES

SLOTS = 7
AGENTS = [
    ("maskable-ppo", "deep-sets"),
    ("maskable-ppo", "attention"),
    ("maskable-ppo", "mlp"),
    ("ppo", "deep-sets"),
    ("ppo", "mlp"),
    ("dqn", "mlp"),
]


def agent_and_network(environment, algo: str, kind: str, defer: bool):
    """An agent whose scores tell actions apart, as after training, and its network."""
    small = {"network": {"kind": kind, "hidden": 16}, "ppo": {"batch_size": 64}, "dqn": {"buffer_size": 10}}
    config = make_config({"trace": "none", "algo": algo, "seed": 3} | small)
    agent = make_agent(config, DummyVecEnv([lambda: environment(SLOTS, defer=defer)]))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return agent, network_of(agent.policy, architecture_of(agent, config), Setting(window=SLOTS, defer=defer))


def observe(count: int):
    """Queues of all lengths; jobs that are present come first, as the environment has them."""
    rng = np.random.default_rng(0)
    jobs = rng.uniform(-1, 1, (count, SLOTS, FEWER_JOB_FEATURES)).astype(np.float32)
    present = np.arange(SLOTS) < (1 + np.arange(count) % SLOTS)[:, None]
    jobs[..., 0] = 1
    jobs *= present[..., None]
    machine = rng.uniform(-1, 1, (count, FEWER_MACHINE_FEATURES)).astype(np.float32)
    return {"jobs": jobs, "machine": machine}, present


def scores_of(policy, observations) -> np.ndarray:
    tensors = {name: torch.as_tensor(array) for name, array in observations.items()}
    with torch.no_grad():
        if hasattr(policy, "q_net"):
            return policy.q_net(tensors).numpy()
        return policy.action_net(policy.mlp_extractor.forward_actor(policy.extract_features(tensors))).numpy()


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize(("algo", "kind"), AGENTS)
def test_numpy_gives_the_scores_of_torch_and_the_same_decisions(shortest_first, algo, kind, defer):
    agent, network = agent_and_network(shortest_first, algo, kind, defer)
    observations, present = observe(40)
    theirs = scores_of(agent.policy, observations)
    assert theirs[:, 0].std() > 0.05
    rng, masks = np.random.default_rng(1), np.zeros((40, SLOTS + 1), bool)
    for b in range(40):
        ours = network.scores(observations["jobs"][b], observations["machine"][b])
        assert len(ours) == SLOTS + defer
        counted = np.append(present[b], [True] * defer).astype(bool) | (network.meta.kind == "mlp")
        np.testing.assert_allclose(ours[counted], theirs[b][counted], rtol=1e-5, atol=1e-5)
        assert np.isneginf(ours[~counted]).all()
        masks[b, :SLOTS] = present[b] & (rng.random(SLOTS) < 0.6)
        masks[b, -1] = defer
        masks[b, 0] |= not masks[b].any()
    decided = decide_by(agent.policy)(observations, masks[:, : SLOTS + defer])
    chosen = [network.choose(observations["jobs"][b], observations["machine"][b], masks[b]) for b in range(40)]
    assert decided.tolist() == chosen
    assert len(set(chosen)) > 1


def plain_network(**meta) -> Network:
    """The smallest network that can be read: one layer on everything."""
    rng = np.random.default_rng(0)
    described = NetworkMeta(kind="mlp", window=3, decide="both", defer=False, **meta)
    width = 3 * len(described.job_features) + len(described.machine_features)
    weights = {"layer_0_weight": rng.normal(size=(3, width)).astype(np.float32), "layer_0_bias": np.zeros(3, "f4")}
    return Network(described, weights)


def test_a_file_gives_the_network_back(tmp_path):
    network = plain_network(classes=("gold", "silver"))
    save_network(network, tmp_path / "network.npz")
    again = load_network(tmp_path / "network.npz")
    assert again.meta == network.meta
    assert again.weights.keys() == network.weights.keys()
    for name, array in network.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def meta_of(**other) -> np.ndarray:
    return np.array(json.dumps(plain_network().meta.model_dump(mode="json") | other))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"layer_0_weight": np.array([Trap()], dtype=object)}, "not a network's .npz file"),
        ({"meta": np.array(Trap(), dtype=object)}, "not a network's .npz file"),
        ({"meta": None}, "not a network's .npz file"),
        ({"meta": np.array("{")}, "not a network's .npz file"),
        ({"meta": meta_of(schema_name="hpcai scheduling network 0")}, "made by another version"),
        ({"meta": meta_of(colour="blue")}, "made by another version"),
        ({"meta": meta_of(job_features=["present"])}, "its features are not those of this version"),
        ({"meta": meta_of(machine_features=["free"])}, "its features are not those of this version"),
        ({"layer_0_weight": None}, "damaged"),
        ({"layer_0_bias": np.zeros(5, "f4")}, "damaged"),
        ({"layer_0_weight": np.full((3, 3 * len(JOB_FEATURES) + len(MACHINE_FEATURES)), np.nan)}, "damaged"),
        ({"meta": meta_of(window=4)}, "damaged"),
        ({"meta": meta_of(kind="attention")}, "damaged"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, arrays, message):
    path = tmp_path / "network.npz"
    good = {"meta": meta_of(), **plain_network().weights}
    np.savez(path, **{name: array for name, array in (good | arrays).items() if array is not None})
    refused(path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "not a network's .npz file"),
        (b"torch", "not a network's .npz file"),
        (pickle.dumps({"weights": Trap()}), "not a network's .npz file"),
    ],
)
def test_files_of_other_kinds_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "network.npz"
    if content is not None:
        path.write_bytes(content)
    refused(path, message)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "network.npz"
    save_network(plain_network(), path)
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, "not a network's .npz file")


def refused(path, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"network {path}: ")
    assert "\n" not in str(caught.value)

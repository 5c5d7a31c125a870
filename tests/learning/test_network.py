"""The scoring network: what it must not depend on, and that both learners can use it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from hpcai.learning.network import NEVER, MaskableSchedulingPolicy, SchedulingPolicy
from tests.learning.conftest import JOB_FEATURES, MACHINE_FEATURES, observation_space

KINDS = ("deep-sets", "attention")


def policy_for(slots: int, pooling: str, defer: bool = False, seed: int = 0) -> MaskableSchedulingPolicy:
    torch.manual_seed(seed)
    kwargs = {"hidden": 16, "pooling": pooling}
    policy = MaskableSchedulingPolicy(
        observation_space(slots), spaces.Discrete(slots + defer), lambda _: 1e-3, features_extractor_kwargs=kwargs
    )
    with torch.no_grad():  # as after training: scores that tell jobs apart
        policy.mlp_extractor.score.weight.mul_(100)
    return policy.eval()


def queue(slots: int, present: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    jobs = torch.zeros(2, slots, JOB_FEATURES)
    jobs[:, :present] = torch.rand(2, present, JOB_FEATURES, generator=generator) * 2 - 1
    jobs[:, :present, 0] = 1
    return {"jobs": jobs, "machine": torch.rand(2, MACHINE_FEATURES, generator=generator)}


def logits_and_value(policy, observation):
    with torch.no_grad():
        encoded = policy.extract_features(observation)
        scores, latent = policy.mlp_extractor(encoded)
        return policy.action_net(scores), policy.value_net(latent)


@pytest.mark.parametrize("pooling", KINDS)
@settings(max_examples=25, deadline=None)
@given(present=st.integers(0, 9), seed=st.integers(0, 1000), data=st.data())
def test_permuted_jobs_permute_the_logits_and_leave_the_value(pooling, present, seed, data):
    policy, observation = policy_for(9, pooling, defer=True), queue(9, present, seed)
    order = data.draw(st.permutations(range(9)))
    logits, value = logits_and_value(policy, observation)
    permuted, same = logits_and_value(policy, observation | {"jobs": observation["jobs"][:, order]})
    torch.testing.assert_close(permuted[:, :9], logits[:, :9][:, order], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(permuted[:, 9], logits[:, 9], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("pooling", KINDS)
def test_the_same_weights_serve_any_number_of_slots_and_padding_changes_nothing(pooling):
    small, large = policy_for(5, pooling, seed=1), policy_for(128, pooling, seed=2)
    large.load_state_dict(small.state_dict())
    few, many = queue(5, 5, 3), queue(128, 0, 3)
    many["jobs"][:, 7:12], many["machine"] = few["jobs"], few["machine"]
    logits, value = logits_and_value(small, few)
    padded, same = logits_and_value(large, many)
    torch.testing.assert_close(padded[:, 7:12], logits, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-6)
    assert (padded[:, :7] == NEVER).all()
    assert (padded[:, 12:] == NEVER).all()


@pytest.mark.parametrize("pooling", KINDS)
def test_jobs_are_told_apart_by_their_features_and_the_machine_matters(pooling):
    policy, observation = policy_for(5, pooling), queue(5, 5, 0)
    logits, value = logits_and_value(policy, observation)
    assert logits.std(1).min() > 1e-3
    other, valued = logits_and_value(policy, observation | {"machine": -observation["machine"]})
    assert not torch.allclose(other, logits)
    assert not torch.allclose(valued, value)


def test_every_parameter_has_a_gradient():
    policy, observation = policy_for(5, "attention", defer=True), queue(5, 4, 0)
    values, log_prob, entropy = policy.evaluate_actions(observation, torch.tensor([0, 5]))
    (values.sum() + log_prob.sum() + entropy.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("pooling", KINDS)
def test_maskable_ppo_learns_and_its_weights_survive_a_file(shortest_first, pooling, defer):
    model = MaskablePPO(
        MaskableSchedulingPolicy,
        shortest_first(defer=defer),
        n_steps=32,
        batch_size=16,
        policy_kwargs={"features_extractor_kwargs": {"hidden": 16, "pooling": pooling}},
        device="cpu",
    )
    model.learn(64)
    file = io.BytesIO()
    torch.save(model.policy.state_dict(), file)
    file.seek(0)
    other = MaskablePPO(
        MaskableSchedulingPolicy,
        shortest_first(defer=defer),
        policy_kwargs={"features_extractor_kwargs": {"hidden": 16, "pooling": pooling}},
        device="cpu",
        seed=5,
    ).policy
    other.load_state_dict(torch.load(file, weights_only=True))
    observation, _ = shortest_first(defer=defer).reset(seed=1)
    one, two = (p.predict_values(p.obs_to_tensor(observation)[0]) for p in (model.policy, other))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_ppo_learns(shortest_first):
    class Forgiving(shortest_first):
        def step(self, action):
            return super().step(action if self.action_masks()[action] else 0)

    model = PPO(SchedulingPolicy, Forgiving(), n_steps=32, batch_size=16, device="cpu")
    before = {name: p.clone() for name, p in model.policy.named_parameters()}
    model.learn(64)
    assert any(not torch.equal(before[name], p) for name, p in model.policy.named_parameters())
    observation, _ = Forgiving().reset(seed=1)
    action, _ = model.predict(observation, deterministic=True)
    assert observation["jobs"][action, 0] == 1
    assert isinstance(np.asarray(action).item(), int)

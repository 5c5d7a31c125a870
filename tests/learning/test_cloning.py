"""Copying a teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from hpcai.learning.cloning import clone
from hpcai.learning.config import CloningConfig
from hpcai.learning.environment import Demonstrations
from hpcai.learning.network import MaskableSchedulingPolicy


@pytest.fixture(scope="module")
def shown(shortest_first_demonstrations):
    return shortest_first_demonstrations(1500)


def fresh(shortest_first, seed=0):
    torch.manual_seed(seed)
    env = shortest_first()
    kwargs = {"hidden": 32}
    return MaskableSchedulingPolicy(
        env.observation_space, spaces.Discrete(env.slots), lambda _: 1e-3, features_extractor_kwargs=kwargs
    )


def test_the_copy_does_as_the_teacher_and_its_value_follows_the_returns(shortest_first, shown):
    policy = fresh(shortest_first)
    passes = []
    config = CloningConfig(learning_rate=3e-3, batch_size=64, max_epochs=25, patience=5, enough=1)
    cloned = clone(policy, shown, config, told=lambda epoch, accuracy: passes.append(accuracy))
    assert cloned.accuracy > 0.93
    assert passes[0] < cloned.accuracy
    observations = {name: torch.as_tensor(array[-200:]) for name, array in shown.observations.items()}
    with torch.no_grad():
        values = policy.predict_values(observations).squeeze(1).numpy()
    assert np.abs(values - shown.returns[-200:]).mean() < np.abs(shown.returns[-200:]).mean() / 2


def test_the_value_may_be_left_alone_and_a_seeded_copy_is_repeatable(shortest_first, shown):
    config = CloningConfig(max_epochs=2)
    one, two = fresh(shortest_first), fresh(shortest_first)
    before = one.value_net.weight.clone()
    assert clone(one, shown, config, value=False) == clone(two, shown, config, value=False)
    assert torch.equal(before, one.value_net.weight)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_copying_ends_when_it_is_good_enough(shortest_first, shown):
    cloned = clone(fresh(shortest_first), shown, CloningConfig(enough=0.2, learning_rate=3e-3))
    assert cloned.epochs < 5


def test_an_action_that_was_impossible_costs_nothing(shortest_first):
    policy, rng = fresh(shortest_first), np.random.default_rng(0)
    jobs = np.zeros((40, 6, 4), np.float32)
    jobs[:, :, 0] = 1
    masks = np.zeros((40, 6), bool)
    masks[:, 2] = True  # no choice, so nothing to learn
    machine = rng.random((40, 3)).astype(np.float32)
    shown = Demonstrations({"jobs": jobs, "machine": machine}, masks, np.full(40, 2), np.zeros(40, np.float32))
    cloned = clone(policy, shown, CloningConfig(max_epochs=1), value=False)
    assert (cloned.accuracy, cloned.loss) == (1.0, 0.0)

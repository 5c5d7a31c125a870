"""Agents of Stable-Baselines3 that learn to rule a site."""

from __future__ import annotations

from contextlib import closing

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

from hpcai.learning.cooling.agent import Watch, aim, layers_of, learn, untrained
from hpcai.learning.progress import LearningProgress
from hpcai.learning.site.config import SiteTraining
from hpcai.learning.site.environment import FlatSite
from hpcai.learning.site.keeper import Keeper
from hpcai.simulation.site.ruler import Learned


def make_env(config: SiteTraining, weights: dict[str, float]) -> DummyVecEnv:
    """Return the environment with the weights of costs."""
    return DummyVecEnv([lambda: FlatSite(config, weights)])


def make_agent(config: SiteTraining, env: DummyVecEnv) -> BaseAlgorithm:
    """Return the agent that a configuration names, untrained; it begins with what that says."""
    assert config.method != "evolution"
    agent = untrained(config.method, config.learner, config.seed, env)
    aim(agent, config.beginning)
    return agent


def ruler_of(agent: BaseAlgorithm, config: SiteTraining) -> Learned:
    """Return the deterministic actor of an agent as plain arrays."""
    return config.ruler(*layers_of(agent))


def learn_to_rule(config: SiteTraining, keeper: Keeper, quiet: bool) -> None:
    """Let an agent learn until the budget is spent, the best so far on disk at all times."""
    with (
        closing(make_env(config, keeper.ground.weights())) as env,
        LearningProgress(keeper.clock, quiet) as progress,
    ):
        agent = make_agent(config, env)

        def validate(_: int) -> None:
            keeper.validate(ruler_of(agent, config))

        validate(0)
        watch = Watch(keeper.clock, config.validate_every, validate, lambda _: progress.show(keeper.state))
        learn(agent, watch)
        if keeper.clock.steps % config.validate_every:
            validate(keeper.clock.steps)

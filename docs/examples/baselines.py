"""What an environment's baselines reach: chance, and what the policy or discipline itself would do.

python docs/examples/baselines.py Scheduling-v0 --episodes 20 policy='{"ordering": "saf", "estimate": "actual"}'
"""

import argparse
import json
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


def own_action(env: Any) -> Any:
    """Return what the rules would do: the first possible action, else the middle of each range."""
    if hasattr(env, "own_action"):
        return env.own_action()
    if hasattr(env, "action_masks"):
        return int(env.action_masks().argmax())
    return spaces.unflatten(env.action_space, np.zeros(spaces.flatdim(env.action_space), np.float32))


def chance(env: Any) -> Any:
    """Return any possible action."""
    return env.action_space.sample(env.action_masks().astype(np.int8) if hasattr(env, "action_masks") else None)


def play(env: Any, act: Any, seed: int) -> tuple[float, dict[str, Any]]:
    """Return the sum of rewards of an episode, and its last info."""
    total, over = 0.0, False
    env.action_space.seed(seed)
    env.reset(seed=seed)
    while not over:
        _, reward, terminated, truncated, info = env.step(act(env))
        total, over = total + reward, terminated or truncated
    return total, info


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("id")
    parser.add_argument("settings", nargs="*", help="arguments of the environment, NAME=JSON")
    parser.add_argument("--episodes", type=int, default=20)
    asked = parser.parse_intermixed_args()
    settings = {name: json.loads(value) for name, _, value in (text.partition("=") for text in asked.settings)}
    env = gymnasium.make(f"hpcai_envs:hpcai/{asked.id}", **settings).unwrapped
    for act in (chance, own_action):
        played = [play(env, act, seed) for seed in range(asked.episodes)]
        means = {key: np.mean([info[key] for _, info in played]) for key in played[0][1] if key in ("cost", "ratio")}
        means = {"reward": np.mean([total for total, _ in played])} | means
        print(act.__name__, *(f"{key} {mean:.3f}" for key, mean in means.items()))

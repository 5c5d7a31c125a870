"""Many scheduling episodes stepped in one compiled call, as a vector environment of stable-baselines3."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from hpcai.errors import InputError
from hpcai.simulation.batch import Seen, advance, make_seen, stack
from hpcai.simulation.episode import BEGIN, Episodes, Lane, Pool
from hpcai_envs.scheduling import observation_space
from hpcai_envs.windows import Observation, outcome

# s; less work than this is done before another thread has been woken and has woken the first, 0.05 ms each.
WORTH_HELP = 2.5e-4
_Call = tuple[Lane, Pool, NDArray[np.int64], NDArray[np.int64], Seen, int, int]  # the arguments of advance


def _advance(calls: Iterator[_Call]) -> float:
    """Make what is left of ``calls``, which threads may share; return the seconds that took."""
    begun = time.perf_counter()
    for call in calls:
        advance(*call)
    return time.perf_counter() - begun


class _Group:
    """The lanes ``low`` to ``high - 1`` of the vector, which play windows of one log."""

    def __init__(self, episodes: Episodes, low: int, high: int) -> None:
        self.episodes, self.low, self.high = episodes, low, high
        self.lanes: Lane = stack(episodes, high - low)
        self.next_window = np.zeros(high - low, dtype=np.int64)

    def part(self, seen: Seen) -> Seen:
        """Return this group's rows."""
        return Seen._make(array[self.low : self.high] for array in seen)


class BatchedScheduling(VecEnv):
    """``lanes`` copies of ``hpcai/Scheduling-v0`` stepped together; trajectories equal the plain environment's.

    ``episodes`` are the logs to play, one or several of one setting; lanes are shared out among them evenly. The
    episode of lane b goes on as that of a plain environment seeded with ``seed + b``. Arrays returned by a step
    are written again by the step after the next.
    """

    def __init__(self, episodes: Episodes | Sequence[Episodes], lanes: int, *, seed: int = 0, threads: int = 0) -> None:
        """At most ``threads`` step the lanes side by side; 0: as many as there are processors, at most 4."""
        sources = [episodes] if isinstance(episodes, Episodes) else list(episodes)
        if lanes < len(sources):
            raise InputError(f"{lanes} lanes: expected at least one for each of the {len(sources)} logs")
        self.setting = sources[0].setting
        self.render_mode = None
        edges = np.linspace(0, lanes, len(sources) + 1).astype(int)
        self._groups = [_Group(s, int(a), int(b)) for s, a, b in zip(sources, edges, edges[1:], strict=False)]
        self._seen = [make_seen(lanes, self.setting.window) for _ in range(2)]
        self._turn = 0
        self.seconds = 0.0  # spent in stepping, the outcome's bookkeeping included
        self._actions: NDArray[np.int64] = np.zeros(lanes, dtype=np.int64)
        self._threads = threads or min(os.cpu_count() or 1, 4)
        self._executor = ThreadPoolExecutor(self._threads)
        self._calls = {(t, n): self._parts(self._seen[t], n) for t in (0, 1) for n in (1, self._threads)}
        self._work = math.inf  # s; of the latest step, all threads together
        super().__init__(lanes, observation_space(self.setting), spaces.Discrete(self.setting.actions))
        self.seed(seed)
        self._generators = [np_random(seed + b)[0] for b in range(lanes)]

    def _parts(self, seen: Seen, threads: int) -> list[_Call]:
        """Return the arguments of the calls that advance all lanes and write to ``seen``."""
        calls: list[_Call] = []
        for group in self._groups:
            lanes = group.high - group.low
            actions = self._actions[group.low : group.high]
            shared = (group.lanes, group.episodes.pool, actions, group.next_window, group.part(seen))
            edges = np.linspace(0, lanes, min(threads, lanes) + 1).astype(int).tolist()
            calls += [(*shared, low, high) for low, high in itertools.pairwise(edges)]
        return calls

    def _run(self) -> None:
        """Advance all lanes, with help if there is enough to do; a thread takes the next part when it is free."""
        threads = self._threads if self._work > WORTH_HELP else 1
        calls = iter(self._calls[self._turn, threads])
        helpers = [self._executor.submit(_advance, calls) for _ in range(threads - 1)]
        self._work = _advance(calls)
        self._work += sum(helper.result() for helper in helpers if not helper.cancel())  # none that comes too late

    def _draw(self, lanes: Iterable[int]) -> None:
        """Draw the next window of each of ``lanes``."""
        for group in self._groups:
            for b in lanes:
                if group.low <= b < group.high:
                    group.next_window[b - group.low] = self._generators[b].integers(group.episodes.windows)

    def _observation(self) -> Observation:
        seen = self._seen[self._turn]
        return {"jobs": seen.jobs, "machine": seen.machine}

    def reset(self) -> Observation:
        """Begin an episode in every lane."""
        for b, seed in enumerate(self._seeds):
            if seed is not None:
                self._generators[b] = np_random(seed)[0]
        self._reset_seeds()
        self._reset_options()
        self._draw(range(self.num_envs))
        self._actions[:] = BEGIN
        self._run()
        if self._seen[self._turn].done.any():
            raise InputError("no window of the log has anything to decide")
        self._draw(range(self.num_envs))
        return self._observation()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions, (lanes,)."""
        self._actions[:] = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every lane; an episode that has ended is followed by the next one's first observation."""
        begun = time.perf_counter()
        self._turn = 1 - self._turn
        self._run()
        seen = self._seen[self._turn]
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(seen.done).tolist()
        for b in ended:
            infos[b] = self._outcome(seen, b)
        self._draw(ended)
        self.seconds += time.perf_counter() - begun
        return self._observation(), seen.reward.astype(np.float32), seen.done.copy(), infos

    def _outcome(self, seen: Seen, b: int) -> dict[str, Any]:
        cost, heuristic = seen.cost[b].tolist()
        space = self.observation_space
        return outcome(cost, heuristic, int(seen.steps[b])) | {
            # What the plain environment returns at the end: nothing is left to see.
            "terminal_observation": {name: np.zeros(space[name].shape, np.float32) for name in ("jobs", "machine")},  # type: ignore[index]
            "TimeLimit.truncated": False,
        }

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are possible in each lane, (lanes, actions)."""
        return self._seen[self._turn].legal[:, : self.setting.actions]

    def close(self) -> None:
        """Let the threads go."""
        self._executor.shutdown()

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Return the result of ``method_name`` for each lane; only ``action_masks`` is known."""
        if method_name != "action_masks":
            raise AttributeError(f"BatchedScheduling has no method {method_name!r} for single lanes")
        return [self.action_masks()[b] for b in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute, which all lanes share, for each lane."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: lanes have no attributes of their own."""
        raise AttributeError(f"BatchedScheduling: {attr_name!r} cannot be set for single lanes")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Return that no lane is wrapped."""
        return [False for _ in self._get_indices(indices)]

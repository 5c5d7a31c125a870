"""What all environments share: windows of a recorded log, drawn or named, played to their end."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.records import Trace

Observation = dict[str, NDArray[np.float32]]
RenderMode = Literal["rgb_array", "ansi"]


def outcome(cost: float, heuristic: float, steps: int) -> dict[str, Any]:
    """Return what ``info`` says at the end of an episode."""
    ratio = cost / heuristic if heuristic else 1.0
    return {"cost": cost, "heuristic_cost": heuristic, "ratio": ratio, "steps": steps}


def _differ(one: Any, other: Any) -> bool:
    """Return whether two options differ; logs that are not one and the same do."""
    return one is not other and (isinstance(one, Trace) or isinstance(other, Trace) or bool(one != other))


class WindowEnv(gym.Env[Observation, np.int64]):
    """An environment whose episodes are windows of a log; ``asked`` are the options of reset that stay in force."""

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, asked: dict[str, Any], format: str | None, render_mode: RenderMode | None) -> None:
        self.render_mode = render_mode
        self._format = format
        self._asked = asked
        self._nothing_to_decide = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; see the class for ``options``. Raises InputError for an option that cannot be used."""
        super().reset(seed=seed)
        options = dict(options or {})
        window = options.pop("window", None)
        if unknown := set(options) - set(self._asked):
            raise InputError(f"reset option {unknown.pop()!r}: expected window or one of {', '.join(self._asked)}")
        if any(_differ(value, self._asked[key]) for key, value in options.items()):
            self._asked.update(options)
            self._set_up()
        if window is None:
            self._begin_anywhere()
            self._nothing_to_decide = False
        else:
            self._nothing_to_decide = not self._begin_at(int(window))
        return self._observation(), {"window": self._row()}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out an action and go on to the next decision."""
        if self._nothing_to_decide:
            return self._observation(), 0.0, True, False, self._outcome()
        reward, ended = self._act(int(action))
        return self._observation(), reward, ended, False, self._outcome() if ended else {}

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are possible, (actions,)."""
        legal = self._legal()
        if self._nothing_to_decide:
            legal[0] = True  # the step that ends an episode without a decision
        return legal

    @abstractmethod
    def _set_up(self) -> None:
        """Read the log and lay out its windows."""

    @abstractmethod
    def _begin_anywhere(self) -> None:
        """Begin a window drawn at random in which there is something to decide."""

    @abstractmethod
    def _begin_at(self, row: int) -> bool:
        """Begin the window whose first job is ``row``; return whether there is something to decide."""

    @abstractmethod
    def _row(self) -> int:
        """Return the row of the first job of the window."""

    @abstractmethod
    def _act(self, action: int) -> tuple[float, bool]:
        """Carry out an action and go on; return the reward, and whether the episode has ended."""

    @abstractmethod
    def _observation(self) -> Observation:
        """Return what is seen."""

    @abstractmethod
    def _legal(self) -> NDArray[np.bool_]:
        """Return which actions are possible, a copy."""

    @abstractmethod
    def _outcome(self) -> dict[str, Any]:
        """Return what ``info`` says at the end."""

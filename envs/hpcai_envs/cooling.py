"""``hpcai/Cooling-v0``: the setpoints of a machine hall's cooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.configuration import validated
from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.interface import READING_INDEX, READINGS
from hpcai.cooling.observation import OBSERVED, SURROUNDINGS, Scaling
from hpcai.errors import InputError
from hpcai.simulation.cooling.case import CoolingCase, PlantKind
from hpcai.simulation.cooling.reward import CoolingReward, reward_settings

Days = Literal["train", "validation", "test", "all"]
RenderMode = Literal["rgb_array", "ansi"]

_RATE = [point.name for point in SURROUNDINGS].index("rate")
_UNTIL = {"train": (1, 20), "validation": (21, 24), "test": (25, 31), "all": (1, 31)}


class CoolingEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Days of a plant that cools a hall of two sides; before each step the agent sets its setpoints.

    ## Action space
    ``Box(-1, 1, (n,))``, the numbers of an :class:`hpcai.cooling.action.Actions` scheme: ``simple``, supply
    temperature and airflow of each side, chilled water and economizer; or ``stages``, the five per side of Li et al.

    ## Observation space
    ``Box(-3, 3, (len(OBSERVED),))``: :data:`hpcai.cooling.observation.OBSERVED`, scaled: temperatures, flows and
    powers of the step that ended, load and its trend, weather now and as forecast, time, rate.

    ## Rewards
    :class:`hpcai.simulation.cooling.reward.CoolingReward`, with its formulas: by default less energy of the whole
    site within the limits. ``info`` holds the parts: ``cost``, ``hot``, ``cold`` (K), and ``multiplier``.

    ## Starting state, episode end
    Midnight of a day drawn from ``days`` of the year, the plant as it is there; truncated after ``episode_days``, or
    at the end of the year. Of each month days 1 to 20 are ``train``, 21 to 24 ``validation``, the rest ``test``, so
    that each part has all seasons; an episode begins on a day of its part and is cut before it would leave it.

    ## Options of reset
    ``day`` of the year, counted from 0, at which to begin.

    ## Version history
    v0: first.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        weather: str,
        *,
        plant: PlantKind = "fast",
        it_load: float | str = "daily",
        it_curve: Literal["stock", "flat"] = "flat",
        preset: str | None = None,
        model: str | None = None,
        step_minutes: int = 15,
        rate: str | None = None,
        actions: Scheme = "simple",
        reward: CoolingReward | Mapping[str, Any] | None = None,
        days: Days = "train",
        episode_days: int = 4,
        render_mode: RenderMode | None = None,
    ) -> None:
        """Raise InputError if a file or a setting cannot be used."""
        if days not in get_args(Days):
            raise InputError(f"days {days!r}: expected one of {', '.join(get_args(Days))}")
        if episode_days < 1:
            raise InputError(f"episode_days {episode_days}: expected 1 or more")
        settings: dict[str, Any] = {
            "weather": weather,
            "plant": plant,
            "it_load": it_load,
            "it_curve": it_curve,
            "preset": preset,
        }
        settings |= {"model": model, "step_minutes": step_minutes, "rate": rate}
        self.case = validated(CoolingCase, settings, "Cooling-v0")
        self.hall = self.case.open()
        self.actions = Actions(actions)
        if not isinstance(reward, CoolingReward):
            reward = validated(CoolingReward, reward_settings(plant, reward or {}), "reward")
        self.reward = reward
        self.multiplier = reward.hot_weight
        self.render_mode = render_mode
        self.design = self.hall.plant.design_power
        self._scaling = Scaling(self.design)
        self._day_steps = round(86400.0 / self.case.step_length)
        self._days = self._days_of(days)
        self._longest = episode_days
        self._end, self._hot, self._taken = 0, 0.0, 0
        self.action_space = spaces.Box(-1.0, 1.0, (self.actions.size,), np.float32)
        self.observation_space = spaces.Box(-3.0, 3.0, (len(OBSERVED),), np.float32)

    def _days_of(self, days: Days) -> NDArray[np.bool_]:
        """Return which days of the weather belong to the part."""
        first, last = _UNTIL[days]
        whole = self.hall.steps // self._day_steps
        of_month = (np.datetime64(self.hall.start.date()) + np.arange(whole)).astype(object)
        return np.array([first <= day.day <= last for day in of_month])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for ``options``. Raises InputError for an option that cannot be used."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"day"}:
            raise InputError(f"reset option {unknown.pop()!r}: expected day")
        if "day" in options:
            day = int(options["day"])
            if not 0 <= day < self._days.size:
                raise InputError(f"reset option day {day}: expected 0 to {self._days.size - 1}")
        else:
            day = int(self.np_random.choice(np.flatnonzero(self._days)))
        if self.reward.lagrangian and self._taken:
            self.multiplier = self.reward.next_multiplier(self.multiplier, self._hot / self._taken)
        others = np.flatnonzero(~self._days[day + 1 : day + self._longest])
        length = int(others[0]) + 1 if others.size else self._longest
        self._end = min((day + length) * self._day_steps, self.hall.steps)
        self._hot, self._taken = 0.0, 0
        observation = self.hall.begin(day * self._day_steps)
        self._seen = observation
        return self._scaling(observation), {"day": day}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Set the setpoints and go one step on. Raises PlantError if the plant breaks down."""
        rate = self.hall.surroundings[self.hall.now, _RATE]
        observation = self.hall.step(self.actions.setpoints(np.asarray(action, dtype=np.float64)))
        self._seen = observation
        readings = observation[: len(READINGS)]
        cost = self.reward.cost(readings, self.design, float(rate))
        hot, cold = self.reward.beyond(readings)
        self._hot += hot
        self._taken += 1
        info = {"cost": cost, "hot": hot, "cold": cold, "multiplier": self.multiplier}
        worth = -cost - self.multiplier * hot - self.reward.cold_weight * cold
        return self._scaling(observation), worth, False, self.hall.now >= self._end, info

    def render(self) -> Any:
        """Return the state as text, or as a picture (height, width, 3)."""
        lines = [
            f"step {self.hall.now} of {self.hall.steps}",
            *(f"{point.name} {self._seen[READING_INDEX[point.name]]:.1f} {point.unit}" for point in READINGS),
        ]
        if self.render_mode == "ansi":
            return "\n".join(lines)
        if self.render_mode == "rgb_array":
            from hpcai_envs.render_cooling import draw_hall

            return draw_hall(self._seen[: len(READINGS)], self.design, self.reward.low, self.reward.high)
        return None

    def close(self) -> None:
        """Let go of the plant."""
        self.hall.plant.close()

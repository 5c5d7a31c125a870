"""``hpcai/Scheduling-v0``: which waiting job starts next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records import Trace
from hpcai.records.splitting import Part
from hpcai.scheduling.decisions import Decide
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.policy import Policy
from hpcai.simulation.batch import Seen, advance, lane_of, make_seen, stack
from hpcai.simulation.episode import BEGIN, LOAD, Episodes, Lane, Setting
from hpcai.simulation.rewards import Reward
from hpcai_envs.render import draw, write
from hpcai_envs.source import Source, as_model, open_source
from hpcai_envs.windows import Observation, RenderMode, WindowEnv, outcome


def make_setting(
    policy: Policy | Mapping[str, Any] | None = None,
    window: int = 128,
    decide: Decide = "both",
    defer: bool = False,
    reward: Reward | Mapping[str, Any] | None = None,
    classes: tuple[str, ...] = (),
) -> Setting:
    """Return how episodes are played, from plain values. Raises InputError if one of them makes no sense."""
    if window < 1:
        raise InputError(f"window {window}: expected at least 1 job to choose from")
    if decide not in ("next", "backfill", "both"):
        raise InputError(f"decide {decide!r}: expected next, backfill or both")
    return Setting(
        policy=as_model(Policy, {"ordering": "saf"} if policy is None else policy, "policy"),
        window=window,
        decide=decide,
        defer=defer,
        reward=as_model(Reward, reward, "reward"),
        classes=tuple(classes),
    )


def observation_space(setting: Setting) -> spaces.Dict:
    """Return the space of what is seen."""
    return spaces.Dict(
        {
            "jobs": spaces.Box(0.0, 1.0, (setting.window, len(JOB_FEATURES)), np.float32),
            "machine": spaces.Box(-1.0, 1.0, (len(MACHINE_FEATURES),), np.float32),
        }
    )


class SchedulingEnv(WindowEnv):
    """A window of a recorded log replayed on a machine; the agent decides which waiting job starts next.

    ## Action space
    ``Discrete(window)``, or ``Discrete(window + 1)`` with ``defer``: a slot of the window, that is of the first
    ``window`` waiting jobs in the policy's ordering; the last action, with ``defer``, starts nobody (else) at this
    instant. :meth:`action_masks` says which are possible; one that is not counts as the first that is. Decisions
    with one possible action take themselves.

    ``decide="next"``: named jobs start as long as they fit; the first that does not gets a reservation (none with
    backfill ``none``) and the rest follow as the policy's ordering and backfilling say. ``"backfill"`` (EASY): the
    ordering finds the job with the reservation, the agent picks who is backfilled. ``"both"``: the agent does both.

    ## Observation space
    ``jobs`` float32 (window, features) in 0..1, the columns of :data:`hpcai.scheduling.features.JOB_FEATURES`;
    ``machine`` float32 (features,) in -1..1, the columns of MACHINE_FEATURES there. The true run time is not among
    them.

    ## Rewards
    :class:`hpcai.simulation.rewards.Reward`, with its formulas; by default what is gained in mean bounded slowdown
    over the policy's own ordering, as a share of that, as it accrues.

    ## Starting state, episode end
    An empty machine at the first submission of a window of ``length`` jobs, drawn from the part of the log; the end
    of its last job. ``info`` then holds ``cost``, ``heuristic_cost``, ``ratio`` and ``steps``.

    ## Options of reset
    ``trace`` (a path or a Trace), ``machine`` (a preset, a YAML file, a number of processors or a Machine),
    ``part``, ``length``, and ``window``, the row of the first job among the log's replayable jobs.

    ## Version history
    v0: first.
    """

    def __init__(
        self,
        trace: str | Trace = "lublin-256.swf.gz",
        *,
        format: str | None = None,
        machine: str | Machine | None = None,
        part: Part = "train",
        length: int = 256,
        window: int = 128,
        decide: Decide = "both",
        defer: bool = False,
        policy: Policy | Mapping[str, Any] | None = None,
        reward: Reward | Mapping[str, Any] | None = None,
        classes: tuple[str, ...] = (),
        render_mode: RenderMode | None = None,
    ) -> None:
        """Raise InputError if the log, the machine or a setting cannot be used."""
        self.setting = make_setting(policy, window, decide, defer, reward, classes)
        self.observation_space = cast(Any, observation_space(self.setting))
        self.action_space = cast(Any, spaces.Discrete(self.setting.actions))
        super().__init__({"trace": trace, "machine": machine, "part": part, "length": length}, format, render_mode)
        self._set_up()

    def _set_up(self) -> None:
        asked = self._asked
        self.source: Source = open_source(
            asked["trace"], format=self._format, machine=asked["machine"], part=asked["part"]
        )
        self._play(self.source.episodes(self.setting, asked["length"]))

    def _play(self, episodes: Episodes) -> None:
        self.episodes = episodes
        self._lanes = stack(self.episodes, 1)
        self.lane: Lane = lane_of(self._lanes, 0)
        self._seen: Seen = make_seen(1, self.setting.window)
        self._single = False  # the episodes are one window that was asked for

    def _begin_anywhere(self) -> None:
        if self._single:
            self._set_up()
        self._advance(BEGIN, int(self.np_random.integers(self.episodes.windows)))
        if self._seen.done[0]:
            raise InputError(f"{self.source.name}: no window of {self.episodes.length} jobs has anything to decide")

    def _begin_at(self, row: int) -> bool:
        index = np.flatnonzero(self.episodes.pool.firsts == row)
        if not len(index):
            self._play(self.source.episodes(self.setting, self.episodes.length, row))
            self._single = True
            index = np.zeros(1, dtype=np.int64)
        self._advance(LOAD, int(index[0]))
        return not self._seen.done[0]

    def _row(self) -> int:
        return int(self.episodes.pool.firsts[self.lane.episode.scalars["window"][0]])

    def _act(self, action: int) -> tuple[float, bool]:
        self._advance(action, -1)
        return float(self._seen.reward[0]), bool(self._seen.done[0])

    def _advance(self, action: int, window: int) -> None:
        advance(self._lanes, self.episodes.pool, np.array([action]), np.array([window]), self._seen, 0, 1)

    def _observation(self) -> Observation:
        return {"jobs": self._seen.jobs[0].copy(), "machine": self._seen.machine[0].copy()}

    def _outcome(self) -> dict[str, Any]:
        e = self.lane.episode.scalars[0]
        return outcome(float(e["accrued"]), float(e["heuristic"]), int(e["steps"]))

    def _legal(self) -> NDArray[np.bool_]:
        return self.lane.decision.legal[: self.setting.actions].copy()

    @property
    def starts(self) -> NDArray[np.float64]:
        """Start of each job of the window in s, nan while it waits; (length,)."""
        return self.lane.state.start.copy()

    def render(self) -> Any:
        """Return a picture, uint8 (height, width, 3), or text, by ``render_mode``."""
        if self.render_mode == "rgb_array":
            return draw(self.lane)
        return write(self.lane) if self.render_mode == "ansi" else None

"""``hpcai/Preemption-v0``: whom to stop or shrink for a job that does not fit, or whether it waits."""

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
from hpcai.scheduling.gpu_cluster.answers import find_moves, make_move, wait
from hpcai.scheduling.gpu_cluster.discipline import PREEMPT, Discipline
from hpcai.scheduling.gpu_cluster.observing import MOVE_FEATURES, PLAN_FEATURES, observe_moves
from hpcai.simulation.gpu_cluster.rewards import ClusterReward
from hpcai_envs.cluster import ClusterEnv
from hpcai_envs.windows import Observation, RenderMode


class PreemptionEnv(ClusterEnv):
    """A window of a recorded log replayed on a GPU cluster; the agent says who makes way for a job that does not fit.

    ## Action space
    ``Discrete(window + 1)``: one of the first ``window`` moves, that is a job that gives a pod (an elastic one) or
    stops; the last action lets the job wait until something changes. Moves follow each other until there is room;
    whoever has room in spite of it then keeps its places. First among them is what the discipline would do.
    :meth:`action_masks` says which are possible; one that is not counts as the first. A job for which nobody can make
    way waits by itself.

    ## Observation space
    ``moves`` float32 (window, features) in 0..1, the columns of
    :data:`hpcai.scheduling.gpu_cluster.observing.MOVE_FEATURES`; ``job`` float32 (features,) in 0..1, the columns of
    PLAN_FEATURES there, about the job, the machine and the queue.

    ## Rewards
    :class:`hpcai.simulation.gpu_cluster.rewards.ClusterReward`, with its formulas; by default minus the
    GPU-hours lost and minus the GPU-hours that normal jobs and grand challenges wait for, per job, as they accrue.

    ## Starting state, episode end
    An empty machine at the first submission of a window of ``length`` jobs, drawn from the part of the log; the end
    of its last job. ``info`` then holds ``cost``, ``heuristic_cost``, ``ratio`` and ``steps``.

    ## Options of reset
    ``trace`` (a path or a Trace), ``machine`` (a preset, a YAML file or a Machine), ``part``, ``length``, ``load``, and
    ``window``, the row of the first job among the log's replayable jobs.

    ## Version history
    v0: first.
    """

    external = PREEMPT
    own_discipline = Discipline()
    own_reward = ClusterReward(lost=1.0, waiting={"normal": 1.0, "grand-challenge": 1.0}, relative=False)

    def __init__(
        self,
        trace: str | Trace = "mn-1-day.parquet",
        *,
        format: str | None = None,
        machine: str | Machine | None = None,
        part: Part = "train",
        length: int = 256,
        load: float = 4.0,
        window: int = 32,
        discipline: Discipline | Mapping[str, Any] | None = None,
        reward: ClusterReward | Mapping[str, Any] | None = None,
        render_mode: RenderMode | None = None,
    ) -> None:
        """Raise InputError if the log, the machine or a setting cannot be used."""
        if window < 1:
            raise InputError(f"window {window}: expected at least 1 move to choose from")
        self._who = np.zeros(window, dtype=np.int64)
        self._shrinks = np.zeros(window, dtype=np.bool_)
        self._moves = np.zeros((window, len(MOVE_FEATURES)), np.float32)
        self._job = np.zeros(len(PLAN_FEATURES), np.float32)
        self._shown = self._found = 0
        super().__init__(trace, format, machine, part, length, load, discipline, reward, render_mode)
        self.observation_space = cast(
            Any,
            spaces.Dict(
                {
                    "moves": spaces.Box(0.0, 1.0, self._moves.shape, np.float32),
                    "job": spaces.Box(0.0, 1.0, self._job.shape, np.float32),
                }
            ),
        )
        self.action_space = cast(Any, spaces.Discrete(window + 1))

    def _open(self) -> bool:
        self._shown, self._found = find_moves(self.episode.cluster, self._who, self._shrinks)
        return self._shown > 0

    def _answer(self, action: int) -> bool:
        if action == len(self._who):
            wait(self.episode.cluster)
            return False
        k = action if action < self._shown else 0
        return not make_move(self.episode.cluster, self._who[k], self._shrinks[k]) and self._open()

    def own_action(self) -> int:
        """Return what the discipline would do; not with ``victims: by-node``, which clears node after node."""
        return 0

    def _observation(self) -> Observation:
        self._moves[:], self._job[:] = 0.0, 0.0
        if not self._over:
            seen = (self._moves, self._job)
            observe_moves(self.episode.cluster, self._who, self._shrinks, self._shown, self._found, *seen)
            np.clip(self._moves, 0.0, 1.0, out=self._moves)
        return {"moves": self._moves.copy(), "job": self._job.copy()}

    def _legal(self) -> NDArray[np.bool_]:
        legal = np.zeros(len(self._who) + 1, dtype=np.bool_)
        if not self._over:
            legal[: self._shown] = legal[-1] = True
        return legal

    def _options(self) -> list[str]:
        if self._over:
            return []
        lines = [
            f"{k:4d}  job {self._who[k]:6d}  {'gives a pod' if self._shrinks[k] else 'stops'}"
            for k in range(min(self._shown, 10))
        ]
        return [*lines, f"      and {self._found - len(lines)} more", f"{len(self._who):4d}  waits"]

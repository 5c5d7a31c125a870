"""``hpcai/Placement-v0``: which nodes for a gang."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records import Trace
from hpcai.records.splitting import Part
from hpcai.scheduling.gpu_cluster.answers import place_what_is_clear, place_where, ruled, vacate
from hpcai.scheduling.gpu_cluster.discipline import PLACE, Discipline
from hpcai.scheduling.gpu_cluster.observing import GANG_FEATURES, PLACE_FEATURES, observe_places
from hpcai.simulation.gpu_cluster.rewards import ClusterReward
from hpcai_envs.cluster import ClusterEnv
from hpcai_envs.windows import Observation, RenderMode


class PlacementEnv(ClusterEnv):
    """A window of a recorded log replayed on a GPU cluster; the agent says where each job that fits goes, pod by pod.

    ## Action space
    ``Discrete(places)``: a place for the next pod of the job at hand, a node of the machine or, with ``per="leaf"``, a
    leaf switch, under which the job then gets as many nodes as it needs, as topology-aware takes them. A job starts
    once all its pods have places. :meth:`action_masks` says where a pod fits; as the pods of a job are alike, the
    rest of them fits then, too. An action that is not possible counts as what the discipline would do.
    Decisions with one possible place, or in which every place is needed, take themselves. Jobs of fewer than
    ``least_pods`` pods are placed by the discipline, as are those for which others make way, and pods that elastic
    jobs grow by.

    ## Observation space
    ``places`` float32 (places, features) in 0..1, the columns of
    :data:`hpcai.scheduling.gpu_cluster.observing.PLACE_FEATURES`; ``gang`` float32 (features,) in 0..1, the columns of
    GANG_FEATURES there, about the job, the machine and the queue.

    ## Rewards
    :class:`hpcai.simulation.gpu_cluster.rewards.ClusterReward`, with its formulas; by default what is gained in mean
    time from submission to end (JCT) over the discipline's own placement, as a share of that, as it accrues.

    ## Starting state, episode end
    An empty machine at the first submission of a window of ``length`` jobs, drawn from the part of the log; the end
    of its last job. ``info`` then holds ``cost``, ``heuristic_cost``, ``ratio`` and ``steps``.

    ## Options of reset
    ``trace`` (a path or a Trace), ``machine`` (a preset, a YAML file or a Machine, of no more places than at first),
    ``part``, ``length``, ``load``, and ``window``, the row of the first job among the log's replayable jobs.

    ## Version history
    v0: first.
    """

    external = PLACE
    own_discipline = Discipline(placement="topology-aware")
    own_reward = ClusterReward(turnaround=1.0)

    def __init__(
        self,
        trace: str | Trace = "mn-1-day.parquet",
        *,
        format: str | None = None,
        machine: str | Machine | None = None,
        part: Part = "train",
        length: int = 256,
        load: float = 1.0,
        per: Literal["node", "leaf"] = "node",
        least_pods: int = 1,
        discipline: Discipline | Mapping[str, Any] | None = None,
        reward: ClusterReward | Mapping[str, Any] | None = None,
        render_mode: RenderMode | None = None,
    ) -> None:
        """Raise InputError if the log, the machine or a setting cannot be used."""
        if per not in ("node", "leaf"):
            raise InputError(f"per {per!r}: expected node or leaf")
        self.by_leaf = per == "leaf"
        self.least_pods = least_pods
        self._places: NDArray[np.float32] | None = None
        super().__init__(trace, format, machine, part, length, load, discipline, reward, render_mode)
        self._gang = np.zeros(len(GANG_FEATURES), np.float32)
        self.observation_space = cast(
            Any,
            spaces.Dict(
                {
                    "places": spaces.Box(0.0, 1.0, (self._number(), len(PLACE_FEATURES)), np.float32),
                    "gang": spaces.Box(0.0, 1.0, self._gang.shape, np.float32),
                }
            ),
        )
        self.action_space = cast(Any, spaces.Discrete(self._number()))
        self._places = np.zeros((self._number(), len(PLACE_FEATURES)), np.float32)

    def _number(self) -> int:
        """Return the number of places of the machine."""
        machine = self.source.machine
        each = machine.network.nodes_per_switch if machine.network and self.by_leaf else machine.total_nodes
        return -(-machine.total_nodes // each) if self.by_leaf else machine.total_nodes

    def _set_up(self) -> None:
        super()._set_up()
        if self._places is not None and self._number() > len(self._places):
            raise InputError(
                f"machine {self.source.machine.name}: {self._number()} places, expected at most {len(self._places)}, "
                "as many as the environment was made with"
            )

    def _open(self) -> bool:
        cluster = self.episode.cluster
        tasks = int(cluster.run[cluster.at[0]["asked"]]["tasks"])
        if tasks < self.least_pods:
            return False
        self._where = np.zeros(tasks, dtype=np.int64)
        vacate(cluster, self._where)
        self._placed = int(place_what_is_clear(cluster, self.by_leaf, self._where, 0))
        return self._placed < tasks

    def _answer(self, action: int) -> bool:
        self._placed = int(place_where(self.episode.cluster, self.by_leaf, self._where, self._placed, action))
        return self._placed < len(self._where)

    def own_action(self) -> int:
        """Return what the discipline would do."""
        cluster = self.episode.cluster
        n = int(ruled(cluster, self._where, self._placed))
        return int(cluster.nodes.leaf[n]) if self.by_leaf and n >= 0 else n

    def _observation(self) -> Observation:
        assert self._places is not None
        self._places[:], self._gang[:] = 0.0, 0.0
        if not self._over:
            cluster, own = self.episode.cluster, self._places[: self._number()]
            observe_places(cluster, self.by_leaf, self._placed, self.own_action(), own, self._gang)
            np.clip(own, 0.0, 1.0, out=own)
        return {"places": self._places.copy(), "gang": self._gang.copy()}

    def _legal(self) -> NDArray[np.bool_]:
        assert self._places is not None
        legal = np.zeros(len(self._places), dtype=np.bool_)
        if not self._over:
            nodes = self.episode.cluster.nodes
            room = nodes.room[1, : self._number()] if self.by_leaf else nodes.room[0]
            legal[: len(room)] = room > 0
        return legal

    def _options(self) -> list[str]:
        if self._over:
            return []
        what, legal = "leaf switch" if self.by_leaf else "node", np.flatnonzero(self._legal())
        shown = ", ".join(str(k) for k in legal[:16]) + (", ..." if len(legal) > 16 else "")
        return [
            f"pod {self._placed + 1} of {len(self._where)}: {what} {shown}; by the discipline {self.own_action()}",
        ]

"""What the environments over a GPU cluster share: the discipline decides all but what the agent is asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records import Trace
from hpcai.records.splitting import Part
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.simulation.gpu_cluster.episode import ClusterEpisodes, Episode
from hpcai.simulation.gpu_cluster.rewards import ClusterReward
from hpcai_envs.render_cluster import draw_cluster, write_cluster
from hpcai_envs.source import Source, as_model, open_source
from hpcai_envs.windows import RenderMode, WindowEnv, outcome

TRIED: Final = 64  # windows drawn in search of one in which there is something to decide


class ClusterEnv(WindowEnv):
    """A window of a log replayed on a GPU cluster; ``external`` decisions are the agent's."""

    external: ClassVar[int]
    own_discipline: ClassVar[Discipline]
    own_reward: ClassVar[ClusterReward]

    def __init__(
        self,
        trace: str | Trace,
        format: str | None,
        machine: str | Machine | None,
        part: Part,
        length: int,
        load: float,
        discipline: Discipline | Mapping[str, Any] | None,
        reward: ClusterReward | Mapping[str, Any] | None,
        render_mode: RenderMode | None,
    ) -> None:
        super().__init__(
            {"trace": trace, "machine": machine, "part": part, "length": length, "load": load}, format, render_mode
        )
        self.discipline = as_model(Discipline, self.own_discipline if discipline is None else discipline, "discipline")
        if self.discipline.backfill != "none":
            raise InputError(
                f"discipline: backfill {self.discipline.backfill!r}: expected none, as agents keep no places"
            )
        self.reward = as_model(ClusterReward, self.own_reward if reward is None else reward, "reward")
        self._over = True
        self._first = -1
        self._set_up()

    def _set_up(self) -> None:
        asked = self._asked
        self.source: Source = open_source(
            asked["trace"], format=self._format, machine=asked["machine"], part=asked["part"], load=asked["load"]
        )
        self.source.check(asked["length"])
        self.episodes = ClusterEpisodes(
            self.source.jobs,
            self.source.machine,
            self.discipline,
            self.reward,
            length=asked["length"],
            external=self.external,
        )

    def _begin_anywhere(self) -> None:
        rows = self.source.last - self.episodes.length - self.source.first + 1
        for _ in range(TRIED):
            if self._play(self.source.first + int(self.np_random.integers(rows))):
                return
        raise InputError(
            f"{self.source.name}: found no window of {self.episodes.length} jobs with anything to decide; "
            "expected longer ones, a smaller machine or more load"
        )

    def _begin_at(self, row: int) -> bool:
        self.source.check(self.episodes.length, row)
        return self._play(row)

    def _play(self, row: int) -> bool:
        self._first = row
        self.episode: Episode = self.episodes.play(row)
        self._over = not self._run()
        return not self._over

    def _run(self) -> bool:
        """Go on until the agent has something to decide; return False at the end."""
        while self.episode.go_on():
            if self._open():
                return True
        return False

    def _row(self) -> int:
        return self._first

    def _act(self, action: int) -> tuple[float, bool]:
        self.episode.steps += 1
        self._over = not self._answer(action) and not self._run()
        return self.episode.reward_since(self._over), self._over

    def _outcome(self) -> dict[str, Any]:
        return outcome(self.episode.cost, self.episode.course.end, self.episode.steps)

    @property
    def jobs(self) -> NDArray[np.void]:
        """What became of each job of the window so far (hpcai.scheduling.gpu_cluster.state.RUN), (length,)."""
        return self.episode.cluster.run.copy()

    def render(self) -> Any:
        """Return a picture, uint8 (height, width, 3), or text, by ``render_mode``."""
        if self.render_mode == "rgb_array":
            return draw_cluster(self.episode.cluster)
        return write_cluster(self.episode.cluster, self._options()) if self.render_mode == "ansi" else None

    @abstractmethod
    def _open(self) -> bool:
        """A decision is asked for: return whether there is more than one way to answer it."""

    @abstractmethod
    def _answer(self, action: int) -> bool:
        """Carry out an action; return whether there is more to decide about the same job."""

    @abstractmethod
    def _options(self) -> list[str]:
        """Return what could be done now, in words."""

"""``hpcai/Checkpoint-v0``: when a job under faults writes its next checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.checkpoints.features import FEATURES, LIMIT, features
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.of_log import in_full_service, job_faults, machine_nodes
from hpcai.faults.checkpoints.waste import daly_interval
from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.outages import Outages, outages
from hpcai.records.failures import FailureLog, read_failures
from hpcai.simulation.faults.job_replay import COLUMNS, LOST, USEFUL, JobEpisode

DAY = 86400.0
Part = Literal["train", "test", "all"]
_SHARES = {"train": (0.05, 0.6), "test": (0.6, 1.0), "all": (0.05, 1.0)}


class CheckpointEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """A job computes through faults; after each checkpoint, and after each restart, the agent says how long to go on.

    ## Action space
    ``Box(-1, 1, (1,))``: a means Daly's interval at the mean rate of faults times 8^a; at -1 nearly at once.

    ## Observation space
    ``Box(-5, 5, (len(FEATURES),))``: :data:`hpcai.faults.checkpoints.features.FEATURES`.

    ## Rewards
    Minus the time that was not useful until the next decision, in per cent of the episode: their sum is minus the
    waste. ``info`` holds the seconds by kind.

    ## Starting state, episode end
    A job on nodes of the machine, drawn, begins at a time drawn from ``part`` of the log (train: the first 60 % of the
    time of full service, test: the rest) with what was seen of faults until then. It is truncated after ``days``.
    Without a ``log``, faults of the job are drawn anew: a Weibull of mean ``mtbf`` and of ``shape``.

    ## Options of reset
    ``begin`` (s of the log) and ``nodes`` (indices of the log's nodes), to play a certain job.

    ## Version history
    v0: first.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        log: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        system: str = "",
        nodes: int = 0,
        mtbf: float = DAY,
        shape: float = 0.6,
        write: float = 600.0,
        restart: float = 600.0,
        down: float = 300.0,
        days: float = 30.0,
        part: Part = "train",
        render_mode: Literal["ansi"] | None = None,
    ) -> None:
        """Raise InputError if the log or a setting cannot be used."""
        if part not in get_args(Part):
            raise InputError(f"part {part!r}: expected one of {', '.join(get_args(Part))}")
        if not days > 0 or not mtbf > 0 or not shape > 0:
            raise InputError(f"days {days}, mtbf {mtbf}, shape {shape}: expected all above 0")
        self.render_mode = render_mode
        self._length = days * DAY
        self._source = None if log is None else _LogSource(read_failures(log, **(options or {})), system, nodes, part)
        if self._source is None:
            unit = Lifetime("weibull", 1.0, shape)
            self._lifetime = Lifetime("weibull", mtbf / unit.mean, shape)
            self.job, self.mtbf = CheckpointedJob(write, restart, down), mtbf
        else:
            size, others = self._source.size, len(self._source.machine) - self._source.size
            self.job, self.mtbf = CheckpointedJob(write, restart, down, size, others=others), self._source.mtbf
            if self._source.end - self._source.begin < self._length:
                raise InputError(f"days {days:g}: expected at most {(self._source.end - self._source.begin) / DAY:.0f}")
        self._daly = daly_interval(write, self.mtbf / self.job.nodes)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = spaces.Box(-LIMIT, LIMIT, (len(FEATURES),), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for ``options``. Raises InputError for an option that cannot be used."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"begin", "nodes"}:
            raise InputError(f"reset option {unknown.pop()!r}: expected begin or nodes")
        if options and self._source is None:
            raise InputError("reset options: expected a log whose time and nodes they mean")
        faults, begin = self._draw(options)
        self._episode = JobEpisode(self.job, faults, begin, begin + self._length)
        return self._observe(), {"begin": begin}

    def _draw(self, options: Mapping[str, Any]) -> tuple[Faults, float]:
        rng = self.np_random
        if self._source is None:
            before = 10 * self.mtbf
            n = int(2 * (before + self._length) / self.mtbf) + 50
            time = np.cumsum(self._lifetime.sample(n, rng))
            while time[-1] < before + self._length:
                time = np.concatenate([time, time[-1] + np.cumsum(self._lifetime.sample(n, rng))])
            return Faults.all_global(time), before
        begin = float(options.get("begin", rng.uniform(self._source.begin, self._source.end - self._length)))
        return self._source.faults(options.get("nodes"), rng), begin

    def _observe(self) -> NDArray[np.float32]:
        left = (self._episode.end - self._episode.now) / self._length
        return features(self.job, self._episode.seen, self.mtbf, left).astype(np.float32)

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Compute until the next checkpoint is written, or until the job has restarted after a fault."""
        row = self._episode.step(self._daly * 8.0 ** float(np.clip(action, -1.0, 1.0)[0]))
        wasted = float(row[USEFUL + 1 : LOST + 3].sum())
        over = self._episode.now >= self._episode.end
        return self._observe(), -100.0 * wasted / self._length, False, over, dict(zip(COLUMNS, row, strict=True))

    def render(self) -> Any:
        """Return where the time went, as text."""
        row = self._episode.row
        return "\n".join(f"{name} {value:.0f}" for name, value in zip(COLUMNS, row, strict=True))


class _LogSource:
    """A log, and the part of its time from which jobs are drawn."""

    def __init__(self, log: FailureLog, system: str, nodes: int, part: Part) -> None:
        self.machine = machine_nodes(log, (system,) if system else ())
        self.size = nodes or len(self.machine)
        if not 1 <= self.size <= len(self.machine):
            raise InputError(f"nodes {nodes}: expected 1 to {len(self.machine)}, or 0 for all")
        self._of: Outages = outages(log)
        begin, end = in_full_service(log, self.machine)
        self.begin, self.end = (begin + share * (end - begin) for share in _SHARES[part])
        until = begin + _SHARES["train"][1] * (end - begin)
        here = np.isin(self._of.node, self.machine) & (self._of.start >= begin) & (self._of.start < until)
        self.mtbf = float((until - begin) * len(self.machine) / max(int(here.sum()), 1))

    def faults(self, nodes: Any, rng: np.random.Generator) -> Faults:
        """Return the faults of a job on ``nodes``, or on nodes that are drawn."""
        own = rng.choice(self.machine, self.size, replace=False) if nodes is None else np.asarray(nodes, dtype=np.int64)
        if len(own) != self.size or not np.isin(own, self.machine).all():
            raise InputError(f"reset option nodes: expected {self.size} of the machine's nodes")
        return job_faults(self._of, own, self.machine)

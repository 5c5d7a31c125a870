"""What a grand challenge costs the others: work lost, GPUs idle while it waits, stopping and restarting."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from hpcai.evaluation.gpu_cluster.timeline import Steps, held_between, load_of
from hpcai.evaluation.load import Load
from hpcai.scheduling.gpu_cluster.work import CHALLENGE
from hpcai.simulation.gpu_cluster.replay import Outcome

HOUR = 3600.0


@dataclass(frozen=True)
class Challenge:
    """One grand challenge; GPU-hours."""

    job: int  # row
    submit: float  # s
    wait: float  # s from its submission to the full machine
    victims: int
    lost: float  # by its victims: what has to be done again
    idle: float  # that nobody held between its submission and its start
    stopping: float  # held by victims between the signal and their end
    restarting: float  # by victims that do not work yet

    @property
    def total(self) -> float:
        """All of it."""
        return self.lost + self.idle + self.stopping + self.restarting

    def as_dict(self) -> dict[str, float]:
        """Return it as plain data, with the total."""
        return asdict(self) | {"total": self.total}


def challenges_of(outcome: Outcome, steps: Steps, gpus: int, restart: float) -> list[Challenge]:
    """Return the grand challenges of a replay on ``gpus`` GPUs; ``restart`` in s is the discipline's."""
    rows = np.flatnonzero(outcome.jobs["rank"].to_numpy() == CHALLENGE)
    load = load_of(steps, outcome.jobs) if len(rows) else None
    return [_challenge(outcome, steps, load, int(row), gpus, restart) for row in rows if load is not None]


def _challenge(outcome: Outcome, steps: Steps, load: Load, row: int, gpus: int, restart: float) -> Challenge:
    submit, start = (float(outcome.jobs[name].iloc[row]) for name in ("submit", "start"))
    mine = (steps.by == row) & (steps.job != row)
    stops = np.flatnonzero(mine & (steps.what == "stop") & (steps.waiting == 1))
    signals = np.flatnonzero(mine & (steps.what == "signal"))
    return Challenge(
        job=row,
        submit=submit,
        wait=start - submit,
        victims=len(stops),
        lost=float(steps.lost[stops].sum()) / HOUR,
        idle=(gpus * (start - submit) - held_between(load, submit, start)) / HOUR,
        stopping=sum(_until(steps, int(at), np.inf, ("stop", "end")) for at in signals) / HOUR,
        restarting=sum(_restarting(steps, int(at), restart) for at in stops) / HOUR,
    )


def _restarting(steps: Steps, stop: int, restart: float) -> float:
    """Return the GPU-s in which the job of a stop does not work yet after it was started again."""
    at = stop + 1
    while at < len(steps.job) and steps.job[at] == steps.job[stop]:
        if steps.what[at] == "start":
            return _until(steps, at, restart, ("signal", "stop", "end"))
        at += 1
    return 0.0


def _until(steps: Steps, first: int, longest: float, ends: tuple[str, ...]) -> float:
    """Return the GPU-s held from an event of a job to its next of ``ends``, for ``longest`` s at most."""
    at = first + 1
    while at < len(steps.job) and steps.job[at] == steps.job[first]:
        if steps.what[at] in ends:
            return float(min(steps.time[at] - steps.time[first], longest) * steps.held[first])
        at += 1
    return 0.0

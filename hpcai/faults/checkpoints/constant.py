"""Policies whose interval does not change: none, fixed, and those that are best at a constant rate of faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from hpcai.errors import InputError
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.rule import FIXED, CheckpointPolicy, Rule
from hpcai.faults.checkpoints.two_level import best_two_level
from hpcai.faults.checkpoints.waste import best_interval, daly_first_interval, daly_interval, young_interval

Form = Literal["young", "daly-first", "daly", "best"]

_FORMS: Final[dict[str, Callable[[float, float], float]]] = {
    "young": young_interval,
    "daly-first": daly_first_interval,
    "daly": daly_interval,
    "best": best_interval,
}


def constant_rule(interval: float, every: int = 1) -> Rule:
    """Return the rule of an interval (s) that does not change."""
    return Rule(FIXED, np.array([interval]), every)


@dataclass(frozen=True)
class Fixed(CheckpointPolicy):
    """Always the same interval (s); inf: no checkpoint is ever written."""

    interval: float = float("inf")
    every: int = 1

    def __post_init__(self) -> None:
        if not self.interval > 0 or self.every < 1:
            raise InputError(f"interval {self.interval} s, every {self.every}: expected both above 0")

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        return constant_rule(self.interval, self.every)


@dataclass(frozen=True)
class ConstantRate(CheckpointPolicy):
    """The interval of a closed form for the mean time between faults of one node, ``mtbf`` (s)."""

    mtbf: float
    form: Form = "daly"

    def __post_init__(self) -> None:
        if not self.mtbf > 0:
            raise InputError(f"mtbf {self.mtbf}: expected more than 0 s")
        if self.form not in get_args(Form):
            raise InputError(f"form {self.form!r}: expected one of {', '.join(get_args(Form))}")

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        mtbf = self.mtbf / job.nodes
        if self.form == "daly-first":
            return constant_rule(daly_first_interval(job.write, mtbf, job.restart + job.down))
        return constant_rule(_FORMS[self.form](job.write, mtbf))


@dataclass(frozen=True)
class TwoLevel(CheckpointPolicy):
    """The best intervals at two levels, for the mean times between faults (s) of a node of either level."""

    local_mtbf: float
    global_mtbf: float

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        return constant_rule(*best_two_level(job, self.local_mtbf / job.nodes, self.global_mtbf / job.nodes))

"""A decision log replayed: would the same policy decide the same again?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hpcai.cluster.spec import Machine, load_machine
from hpcai.configuration import validated
from hpcai.live.decision_log import Record
from hpcai.live.ranking import BundleRanker
from hpcai.live.slurm.config import AdapterConfig
from hpcai.live.slurm.memory import Moment, moments
from hpcai.live.slurm.plan import Plan, plan, to_order
from hpcai.live.slurm.state import live_state


@dataclass(frozen=True)
class Replayed:
    """Decisions taken again: how many, and the first that came out otherwise."""

    decisions: int
    without: int  # looks at which nothing was decided
    differing: tuple[float, ...]  # Unix times
    others: int = 0  # decisions of another bundle, which were not taken again


def replay_log(records: Iterable[Record], ranker: BundleRanker) -> Replayed:
    """Take every decision of a log again with the policy of ``ranker``. Raises InputError if a record is damaged."""
    decisions, without, others, differing = 0, 0, 0, []
    for moment in moments(records):
        if not moment.cycle.planned:
            without += 1
        elif moment.cycle.digest != ranker.bundle.digest:
            others += 1
        else:
            decisions += 1
            again = _decide(moment, ranker)
            if (again.wanted, again.order) != (moment.cycle.wanted, moment.cycle.order):
                differing.append(moment.poll.at)
    return Replayed(decisions, without, tuple(differing), others)


def _decide(moment: Moment, ranker: BundleRanker) -> Plan:
    config = _config(moment.config)
    machine = _machine(config.machine) if config.machine is not None else None
    state = replace(live_state(moment.poll, moment.cycle.origin or 0.0, machine), past=moment.past)
    scope = to_order(moment.poll, state, ranker.judge(state), config.scope)
    alone = set(moment.cycle.immovable)
    movable = [job for job in scope if job.id not in alone]
    return plan(movable, moment.poll.at, config, moment.before)


def _config(fields: Mapping[str, Any]) -> AdapterConfig:
    return validated(AdapterConfig, fields, "decision log: the configuration in its record 'start'")


@cache
def _machine(name: str) -> Machine:
    return load_machine(name)

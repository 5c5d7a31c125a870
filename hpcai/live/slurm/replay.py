"""A decision log replayed: would the same policy decide the same again?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hpcai.cluster.spec import load_machine
from hpcai.live.decision_log import Record
from hpcai.live.ranking import BundleRanker
from hpcai.live.slurm.client import Before, present_value
from hpcai.live.slurm.config import AdapterConfig
from hpcai.live.slurm.memory import Moment, moments
from hpcai.live.slurm.plan import Plan, plan
from hpcai.live.slurm.state import live_state


@dataclass(frozen=True)
class Replayed:
    """Decisions taken again: how many, and the first that came out otherwise."""

    decisions: int
    without: int  # looks at which nothing was decided
    differing: tuple[float, ...]  # Unix times


def replay_log(records: Iterable[Record], ranker: BundleRanker) -> Replayed:
    """Take every decision of a log again with the policy of ``ranker``. Raises InputError if a record is damaged."""
    before: dict[str, Before] = {}
    decisions, without, differing = 0, 0, []
    for moment in moments(records):
        _forget_ended(moment, before)
        if "wanted" not in moment.cycle:
            without += 1
        else:
            decisions += 1
            again = _decide(moment, ranker, before)
            if list(again.wanted) != moment.cycle["wanted"] or list(again.order) != moment.cycle["order"]:
                differing.append(moment.poll.at)
        _follow(moment, before)
    return Replayed(decisions, without, tuple(differing))


def _decide(moment: Moment, ranker: BundleRanker, before: dict[str, Before]) -> Plan:
    config = AdapterConfig.model_validate(dict(moment.config))
    machine = load_machine(config.machine) if config.machine is not None else None
    state = replace(live_state(moment.poll, moment.cycle["origin"], machine), past=moment.past)
    judgement = ranker.judge(state)
    ids = state.waiting["job_id"].to_numpy()[judgement.order[: judgement.judged]].tolist()
    jobs = {job.id: job for job in moment.poll.jobs}
    return plan([jobs[name] for name in ids if config.scope.holds(jobs[name])], moment.poll.at, config, before)


def _forget_ended(moment: Moment, before: dict[str, Before]) -> None:
    waiting = {job.id for job in moment.poll.jobs if job.state == "PENDING"}
    for name in [name for name in before if name not in waiting]:
        del before[name]


def _follow(moment: Moment, before: dict[str, Before]) -> None:
    """Keep the ledger as the adapter did."""
    jobs = {job.id: job for job in moment.poll.jobs}
    how = moment.config["how"]
    for name in (*moment.cycle["written"], *moment.cycle["failed"]):
        before.setdefault(name, Before(present_value(jobs[name], how), jobs[name].nice))
    for name in moment.cycle["restored"]:
        before.pop(name, None)

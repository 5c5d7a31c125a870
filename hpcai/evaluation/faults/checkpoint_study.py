"""Checkpoint policies compared: each is fitted to the training part of a case and plays the rest of it."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.evaluation.faults.checkpoint_cases import Case, clairvoyant, read_cases
from hpcai.evaluation.faults.checkpoint_config import CheckpointConfig
from hpcai.evaluation.faults.checkpoint_policies import learned_memories, policy_of
from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import ResumableFolder, write_json
from hpcai.evaluation.statistics import Ratio, ratios, resample
from hpcai.faults.checkpoints.constant import constant_rule
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.recent import Past
from hpcai.faults.checkpoints.rule import CheckpointPolicy, Rule
from hpcai.simulation.faults.job_replay import CHECKPOINTING, COLUMNS, DOWNTIME, LOST, USEFUL, play

Floats = NDArray[np.float64]

_BLOCK: Final = 2  # windows that are drawn together, as neighbours are not independent
_TRIED: Final = 40  # constant intervals of which the best in hindsight is known


class CheckpointFolder(ResumableFolder):
    """A comparison's folder."""

    kind = "hpcai checkpoints"
    holds = "comparison of checkpoint policies"

    def _clear(self) -> None:
        """Remove an earlier comparison's files and nothing else."""
        for name in ("results.json", "report.html"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "policies", ignore_errors=True)


def evaluate_checkpoints(config: CheckpointConfig, *, quiet: bool = True) -> dict[str, Any]:
    """Return the results of a comparison, which are also in its folder with a report.

    Raises InputError if a log cannot be read or no case has enough faults.
    """
    from hpcai.errors import InputError
    from hpcai.evaluation.faults.checkpoint_report import render

    cases, left_out, sha256 = read_cases(config)
    if not cases:
        raise InputError(f"no case has {config.least_faults} faults in either part: {'; '.join(left_out)}")
    identity = {"hpcai": version("hpcai"), "config": config.model_dump(mode="json", exclude={"out"}), "sha256": sha256}
    folder = CheckpointFolder(config.out, identity, resume=False)
    job = _job(config, config.learning.write)
    memories = learned_memories(config.policies, cases, job, config.learning, config.seed)
    cells = [(case, write) for case in cases for write in config.writes]
    rows = []
    with Progress(len(cells), "cases", quiet) as progress:
        for case, write in cells:
            at_cost = case.with_costs(_job(config, write))
            policies = {name: policy_of(name, at_cost, memories) for name in config.policies}
            rows.append(_described(at_cost) | _compared(config, at_cost, policies))
            progress.advance()
    results = identity | {
        "memories": {name: {case: asdict(memory) for case, memory in of.items()} for name, of in memories.items()},
        "cases": rows,
        "left_out": left_out,
    }
    write_json(folder.path / "results.json", results)
    folder.write("report.html", render(config, results))
    folder.finish()
    return results


def _job(config: CheckpointConfig, write: float) -> CheckpointedJob:
    restart = write if config.restart is None else config.restart
    return CheckpointedJob(write, restart, config.down, 1, config.local_write, config.local_write)


def _described(case: Case) -> dict[str, Any]:
    """Return what is known of a case."""
    hazard, nodes = case.hazard, case.past.job.nodes
    mtbf, later = case.past.mtbf / nodes, case.rest.mtbf / nodes
    return {
        "case": case.name,
        "machine": case.machine,
        "nodes": nodes,
        "write": case.past.job.write,
        "jobs": len(case.past.faults),
        "mtbf_hours": round(mtbf / 3600, 3),
        "mtbf_hours_rest": round(later / 3600, 3),
        "family": hazard.lifetime.family,
        "weibull_shape": [round(x, 3) for x in (hazard.shape, hazard.shape_low, hazard.shape_high)],
        "weibull_shape_after_an_hour": round(hazard.later_shape, 3),
        "p_constant": round(hazard.p_constant, 5),
        "constant": hazard.constant,
        "bound_by_age": round(hazard.bound, 4),
        "clairvoyant": round(clairvoyant(case.rest), 6),
    }


def played(rule: Rule, past: Past, windows: int) -> Floats:
    """Return where the time goes in each window of a past, on average over its jobs, (windows, columns)."""
    edges = np.linspace(past.begin, past.end, windows + 1)
    of_jobs: Floats = np.mean([play(rule, past.job, faults, edges) for faults in past.faults], axis=0)
    return of_jobs


def _compared(config: CheckpointConfig, case: Case, policies: dict[str, CheckpointPolicy]) -> dict[str, Any]:
    """Return how each policy, and who knows better, fares in the rest of a case."""
    length = (case.rest.end - case.rest.begin) / config.windows
    found = {name: played(policy.rule(case.rest.job), case.rest, config.windows) for name, policy in policies.items()}
    wasted = {name: 1.0 - rows[:, USEFUL] / length for name, rows in found.items()}
    weights = resample(config.windows, _BLOCK, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
    compared = ratios(np.stack(list(wasted.values()), axis=1), wasted[config.baseline], weights, _BLOCK)
    mtbf = case.past.mtbf / case.past.job.nodes
    tried = np.geomspace(case.past.job.write / 4, 20 * mtbf, _TRIED)
    constant = np.stack([played(constant_rule(x), case.rest, config.windows)[:, USEFUL] for x in tried])
    reference = float(wasted[config.baseline].mean())
    return {
        "policies": {name: _row(found[name], length, compared[i]) for i, name in enumerate(found)},
        "hindsight": round((1 - float(constant.mean(axis=1).max()) / length) / reference, 4),
        "hindsight_by_window": round((1 - float(constant.max(axis=0).mean()) / length) / reference, 4),
    }


def _row(rows: Floats, length: float, ratio: Ratio) -> dict[str, Any]:
    """Return a policy's waste by kind, as shares of the time, and its ratio to the baseline's."""
    shares = rows.mean(axis=0) / length
    return {
        "waste": round(1.0 - float(shares[USEFUL]), 6),
        **{COLUMNS[i]: round(float(shares[i]), 6) for i in (CHECKPOINTING, LOST, LOST + 1, DOWNTIME)},
        "checkpoints_per_day": round(float(rows[:, -1].sum()) / len(rows) / length * 86400.0, 3),
        "ratio": round(ratio.value, 4),
        "low": round(ratio.low, 4),
        "high": round(ratio.high, 4),
    }

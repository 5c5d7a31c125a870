"""Who is served well and who is not: Jain's index, group means, fair start times."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.scheduling.policy import Policy

Floats = npt.NDArray[np.float64]

CLASSES: Final = ("narrow_short", "narrow_long", "wide_short", "wide_long")
SHORT: Final = 3600.0  # s; a job that runs up to this long is short
DEPTH_BY_NODE: Final = 100  # deep queues on many nodes would take minutes; mean fair starts move by about 1 %
NARROW: Final = 8  # a job that takes up to this many processors (GPUs on a machine that has them) is narrow


def jain_index(values: Floats) -> float:
    """Return Jain's fairness index (sum x)^2 / (n sum x^2): 1 if all are equal, 1/n if one has everything.

    Jain, Chiu and Hawe, "A quantitative measure of fairness and discrimination", 1984. nan without values.
    """
    return float(np.sum(values) ** 2 / (len(values) * np.sum(values**2))) if len(values) else float("nan")


def group_means(group: pd.Series, values: Floats) -> pd.Series:
    """Return the mean of ``values`` (float64[jobs]) by group; jobs whose group is unknown are left out."""
    category = group.astype("category")
    codes, names = category.cat.codes.to_numpy(), category.cat.categories
    use = (codes >= 0) & np.isfinite(values)
    count = np.bincount(codes[use], minlength=len(names))
    total = np.bincount(codes[use], weights=values[use], minlength=len(names))
    known = (count > 0) & (names.to_numpy() != "")
    return pd.Series(total[known] / count[known], index=names[known])


def job_class(run_time: Floats, processors: Floats, gpus: Floats, machine: Machine) -> npt.NDArray[np.int64]:
    """Return each job's class as an index into CLASSES (int64[jobs])."""
    wide = (gpus if machine.total_gpus else processors) > NARROW
    return 2 * wide.astype(np.int64) + (run_time > SHORT)


def fair_start(jobs: pd.DataFrame, machine: Machine, policy: Policy) -> Floats:
    """Return the fair start time of each job (float64[jobs], s): its start if nobody could overtake it.

    That is its start in a replay of the same jobs under FCFS with conservative backfilling and perfect
    estimates: Srinivasan, Kettimuthu, Subramani and Sadayappan, "Selective reservation strategies for
    backfill job scheduling", 2002; the metric CONS_P in Leung, Sabin and Sadayappan, "Parallel job scheduling
    policies to improve fairness: a case study", 2010. ``policy`` says whether jobs are killed at their limit
    and whether dependencies hold. On a machine counted by node only the first DEPTH_BY_NODE jobs of the queue
    are placed at each pass.
    """
    from hpcai.simulation import replay

    reference = Policy(
        ordering="fcfs",
        backfill="conservative",
        estimate="actual",
        kill_at_limit=policy.kill_at_limit,
        dependencies=policy.dependencies,
        backfill_depth=DEPTH_BY_NODE if machine.by_node else None,
    )
    start: Floats = replay(jobs, machine, reference).table["start"].to_numpy(np.float64)
    return start

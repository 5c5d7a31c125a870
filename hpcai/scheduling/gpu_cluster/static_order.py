"""Orders that are settled when a job is submitted: first come first served, or a formula."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.formula import Formula, evaluate_static
from hpcai.scheduling.gpu_cluster.discipline import ORDERS, Discipline
from hpcai.scheduling.jobs import features, job_array
from hpcai.scheduling.orderings import ORDERINGS, parse_ordering
from hpcai.scheduling.policy import Policy

DYNAMIC: Final = ORDERS[1:]  # those that the clock keeps up to date
WEIGHTS: Final = {"age": 1000.0, "size": 500.0, "class": 1000.0, "fairshare": 2000.0, "max_age": 7 * 86400.0}
"""Of multifactor; Slurm's own defaults are 0, so these are our choice. The longest age in s."""
FIRST_COME: Final = "fcfs"  # what the ordering of fifo is called elsewhere
URGENCY: Final = {"preemptible": 0.0, "normal": 0.5, "grand-challenge": 1.0}  # qos_priority of formulas


def formula_of(discipline: Discipline) -> Formula | None:
    """Return the formula of a static order; None for one that changes with time.

    Raises InputError if there is no such order, if it needs what is not known at submission, or if multifactor has no
    such weight.
    """
    name = discipline.order
    if name in DYNAMIC:
        unknown = [key for key in discipline.parameters if name == "multifactor" and key not in WEIGHTS]
        if unknown:
            raise InputError(f"order multifactor: unknown parameter {unknown[0]!r}; expected {', '.join(WEIGHTS)}")
        return None
    if name != "fifo" and name not in ORDERINGS and not name.startswith("expr:"):
        raise InputError(f"order {name!r}: expected expr:FORMULA or one of {', '.join(names())}")
    formula = parse_ordering(FIRST_COME if name == "fifo" else name, discipline.parameters)
    if formula.dynamic or formula.needs_prediction:
        what = "predictions" if formula.needs_prediction else "the time or what was used"
        raise InputError(
            f"order {name!r}: goes by {what}; expected what is known at submission, or {', '.join(DYNAMIC)}"
        )
    return formula


def names() -> list[str]:
    """Return the orders that have a name."""
    formulas = {name: parse_ordering(name, {}) for name in ORDERINGS}
    static = [name for name, formula in formulas.items() if not (formula.dynamic or formula.needs_prediction)]
    return ["fifo", *static, *DYNAMIC]


def static_order(jobs: pd.DataFrame, machine: Machine, discipline: Discipline) -> NDArray[np.float64]:
    """Return each job's place in a static order, lowest first; 0 where the order changes with time.

    Raises InputError as :func:`formula_of` does.
    """
    formula = formula_of(discipline)
    if formula is None:
        return np.zeros(len(jobs))
    policy = Policy(qos_priority=URGENCY)
    return evaluate_static(formula, features(jobs, machine, policy, job_array(jobs, machine, policy)))

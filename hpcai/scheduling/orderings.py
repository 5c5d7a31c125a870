"""The named orderings, each a formula over the queue; the job with the lowest value is first.

r stands for the requested time, n for the size, s for the submit time and w for the wait in the sources.
"""

from __future__ import annotations

import re
from typing import Final

from hpcai.errors import InputError
from hpcai.scheduling.formula import Formula, parse_formula
from hpcai.scheduling.policy import Policy

ORDERINGS: Final = {
    # First come, first served; shortest and longest job first; smallest area first.
    "fcfs": "submit",
    "sjf": "requested_time",
    "ljf": "-requested_time",
    "saf": "requested_time * size",
    "srf": "remaining_time",
    # The same by predicted run times; and Smith, Various optimizers for single-stage production (Naval Research
    # Logistics Quarterly, 1956): least work for what a second of waiting costs first, work and cost as expected.
    "sjf-predicted": "predicted_time",
    "saf-predicted": "predicted_time * size",
    "cmu-predicted": "predicted_mean * size / slowdown_rate",
    # Tang, Lan, Desai, Buettner: Fault-aware, utility-based job scheduling on Blue Gene/P (Cluster 2009).
    "wfp3": "-(wait / max(requested_time, 1)) ** 3 * size",
    "unicep": "-wait / (max(log2(size), 1e-6) * max(requested_time, 1))",
    # Carastan-Santos, de Camargo: Obtaining dynamic scheduling policies with simulation and machine learning (SC'17).
    "f1": "log10(max(requested_time, 1)) * size + 870 * log10(max(submit, 1))",
    "f2": "sqrt(requested_time) * size + 25600 * log10(max(submit, 1))",
    "f3": "requested_time * size + 6860000 * log10(max(submit, 1))",
    "f4": "requested_time * sqrt(size) + 530000 * log10(max(submit, 1))",
    # Whoever has used least of late; and Slurm's priority/multifactor plugin, higher sum first.
    "fair-share": "usage",
    "multifactor": (
        "-(age_weight * min(wait / max_age, 1) + size_weight * size_fraction"
        " + partition_weight * partition_priority + qos_weight * qos_priority + fairshare_weight * fairshare)"
    ),
}

# Slurm's defaults for max_age (PriorityMaxAge) are 7 days; its weights default to 0, so these are our choice.
DEFAULT_PARAMETERS: Final = {
    "multifactor": {
        "age_weight": 1000.0,
        "size_weight": 500.0,
        "partition_weight": 1000.0,
        "qos_weight": 1000.0,
        "fairshare_weight": 2000.0,
        "max_age": 7 * 86400.0,
    }
}


def parse_ordering(name: str, parameters: dict[str, float]) -> Formula:
    """Return the formula of a named ordering or of ``expr:FORMULA``.

    Raises InputError if there is no such ordering, or if a named one has no such parameter.
    """
    if name.startswith("expr:"):
        return parse_formula(name.removeprefix("expr:"), parameters)
    if name not in ORDERINGS:
        raise InputError(f"ordering {name!r}: expected expr:FORMULA or one of {', '.join(ORDERINGS)}")
    defaults = DEFAULT_PARAMETERS.get(name, {})
    for parameter in parameters:
        if parameter not in defaults:
            expected = ", ".join(defaults) or "no parameters"
            raise InputError(f"ordering {name}: unknown parameter {parameter!r}; expected {expected}")
    return parse_formula(ORDERINGS[name], {**defaults, **parameters})


def formulas_of(policy: Policy) -> tuple[Formula, Formula | None]:
    """Return the formulas of a policy's ordering and of its headroom, if it has one.

    Raises InputError if there is no such ordering, if a formula cannot be read, or if the policy asks for predictions
    and has no predictor.
    """
    headroom = parse_formula(policy.headroom, policy.parameters) if policy.headroom else None
    of_headroom = set(re.findall(r"\w+", policy.headroom or ""))
    own = {
        name: value
        for name, value in policy.parameters.items()
        if policy.ordering.startswith("expr:") or name not in of_headroom
    }
    ordering = parse_ordering(policy.ordering, own)
    if policy.predictor == "none":
        for what, text, formula in (("ordering", policy.ordering, ordering), ("headroom", policy.headroom, headroom)):
            if formula is not None and formula.needs_prediction:
                raise InputError(f"{what} {text!r}: predicted run times need a predictor, found none")
        if policy.estimate == "predicted":
            raise InputError("estimate 'predicted': needs a predictor, found none")
    return ordering, headroom

"""Each named formula against a direct calculation from the papers, and what is said of wrong names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.scheduling.formula import STATIC_VARIABLES, evaluate
from hpcai.scheduling.jobs import features, job_array
from hpcai.scheduling.orderings import DEFAULT_PARAMETERS, ORDERINGS, parse_ordering
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from tests.workloads import SMALL_CLUSTER, starts, table

# r: requested time, n: size, s: submit, w: wait (Carastan-Santos and de Camargo; Tang et al.; RLScheduler).
DIRECT = {
    "fcfs": lambda r, n, s, w: s,
    "sjf": lambda r, n, s, w: r,
    "ljf": lambda r, n, s, w: -r,
    "saf": lambda r, n, s, w: r * n,
    "srf": lambda r, n, s, w: r,
    "wfp3": lambda r, n, s, w: -((w / r) ** 3) * n,
    "unicep": lambda r, n, s, w: -w / (math.log2(n) * r),
    "f1": lambda r, n, s, w: math.log10(r) * n + 870 * math.log10(s),
    "f2": lambda r, n, s, w: math.sqrt(r) * n + 25600 * math.log10(s),
    "f3": lambda r, n, s, w: r * n + 6860000 * math.log10(s),
    "f4": lambda r, n, s, w: r * math.sqrt(n) + 530000 * math.log10(s),
}
R, N, S, NOW = [600.0, 86400.0, 1.0, 37.0], [2, 128, 17, 64], [5.0, 1000.0, 3.0, 2000.0], 5000.0


def evaluated(name, parameters=None, *, usage=None, **columns):
    """The ordering's value of every variable's column, at NOW, none of them special."""
    n = len(next(iter(columns.values())))
    rows = np.zeros((len(STATIC_VARIABLES), n))
    for variable, values in columns.items():
        rows[list(STATIC_VARIABLES).index(variable)] = values
    formula = parse_ordering(name, parameters or {})
    stack = np.empty((formula.depth, n))
    submit = np.array(columns.get("submit", np.zeros(n)))
    evaluate(
        formula.program,
        formula.constants,
        rows,
        np.arange(n),
        n,
        NOW,
        submit,
        np.zeros((2, n)) if usage is None else np.array(usage),
        stack,
    )
    return stack[0].tolist()


@pytest.mark.parametrize("name", DIRECT)
def test_formula(name):
    got = evaluated(name, submit=S, requested_time=R, remaining_time=R, size=N)
    expected = [DIRECT[name](r, n, s, NOW - s) for r, n, s in zip(R, N, S, strict=True)]
    assert got == pytest.approx(expected, rel=1e-12)


def test_every_ordering_is_covered():
    assert set(ORDERINGS) == set(DIRECT) | {"fair-share", "multifactor"}


def test_logarithms_and_quotients_hold_where_a_job_is_tiny_or_first():
    """Submitted at 0, one processor, no time requested: every value is a number."""
    for name in ORDERINGS:
        got = evaluated(name, submit=[0.0, 1.0], requested_time=[0.0, 0.0], size=[1.0, 1.0])
        assert np.isfinite(got).all(), name
    # UNICEP divides by log2(1) = 0: such a job, having waited, goes before all others.
    one, two = evaluated("unicep", submit=[0.0, 0.0], requested_time=[10.0, 10.0], size=[1.0, 2.0])
    assert one < two < 0


def test_fair_share_is_the_share_of_use():
    assert evaluated("fair-share", size=[1.0, 1.0], usage=[[0.25, 0.75], [0.5, 1.5]]) == [0.25, 0.75]


def test_multifactor_is_slurms_sum():
    weights = DEFAULT_PARAMETERS["multifactor"]
    got = evaluated(
        "multifactor",
        {"max_age": 10_000.0, "qos_weight": 50.0},
        submit=[0.0, -20_000.0],
        size_fraction=[0.5, 0.25],
        partition_priority=[1.0, 0.5],
        qos_priority=[0.0, 0.8],
        usage=[[0.0, 0.0], [1.0, 0.0]],  # over an equal share: exactly its share; nothing
    )
    assert (weights["age_weight"], weights["size_weight"], weights["partition_weight"]) == (1000, 500, 1000)
    first = 1000 * 0.5 + 500 * 0.5 + 1000 * 1.0 + 50 * 0.0 + 2000 * 0.5
    second = 1000 * 1.0 + 500 * 0.25 + 1000 * 0.5 + 50 * 0.8 + 2000 * 1.0  # age is capped at max_age
    assert got == pytest.approx([-first, -second], rel=1e-12)


def test_multifactor_reads_partitions_and_qualities_of_service():
    machine = Machine.model_validate(
        {
            "name": "m",
            "groups": [{"name": "n", "count": 1, "cpus": 1, "memory_gib": 1}],
            "partitions": [
                {"name": "low", "groups": ["n"], "priority": 0.1},
                {"name": "high", "groups": ["n"], "priority": 0.9},
            ],
        }
    )
    jobs = table(
        submit=[0.0, 1, 2, 3], run_time=[10.0] * 4, processors=[1] * 4, partition=["low", "low", "high", "low"],
        qos=["", "", "", "urgent"],
    )  # fmt: skip
    policy = Policy(ordering="multifactor", qos_priority={"urgent": 1.0})
    # The first runs; then the urgent one (1000 * (0.1 + 1)), the one of the high partition (900), the rest (100).
    assert starts(jobs, machine, policy) == [0, 30, 20, 10]


def test_expression():
    jobs = table(submit=[0.0, 1, 2, 3], run_time=[10.0, 5, 7, 6], processors=[4] * 4)
    four = Machine.by_processors(4)
    assert starts(jobs, four, Policy(ordering="expr:-requested_time")) == [0, 23, 10, 17]
    policy = Policy(ordering="expr:where(requested_time > limit, 1, 0)", parameters={"limit": 6.5})
    assert starts(jobs, four, policy) == [0, 10, 21, 15]


def test_variables_of_the_formulas():
    """What each name means, for a job on processors and for one on nodes."""
    jobs = table(
        submit=[7.0], run_time=[50.0], requested_time=[100.0], processors=[6], gpus=[6.0], nodes=[2], memory=[2e10]
    )  # fmt: skip
    policy = Policy(estimate_multiplier=2.0)
    for machine in (Machine.by_processors(24), SMALL_CLUSTER):
        got = dict(
            zip(
                STATIC_VARIABLES,
                features(jobs, machine, policy, job_array(jobs, machine, policy))[:, 0],
                strict=True,
            )
        )
        assert (got["submit"], got["requested_time"], got["remaining_time"]) == (7, 200, 200)
        assert (got["processors"], got["gpus"], got["nodes"], got["memory"]) == (6, 6, 2, 2e10)
        if machine is SMALL_CLUSTER:  # 6 of 20 GPUs is its largest share
            assert (got["size"], got["size_fraction"]) == pytest.approx((6, 6 / 20))
        else:
            assert (got["size"], got["size_fraction"]) == (6, 6 / 24)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("fifo", {}, "ordering 'fifo': expected expr:FORMULA or one of fcfs, sjf, "),
        ("FCFS", {}, "ordering 'FCFS': expected"),
        ("", {}, "ordering '': expected"),
        ("sjf", {"weight": 1.0}, "ordering sjf: unknown parameter 'weight'; expected no parameters"),
        ("multifactor", {"age": 1.0}, "ordering multifactor: unknown parameter 'age'; expected age_weight, "),
        ("expr:", {}, "formula '': cannot be read"),
        ("expr:length", {}, "formula 'length': unknown name 'length'; expected one of submit, "),
    ],
)
def test_wrong_orderings(name, parameters, message):
    jobs = table(submit=[0.0], run_time=[1.0], processors=[1])
    with pytest.raises(InputError) as raised:
        make_state(jobs, Machine.by_processors(1), Policy(ordering=name, parameters=parameters))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)

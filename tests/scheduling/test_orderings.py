"""Each named formula against a direct calculation from its source, and what is said of wrong names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.scheduling.formula import PREDICTED_VARIABLES, STATIC_VARIABLES, evaluate
from hpcai.scheduling.headroom import needed
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.orderings import DEFAULT_PARAMETERS, ORDERINGS, formulas_of, parse_ordering
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from tests.workloads import SMALL_CLUSTER, random_gpu_jobs, starts, table

STATIC = [*STATIC_VARIABLES, *PREDICTED_VARIABLES]
WEEK = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Waiting:
    """One waiting job as the sources see it."""

    r: float  # requested time
    n: float  # size
    s: float  # submit
    w: float  # wait
    remaining: float
    fraction: float
    partition: float
    qos: float
    usage: float
    ratio: float  # of its usage to an equal share
    predicted: float
    expected: float
    rate: float  # of slowdown


DIRECT: dict[str, Callable[[Waiting], float]] = {
    "fcfs": lambda j: j.s,
    "sjf": lambda j: j.r,
    "ljf": lambda j: -j.r,
    "saf": lambda j: j.r * j.n,
    "srf": lambda j: j.remaining,
    "sjf-predicted": lambda j: j.predicted,
    "saf-predicted": lambda j: j.predicted * j.n,
    "cmu-predicted": lambda j: j.expected * j.n / j.rate,
    "wfp3": lambda j: -j.n * (j.w / (j.r or 1)) ** 3,
    "unicep": lambda j: -j.w / ((math.log2(j.n) if j.n > 1 else 1e-6) * (j.r or 1)),
    "f1": lambda j: math.log10(j.r or 1) * j.n + 870 * math.log10(j.s or 1),
    "f2": lambda j: math.sqrt(j.r) * j.n + 25600 * math.log10(j.s or 1),
    "f3": lambda j: j.r * j.n + 6.86e6 * math.log10(j.s or 1),
    "f4": lambda j: j.r * math.sqrt(j.n) + 5.3e5 * math.log10(j.s or 1),
    "fair-share": lambda j: j.usage,
    "multifactor": lambda j: (
        -(
            1000 * (j.w / WEEK if j.w < WEEK else 1)
            + 500 * j.fraction
            + 1000 * j.partition
            + 1000 * j.qos
            + 2000 * 0.5**j.ratio
        )
    ),
}
TIME_DEPENDENT = {"wfp3", "unicep", "fair-share", "multifactor"}

seconds = st.integers(0, 2_000_000).map(float)
share = st.floats(0, 1)
waiting_jobs = st.builds(
    Waiting,
    r=seconds,
    n=st.integers(1, 5000).map(float),
    s=seconds,
    w=seconds,
    remaining=seconds,
    fraction=share,
    partition=share,
    qos=share,
    usage=share,
    ratio=st.floats(0, 20),
    predicted=seconds,
    expected=seconds,
    rate=st.floats(1e-6, 0.1),
)


def values(name: str, jobs: list[Waiting], parameters: dict[str, float] | None = None) -> list[float]:
    """What the ordering says of the jobs, each at an instant of its own."""
    formula = parse_ordering(name, parameters or {})
    found = []
    for job in jobs:
        row = {
            "submit": job.s,
            "requested_time": job.r,
            "remaining_time": job.remaining,
            "size": job.n,
            "size_fraction": job.fraction,
            "partition_priority": job.partition,
            "qos_priority": job.qos,
            "predicted_time": job.predicted,
            "predicted_mean": job.expected,
            "slowdown_rate": job.rate,
        }
        features = np.array([[row.get(variable, math.nan)] for variable in STATIC])  # it reads no others
        stack = np.empty((formula.depth, 1))
        usage = np.array([[job.usage], [job.ratio]])
        now, submit = job.s + job.w, np.array([job.s])
        evaluate(formula.program, formula.constants, features, np.zeros(1, int), 1, now, submit, usage, stack)
        found.append(float(stack[0, 0]))
    return found


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("name", ORDERINGS)
@given(jobs=st.lists(waiting_jobs, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_named_orderings_are_the_formulas_of_their_sources(name: str, jobs: list[Waiting]) -> None:
    expected = [DIRECT[name](job) for job in jobs]
    assert all(close(a, b) for a, b in zip(values(name, jobs), expected, strict=True))


@pytest.mark.parametrize("name", ORDERINGS)
def test_which_orderings_change_while_a_job_waits(name: str) -> None:
    formula = parse_ordering(name, {})
    assert formula.dynamic == (name in TIME_DEPENDENT)
    assert formula.needs_usage == (name in {"fair-share", "multifactor"})
    assert formula.needs_prediction == name.endswith("-predicted")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"ordering": "saf-predicted"}, "ordering 'saf-predicted': predicted run times need a predictor, found none"),
        ({"ordering": "expr:slowdown_rate"}, "predicted run times need a predictor"),
        ({"estimate": "predicted"}, "estimate 'predicted': needs a predictor, found none"),
        ({"headroom": "0.1 * (predicted_time > 60)"}, "headroom '0.1 .*': predicted run times need a predictor"),
    ],
)
def test_predictions_need_a_predictor(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        formulas_of(Policy(**settings))
    formulas_of(Policy(**settings, predictor="tsafrir"))


@given(job=waiting_jobs, weight=st.floats(-100, 100), max_age=st.floats(1, 1e6))
@settings(max_examples=40, deadline=None)
def test_parameters_replace_the_defaults_one_by_one(job: Waiting, weight: float, max_age: float) -> None:
    usual = -DIRECT["multifactor"](job)
    [got] = values("multifactor", [job], {"qos_weight": weight, "max_age": max_age})
    age = 1000 * (min(job.w / max_age, 1) - min(job.w / WEEK, 1))
    assert math.isclose(-got, usual + age + (weight - 1000) * job.qos, rel_tol=1e-9, abs_tol=1e-9)


def test_parameters_given_once_do_not_stay() -> None:
    before = parse_ordering("multifactor", {}).constants.tolist()
    assert parse_ordering("multifactor", {"age_weight": 7.0}).constants.tolist() != before
    assert parse_ordering("multifactor", {}).constants.tolist() == before
    assert DEFAULT_PARAMETERS["multifactor"]["age_weight"] == 1000.0


def test_a_formula_of_ones_own() -> None:
    nothing = dict.fromkeys(("remaining", "fraction", "partition", "qos", "usage", "ratio"), 0.0)
    job = Waiting(r=60.0, n=4.0, s=100.0, w=30.0, predicted=0.0, expected=0.0, rate=1.0, **nothing)
    assert values("expr:a * wait - size", [job], {"a": 2.0}) == [56.0]
    assert values("expr: submit", [job]) == [100.0]
    assert values("expr:requested_time", [job], {"unused": 1.0}) == [60.0]


@pytest.mark.parametrize("name", ["", "FCFS", "lifo", "submit", "expr"])
def test_an_unknown_ordering_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_ordering(name, {})
    message = str(caught.value)
    assert message.startswith(f"ordering {name!r}: ")
    assert all(known in message for known in ORDERINGS)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "expected"), [("fcfs", "no parameters"), ("wfp3", "no parameters"), ("multifactor", "age_weight")]
)
def test_an_unknown_parameter(name: str, expected: str) -> None:
    with pytest.raises(InputError, match=f"ordering {name}: unknown parameter 'age_wait'; expected .*{expected}"):
        parse_ordering(name, {"age_wait": 1.0})


def test_a_formula_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match="formula 'waiting': unknown name 'waiting'"):
        parse_ordering("expr:waiting", {})


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


def test_an_ordering_decides_who_starts():
    jobs = table(submit=[0.0, 1, 2, 3], run_time=[10.0, 5, 7, 6], processors=[4] * 4)
    four = Machine.by_processors(4)
    assert starts(jobs, four, Policy(ordering="expr:-requested_time")) == [0, 23, 10, 17]
    policy = Policy(ordering="expr:where(requested_time > limit, 1, 0)", parameters={"limit": 6.5})
    assert starts(jobs, four, policy) == [0, 10, 21, 15]


def test_a_headroom_shares_the_parameters() -> None:
    ordering, headroom = formulas_of(Policy(ordering="saf", headroom="reserve * size", parameters={"reserve": 0.5}))
    assert ordering.text == "requested_time * size"
    assert headroom is not None
    assert headroom.constants.tolist() == [0.5]
    with pytest.raises(InputError, match="unknown parameter 'spare'"):
        formulas_of(Policy(ordering="saf", headroom="0.1", parameters={"spare": 0.5}))
    with pytest.raises(InputError, match="unknown name 'reserve'"):
        formulas_of(Policy(ordering="saf", headroom="reserve"))


@pytest.mark.parametrize(
    ("share", "needs"), [(-1.0, 4), (0.0, 4), (0.1, 14), (0.109, 14), (2.0, 100), (float("inf"), 100)]
)
def test_what_a_job_needs_with_its_headroom(share: float, needs: int) -> None:
    assert needed(4, share, 100) == needs
    assert needed(0, share, 100) == 0


def test_headroom_on_nodes_and_a_profile_do_not_go_together() -> None:
    jobs = replayable(random_gpu_jobs(np.random.default_rng(0), 5), SMALL_CLUSTER)[0]
    policy = Policy(ordering="saf", headroom="0.1", backfill="conservative")
    with pytest.raises(InputError, match="headroom: machine small is counted by node; expected backfill none or easy"):
        make_state(jobs, SMALL_CLUSTER, policy)

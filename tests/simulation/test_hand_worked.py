"""Schedules worked out by hand, the arithmetic beside them; both clocks and the oracle must give them.

Unless said otherwise the machine has 4 processors, jobs are (submit, run, requested, processors), and they are
called A, B, C, ... in order.
"""

from __future__ import annotations

import math

import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.cluster.spec import Reservation
from hpcai.records.read import read_trace
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from tests.workloads import oracle_starts, same, starts, table

FOUR = Machine.by_processors(4)
SIX = Machine.by_processors(6)
NEVER = math.nan


def jobs_of(rows: list[tuple[float, float, float, int]]) -> pd.DataFrame:
    submit, run, requested, processors = zip(*rows, strict=True)
    return table(submit=submit, run_time=run, requested_time=requested, processors=processors)


def check(jobs, expected: list[float], machine: Machine = FOUR, **policy) -> None:
    if isinstance(jobs, list):
        jobs = jobs_of(jobs)
    rules = Policy(**policy)
    for engine in ("compiled", "simpy"):
        assert same(starts(jobs, machine, rules, engine), expected), engine
    assert same(oracle_starts(jobs, machine, rules), expected), "oracle"


# --- first come, first served ---------------------------------------------------------------------------------


def test_fcfs_stops_at_the_first_that_does_not_fit():
    # A leaves 1 free, B wants 2 and waits for 10; C wants 1 but is behind B. At 10: B and C together take 3.
    check([(0, 10, 10, 3), (1, 5, 5, 2), (2, 1, 1, 1)], [0, 10, 10], backfill="none")


def test_a_completion_comes_before_a_submission_of_the_same_instant():
    # A ends at 10 and B, who wants everything, is submitted at 10.
    check([(0, 10, 10, 4), (10, 5, 5, 4)], [0, 10], backfill="none")


def test_the_pass_comes_after_every_submission_of_its_instant():
    # Shortest first: at 10 A ends and C (1 s) is submitted; B (5 s) has waited since 5 but C goes first.
    check([(0, 10, 10, 4), (5, 5, 5, 4), (10, 1, 1, 4)], [0, 11, 10], ordering="sjf", backfill="none")


def test_equal_priorities_go_by_submission_and_then_by_row():
    # All estimates equal, each takes the whole machine: in order of submission, C before D by its row.
    check([(0, 3, 3, 4), (1, 3, 3, 4), (2, 3, 3, 4), (2, 3, 3, 4)], [0, 3, 6, 9], ordering="sjf", backfill="none")


def test_a_job_without_length_makes_room_at_its_own_instant():
    # A takes all 4 for no time: its completion is a new event at 0, and so on.
    check([(0, 0, 0, 4), (0, 0, 0, 4), (0, 3, 3, 4)], [0, 0, 0], backfill="none")


# --- EASY -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "start"), [(8, 2), (9, 15)])
def test_easy_starts_what_ends_by_the_shadow_time(length, start):
    # B wants all 4: shadow 10, extra 0. C of 8 s would end at 2 + 8 = 10, in time; of 9 s at 11, so it waits for
    # B to end at 15.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, length, length, 1)], [0, 10, start])


@pytest.mark.parametrize(("size", "start"), [(2, 2), (3, 15)])
def test_easy_starts_what_is_no_larger_than_the_extra(size, start):
    # 6 processors: A 3, B wants 4: shadow 10, extra 6 - 4 = 2. C of 20 s outlives the shadow; 3 are free now.
    # With 2 processors it starts; with 3 it would delay B, so it waits for B to end at 15.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 20, 20, size)], [0, 10, start], SIX)


def test_easy_extra_is_used_up():
    # As before, extra 2. C takes 1 of it; D wants 2, more than the 1 that is left; E takes that 1.
    # At 10 A ends, B starts (4 + 1 + 1 = 6), at 15 B ends and D starts.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 20, 20, 1), (2, 20, 20, 2), (2, 20, 20, 1)], [0, 10, 2, 15, 2], SIX)


def test_easy_does_not_charge_the_extra_for_what_ends_in_time():
    # Extra 2, 3 free. C (2 processors, ends at 10) starts and leaves 1 free; D (1, 20 s) is within the extra.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 8, 8, 2), (2, 20, 20, 1)], [0, 10, 2, 2], SIX)


def test_easy_counts_all_that_ends_by_the_shadow_time_as_extra():
    # 6 processors: A 2 and B 2 both end at 10, C wants 3: A alone frees enough (2 + 2 = 4), but by 10 B has ended
    # too: extra 6 - 3 = 3. D (2 processors, 20 s) fits now and is within the extra.
    check([(0, 10, 10, 2), (0, 10, 10, 2), (1, 5, 5, 3), (2, 20, 20, 2)], [0, 0, 10, 2], SIX)


def test_easy_expects_a_job_that_outlives_its_estimate_to_end_at_any_moment():
    # A believed to end at 10 runs to 20. At 12 the shadow is max(12, 10) = 12: C (5 s) would end at 17, too late;
    # D believed to take 0 s ends at 12, in time. B from 20 to 25, then C.
    check([(0, 20, 10, 3), (1, 5, 5, 4), (12, 5, 5, 1), (12, 0, 0, 1)], [0, 20, 25, 12])


def test_easy_makes_the_reservation_anew_after_an_early_completion():
    # A (2) believed to end at 10, X (1) at 6, so B (4) has shadow 10; C (1, 8 s) ends at 9 and starts at 1.
    # A ends at 4: now X ends at 6 and C at 9: shadow 9. D (1, 5 s) submitted at 5 would end at 10: by the first
    # reservation in time, by the new one not. B from 9 to 14, then D.
    check([(0, 4, 10, 2), (0, 6, 6, 1), (1, 5, 5, 4), (1, 8, 8, 1), (5, 5, 5, 1)], [0, 0, 9, 1, 14])


def test_easy_starts_what_is_believed_to_take_no_time():
    # C is believed to take 0 s and takes 20: it starts at 2 and holds B, who wants all 4, until 22.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 20, 0, 1)], [0, 22, 2])


@pytest.mark.parametrize(("depth", "start"), [(1, 15), (2, 2)])
def test_easy_depth_counts_the_jobs_behind_the_head(depth, start):
    # C (9 s) may not start at 2, D (8 s) may, if the pass looks at two jobs behind B. Else all wait for B's end.
    check(
        [(0, 10, 10, 3), (1, 5, 5, 4), (2, 9, 9, 1), (2, 8, 8, 1)],
        [0, 10, 15, start],
        backfill_depth=depth,
    )


# --- conservative ---------------------------------------------------------------------------------------------

# A runs to 10 on 3, B (2 processors) is given 10 to 20, C (all 4) 20 to 25. D (1, 20 s) submitted at 3 would end
# at 23. E (1, 16 s) submitted at 4 would end at 20: it fits into the hole before C.
HOLE = [(0, 10, 10, 3), (1, 10, 10, 2), (2, 5, 5, 4), (3, 20, 20, 1), (4, 16, 16, 1)]


def test_conservative_uses_a_hole_and_delays_no_earlier_job():
    check(HOLE, [0, 10, 20, 25, 4], backfill="conservative")


def test_easy_delays_the_second_in_the_queue():
    # B is the head: shadow 10, extra 2, so D starts at 3 and runs to 23. C, for which it is not reserved, comes
    # at 23 instead of 20; at 10 and at 20 E would end after C's shadow time 23 (10 + 16) and waits for 28.
    check(HOLE, [0, 10, 23, 3, 28])


def test_conservative_lets_a_job_of_no_time_go_if_it_fits():
    # C is believed to take 0 s: it occupies the profile for no time.
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 3, 0, 1)], [0, 10, 2], backfill="conservative")


@pytest.mark.parametrize(("depth", "start"), [(2, 15), (3, 2)])
def test_conservative_depth_counts_every_waiting_job(depth, start):
    # As with EASY, but B counts as well.
    check(
        [(0, 10, 10, 3), (1, 5, 5, 4), (2, 9, 9, 1), (2, 8, 8, 1)],
        [0, 10, 15, start],
        backfill="conservative",
        backfill_depth=depth,
    )


# --- estimates, limits, dependencies --------------------------------------------------------------------------


@pytest.mark.parametrize(("kill", "start"), [(True, 10), (False, 20)])
def test_kill_at_limit_ends_a_job_at_its_requested_time(kill, start):
    rows = [(0, 20, 10, 4), (1, 5, 50, 4), (2, 5, NEVER, 4)]
    check(rows, [0, start, start + 5], kill_at_limit=kill)
    schedule = replay(jobs_of(rows), FOUR, Policy(kill_at_limit=kill)).table
    assert schedule["killed"].tolist() == [kill, False, False]
    assert schedule["end"].tolist() == [start, start + 5, start + 10]


@pytest.mark.parametrize(
    ("policy", "start"),
    [
        ({}, 15),  # C asked for 20: 2 + 20 > 10
        ({"estimate": "actual"}, 2),  # 2 + 4 <= 10
        ({"estimate": "actual", "estimate_multiplier": 2.0}, 2),  # A believed to end at 20, 2 + 8 <= 20
        ({"estimate_multiplier": 0.4}, 15),  # A believed to end at 4: 2 + 8 > 4
    ],
)
def test_estimates(policy, start):
    check([(0, 10, 10, 3), (1, 5, 5, 4), (2, 4, 20, 1)], [0, 10, start], **policy)


def test_a_job_without_a_request_is_believed_to_take_its_run_time():
    check([(0, 10, NEVER, 3), (1, 5, NEVER, 4), (2, 8, NEVER, 1), (2, 9, NEVER, 1)], [0, 10, 2, 15])


def swf_with_dependencies(path) -> pd.DataFrame:
    # Job 2 follows job 1 with 5 s of thinking, job 3 follows job 1 at once, job 4 follows one that is not there.
    lines = ["; MaxProcs: 4"]
    for job, submit, run, processors, before, think in (
        (1, 0, 10, 4, -1, -1),
        (2, 3, 5, 4, 1, 5),
        (3, 4, 3, 4, 1, -1),
        (4, 12, 1, 1, 99, 50),
    ):
        lines.append(
            f"{job} {submit} -1 {run} {processors} -1 -1 {processors} {run} -1 1 1 1 -1 -1 -1 {before} {think}"
        )
    path.write_text("\n".join(lines) + "\n")
    return read_trace(path).jobs


def test_dependencies_and_think_time_of_swf(tmp_path):
    jobs = swf_with_dependencies(tmp_path / "log.swf")
    # Job 1 ends at 10: job 3 is submitted then and runs to 13; job 4 (submitted at 12) runs from 13 to 14; job 2
    # is submitted at 10 + 5 = 15.
    check(jobs, [0, 15, 10, 13], backfill="none", dependencies=True)
    table = replay(jobs, FOUR, Policy(backfill="none", dependencies=True)).table
    assert table["submit"].tolist() == [0, 15, 10, 12]  # waits count from here
    # Left aside: all in order of submission. 1 to 10, 2 to 15, 3 to 18, then 4.
    check(jobs, [0, 10, 15, 18], backfill="none")


def test_fcfs_goes_by_the_submission_that_a_dependency_decides(tmp_path):
    # B is recorded at 1 but follows A (0 to 10) with 5 s of thinking: submitted at 15. C is submitted at 12 and
    # runs to 22; D was submitted at 13, before B: it comes first.
    jobs = jobs_of([(0, 10, 10, 4), (1, 1, 1, 4), (12, 10, 10, 4), (13, 2, 2, 4)])
    jobs["preceding_job"] = pd.array(["", "1", "", ""], dtype="str")
    jobs["think_time"] = [NEVER, 5.0, NEVER, NEVER]
    check(jobs, [0, 24, 12, 22], backfill="none", dependencies=True)


# --- reservations and drains ----------------------------------------------------------------------------------


def reserved(processors: int, start: float, end: float) -> Machine:
    return Machine(name="m", processors=4, reservations=(Reservation(processors=processors, start=start, end=end),))


@pytest.mark.parametrize(("backfill", "start"), [("none", 25), ("easy", 10), ("conservative", 10)])
def test_a_reservation_takes_processors(backfill, start):
    # 2 of 4 are taken from 10 to 20. A ends at 10. B wants 3 and waits for 20, ends at 25. C wants 2 for 5 s:
    # beside the reservation if it may pass B, else when B ends (3 + 2 > 4).
    rows = [(0, 10, 10, 4), (1, 5, 5, 3), (2, 5, 5, 2)]
    check(rows, [0, 20, start], reserved(2, 10, 20), backfill=backfill)


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
@pytest.mark.parametrize(("estimate", "start"), [(10, 0), (11, 20)])
def test_no_job_starts_that_is_believed_to_reach_into_a_reservation(backfill, estimate, start):
    check([(0, 5, estimate, 1)], [start], reserved(4, 10, 20), backfill=backfill)


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
def test_a_reservation_stops_no_running_job(backfill):
    # A, believed to end at 10, ends at 15; what it held is then taken, until 20.
    check([(0, 15, 10, 4), (1, 1, 1, 1)], [0, 20], reserved(4, 10, 20), backfill=backfill)


def gpu_machine(nodes: int, gpus: int, *drained: str) -> Machine:
    return Machine.model_validate(
        {
            "name": "m",
            "groups": [{"name": "n", "count": nodes, "cpus": 4, "memory_gib": 8, "gpus": gpus}],
            "reservations": [{"nodes": [name]} for name in drained],
        }
    )


def gpu_jobs(rows: list[tuple[float, float, float, int]]) -> pd.DataFrame:
    """Jobs from (submit, run, GPUs, nodes), whose users know how long they take."""
    submit, run, gpus, nodes = zip(*rows, strict=True)
    return table(submit=submit, run_time=run, requested_time=run, gpus=gpus, nodes=nodes)


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
def test_a_drained_node_is_not_used(backfill):
    # One of two nodes is drained for good. A and B fill the other in turn; C needs both and never starts, and
    # waits behind the others.
    jobs = gpu_jobs([(0, 10, 2, 1), (0, 10, 2, 1), (1, 10, 4, 2)])
    machine = gpu_machine(2, 2, "n-0001")
    check(jobs, [0, 10, NEVER], machine, backfill=backfill)
    assert replay(jobs, machine, Policy(backfill=backfill)).table["nodes"].tolist() == ["1", "1", ""]


# --- machines counted by node ---------------------------------------------------------------------------------


def test_shares_of_one_gpu():
    # Two halves share the GPU. Of two jobs of 0.6 the second waits; with two GPUs it does not, and 0.4 then joins
    # the first on the fullest GPU that takes it, so that another 0.4 still fits, but nothing larger.
    one, two = gpu_machine(1, 1), gpu_machine(1, 2)
    check(gpu_jobs([(0, 10, 0.5, 1), (0, 10, 0.5, 1)]), [0, 0], one)
    check(gpu_jobs([(0, 10, 0.6, 1), (0, 10, 0.6, 1)]), [0, 10], one)
    check(
        gpu_jobs([(0, 10, 0.6, 1), (0, 10, 0.6, 1), (0, 10, 0.4, 1), (0, 10, 0.4, 1), (0, 10, 0.1, 1)]),
        [0, 0, 0, 0, 10],
        two,
        backfill="none",
    )


def test_a_share_goes_to_the_fullest_gpu_and_leaves_a_whole_one():
    # 0.5 and 0.4 share a GPU, so the whole GPU that C wants is free.
    check(gpu_jobs([(0, 10, 0.5, 1), (0, 10, 0.4, 1), (0, 10, 1, 1)]), [0, 0, 0], gpu_machine(1, 2))


@pytest.mark.parametrize("nodes", [2, 0])
def test_a_gang_waits_for_all_its_nodes(nodes):
    # A holds a GPU of the first node to 10. B needs all 8 GPUs of both, whether the log says so or not. C would
    # fill the second node to 11, too late for B at 10: it waits for 15. D would end at 10.
    jobs = gpu_jobs([(0, 10, 1, 1), (1, 5, 8, nodes), (2, 9, 4, 1), (2, 8, 4, 1)])
    machine = gpu_machine(2, 4)
    check(jobs, [0, 10, 15, 2], machine)
    assert replay(jobs, machine, Policy()).table["nodes"].tolist() == ["0", "0,1", "0", "1"]


def test_easy_extra_is_kept_per_node():
    # Two nodes of 4 CPUs. A fills the first to 10. B wants 3 CPUs on each: shadow 10, extra 1 on each. C (1 CPU,
    # 20 s) takes the second node's extra; D (likewise) would fit there now but no extra is left there. At 10: B
    # and, on the first node's extra, D.
    jobs = gpu_jobs([(0, 10, 0, 1), (1, 5, 0, 2), (2, 20, 0, 1), (3, 20, 0, 1)])
    jobs["processors"] = [4, 6, 1, 1]
    machine = gpu_machine(2, 0)
    check(jobs, [0, 10, 2, 10], machine)
    assert replay(jobs, machine, Policy()).table["nodes"].tolist() == ["0", "1,0", "1", "0"]


def test_easy_extra_is_kept_per_gpu():
    # A fills the first node, X takes GPUs 0 to 2 of the second, both to 10. B wants 3 on each: GPUs 0 to 2 there
    # too, so the extra is GPU 3 of each. C (20 s) takes GPU 3 of the second node and starts.
    jobs = gpu_jobs([(0, 10, 4, 1), (0, 10, 3, 1), (1, 5, 6, 2), (2, 20, 1, 1)])
    check(jobs, [0, 0, 10, 2], gpu_machine(2, 4))


def test_tasks_go_to_the_fullest_node_that_takes_them():
    # A on the first node (3 GPUs left), B needs 4: second node. C (2) joins A: fewer free. D (1) likewise.
    # E (2): 0 and 0 are left after D, so it waits.
    jobs = gpu_jobs([(0, 9, 1, 1), (0, 9, 4, 1), (0, 9, 2, 1), (0, 9, 1, 1), (0, 1, 1, 1)])
    machine = gpu_machine(2, 4)
    check(jobs, [0, 0, 0, 0, 9], machine)
    assert replay(jobs, machine, Policy()).table["nodes"].tolist() == ["0", "1", "0", "0", "0"]

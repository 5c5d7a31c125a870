"""Each scheduler of the field on the scenario that its paper makes its point with, small enough to work by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.cluster.spec import NodeGroup
from hpcai.errors import InputError
from hpcai.evaluation.gpu_cluster.metrics import finish_time_fairness
from hpcai.evaluation.gpu_cluster.timeline import Steps, load_of
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from hpcai.scheduling.gpu_cluster.presets import PRESETS, preset
from hpcai.scheduling.gpu_cluster.static_order import static_order
from hpcai.simulation.gpu_cluster.replay import Outcome, replay_cluster

HOUR = 3600.0
QUOTAS = {"a": Quota(gpus=4), "b": Quota(gpus=4)}  # of one cohort


def machine(gpus: int, nodes: int = 1, cpus: int = 64, memory_gib: float = 256.0) -> Machine:
    return Machine(
        name="one sort", groups=(NodeGroup(name="n", count=nodes, cpus=cpus, memory_gib=memory_gib, gpus=gpus),)
    )


def jobs_of(*rows: dict[str, object]) -> pd.DataFrame:
    """Return jobs with these fields by submission; one GPU, one CPU, normal and of tenant a unless they say so."""
    usual = {"submit": 0.0, "run_time": 100.0, "gpus": 1.0, "processors": 1, "qos": "normal", "tenant": "a"}
    table = empty_jobs(len(rows))
    for name in {name for row in rows for name in row} | set(usual):
        table[name] = [row.get(name, usual.get(name, table[name].iloc[0])) for row in rows]
    table["requested_time"] = table["requested_time"].fillna(table["run_time"])
    return table.sort_values("submit", kind="stable").reset_index(drop=True)


def replayed(name: str, jobs: pd.DataFrame, on: Machine, **settings: object) -> Outcome:
    """Replay under a preset; stopping costs nothing but what is lost, unless ``settings`` say so."""
    return replay_cluster(jobs, on, preset(name, **({"restart": 0.0} | settings)))


def completion(outcome: Outcome) -> np.ndarray:
    return (outcome.jobs["end"] - outcome.jobs["submit"]).to_numpy()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_every_job_to_its_end(name):
    rng = np.random.default_rng(3)
    rows = [
        {"submit": float(rng.integers(0, 2000)), "run_time": float(rng.integers(10, 3000)), "gpus": float(g)}
        for g in rng.choice([1, 1, 2, 4], 60)
    ]
    outcome = replayed(name, jobs_of(*rows), machine(4, nodes=2))
    assert (completion(outcome) >= outcome.jobs["work"] - 1e-6).all()


class TestFifoAndSjf:
    ROWS = ({"gpus": 2.0, "run_time": 300.0}, {"gpus": 4.0, "submit": 1.0}, {"gpus": 1.0, "submit": 2.0})

    def test_fifo_lets_nobody_past(self):
        assert replayed("fifo", jobs_of(*self.ROWS), machine(4)).jobs["start"].tolist() == [0, 300, 400]

    def test_sjf_takes_the_shortest_of_those_that_wait(self):
        jobs = jobs_of({"run_time": 50.0}, *({"run_time": t, "submit": 1.0} for t in (30.0, 10.0, 20.0)))
        assert replayed("sjf", jobs, machine(1)).jobs["start"].tolist() == [0, 80, 50, 60]

    def test_a_formula_is_an_order(self):
        jobs = jobs_of({"run_time": 50.0}, *({"run_time": t, "submit": 1.0} for t in (30.0, 10.0, 20.0)))
        on = machine(1)
        own = Discipline(order="expr:-requested_time + c", parameters={"c": 5.0})
        assert static_order(jobs, on, own).tolist() == [-45, -25, -5, -15]
        assert replay_cluster(jobs, on, own).jobs["start"].tolist() == [0, 50, 100, 80]
        assert static_order(jobs, on, Discipline()).tolist() == [0, 1, 1, 1]

    @pytest.mark.parametrize("order", ["wfp3", "sjf-predicted", "expr:wait", "static", "none", "expr:1 +"])
    def test_what_is_no_static_order_is_refused(self, order):
        with pytest.raises(InputError):
            static_order(jobs_of({}), machine(1), Discipline(order=order))


class TestSrtf:
    """Schrage (1968): no discipline has a lower mean completion time on one machine."""

    def test_by_hand(self):
        """The long job yields at 100 s; the third is not shorter than what the second has left, and waits for it."""
        jobs = jobs_of({"run_time": 1000.0}, {"submit": 100.0, "run_time": 200.0}, {"submit": 200.0})
        assert completion(replayed("srtf", jobs, machine(1))).tolist() == [1300, 200, 200]
        assert completion(replayed("fifo", jobs, machine(1))).tolist() == [1000, 1100, 1100]

    @pytest.mark.parametrize("seed", range(3))
    def test_no_order_is_better(self, seed):
        run = np.random.default_rng(seed).integers(10, 1000, 6).astype(float)
        best = min(np.cumsum(order).mean() for order in itertools.permutations(run))
        jobs = jobs_of(*({"run_time": t} for t in run))
        assert completion(replayed("srtf", jobs, machine(1))).mean() == pytest.approx(best)

    @pytest.mark.parametrize("seed", range(3))
    def test_with_arrivals_it_is_what_a_loop_over_seconds_gives(self, seed):
        rng = np.random.default_rng(seed)
        submit, run = np.sort(rng.integers(0, 300, 12)), rng.integers(5, 80, 12)
        left, end = run.copy(), np.zeros(12)
        for second in range(2000):
            there = [j for j in range(12) if submit[j] <= second and left[j] > 0]
            if there:
                j = min(there, key=lambda j: left[j])
                left[j] -= 1
                end[j] = second + 1
        jobs = jobs_of(*({"submit": float(s), "run_time": float(r)} for s, r in zip(submit, run, strict=True)))
        assert completion(replayed("srtf", jobs, machine(1))).mean() == pytest.approx((end - submit).mean())


class TestTiresias:
    """Gu et al. (NSDI 2019): short jobs pass long ones although nobody knows how long they are."""

    @staticmethod
    def crowd() -> pd.DataFrame:
        """Return four jobs of ten hours on four GPUs, and from the third hour on forty of ten minutes."""
        long = [{"run_time": 10 * HOUR} for _ in range(4)]
        short = [{"submit": 2 * HOUR + 300.0 * k, "run_time": 600.0} for k in range(40)]
        return jobs_of(*long, *short)

    def test_mean_completion_is_far_below_fifo_and_close_to_srtf(self):
        jobs, on = self.crowd(), machine(4)
        means = {name: completion(replayed(name, jobs, on)).mean() for name in ("fifo", "tiresias", "srtf")}
        assert completion(replayed("tiresias", jobs, on))[4:].tolist() == [600.0] * 40  # none of them waits
        assert means["tiresias"] < 0.4 * means["fifo"]
        assert means["tiresias"] == pytest.approx(means["srtf"], rel=0.02)

    def test_it_does_not_look_at_run_times(self):
        jobs = self.crowd()
        wrong = jobs.assign(requested_time=np.random.default_rng(0).uniform(1, 1e6, len(jobs)))
        for name, same in (("tiresias", True), ("srtf", False)):
            two = [replayed(name, table, machine(4)).jobs["end"] for table in (jobs, wrong)]
            assert two[0].equals(two[1]) == same

    @pytest.mark.parametrize(("gpus", "start"), [(8.0, 460.0), (4.0, 940.0), (2.0, 1840.0)])
    def test_service_has_two_dimensions(self, gpus, start):
        """An hour of one GPU is spent in 450 s on eight; the newcomer is seen to at the next look, every 60 s."""
        jobs = jobs_of({"gpus": gpus, "run_time": 5000.0}, {"gpus": 8.0, "submit": 100.0})
        found = replayed("tiresias", jobs, machine(8)).jobs
        assert found["start"].tolist() == [0, start]
        assert found["lost"].sum() == 0

    def test_within_a_level_first_come_first_served(self):
        jobs = jobs_of({"run_time": 3000.0}, {"submit": 1.0, "run_time": 10.0})
        assert replayed("tiresias", jobs, machine(1)).jobs["start"].tolist() == [0, 3000]


class TestGandiva:
    """Xiao et al. (OSDI 2018): all jobs get a turn early, and two small ones share a GPU."""

    def test_two_single_gpu_jobs_share_a_gpu(self):
        jobs = jobs_of({"run_time": 850.0}, {"run_time": 850.0})
        assert replayed("gandiva", jobs, machine(1)).jobs["end"].tolist() == pytest.approx([1000, 1000])
        assert replayed("fifo", jobs, machine(1)).jobs["end"].tolist() == [850, 1700]

    def test_one_alone_has_its_gpu_at_full_speed(self):
        jobs = jobs_of({"run_time": 850.0}, {"run_time": 170.0, "submit": 100.0})
        assert replayed("gandiva", jobs, machine(1)).jobs["end"].tolist() == pytest.approx([880, 300])

    def test_time_slices_give_every_job_a_turn_early(self):
        """Six jobs of two GPUs on two: each runs first within five slices, by FIFO the last one after five jobs."""
        jobs = jobs_of(*({"gpus": 2.0, "run_time": 600.0} for _ in range(6)))
        sliced, fifo = (replayed(name, jobs, machine(2)) for name in ("gandiva", "fifo"))
        assert sliced.jobs["start"].tolist() == [60.0 * k for k in range(6)]
        assert fifo.jobs["start"].tolist() == [600.0 * k for k in range(6)]
        assert sliced.jobs["end"].max() == fifo.jobs["end"].max() == 3600
        assert sliced.jobs["lost"].sum() == 0

    def test_a_short_job_that_comes_late_tells_early_what_it_found(self):
        """Over-subscribed four times: the short job is through after its turn, by FIFO after three hours."""
        long = [{"gpus": 2.0, "run_time": HOUR} for _ in range(3)]
        jobs = jobs_of(*long, {"gpus": 2.0, "submit": 60.0, "run_time": 60.0})
        sliced, fifo = (completion(replayed(name, jobs, machine(2)))[3] for name in ("gandiva", "fifo"))
        assert sliced <= 4 * 60
        assert fifo == 3 * HOUR


class TestThemis:
    """Mahajan et al. (NSDI 2020): the worst finish-time fairness is lower than by service, order or remaining time."""

    def test_the_worst_served_is_served_better(self):
        """A long job and a stream of short ones that would fill the machine for ever."""
        long = {"gpus": 4.0, "run_time": 40_000.0}
        short = [{"gpus": 4.0, "run_time": 5000.0, "submit": 5000.0 * k} for k in range(24)]
        jobs, on = jobs_of(long, *short), machine(4)
        worst = {
            name: finish_time_fairness(replayed(name, jobs, on).jobs, 4).max()
            for name in ("themis", "fifo", "srtf", "tiresias")
        }
        assert min(worst, key=lambda name: worst[name]) == "themis"
        assert worst["themis"] < 0.8 * min(worst["fifo"], worst["srtf"])

    def test_who_has_waited_longest_for_its_length_is_first(self):
        jobs = jobs_of({"run_time": 1000.0}, {"submit": 10.0, "run_time": 5000.0}, {"submit": 500.0, "run_time": 200.0})
        assert replayed("themis", jobs, machine(1)).jobs["start"].tolist() == [0, 1200, 1000]


def test_drf_is_the_example_of_its_paper():
    """Ghodsi et al. (NSDI 2011): 9 CPUs and 18 GB, tasks of <1 CPU, 4 GB> and <3 CPUs, 1 GB>: three and two run."""
    a = [{"tenant": "a", "processors": 1, "memory": 4 * 2.0**30, "gpus": 0.0} for _ in range(8)]
    b = [{"tenant": "b", "processors": 3, "memory": 1 * 2.0**30, "gpus": 0.0} for _ in range(8)]
    jobs = jobs_of(*a, *b)
    at_once = replayed("drf", jobs, machine(0, cpus=9, memory_gib=18)).jobs["start"] == 0
    assert at_once.groupby(jobs["tenant"].astype(str)).sum().to_dict() == {"a": 3, "b": 2}


class TestKueue:
    def test_what_was_lent_is_taken_back_at_once(self):
        jobs = jobs_of(
            *({"tenant": "a", "run_time": 1000.0, "submit": float(k)} for k in range(8)),
            *({"tenant": "b", "submit": 100.0} for _ in range(4)),
        )
        found = replayed("kueue", jobs, machine(8), quotas=QUOTAS).jobs
        assert found["start"].tolist()[:8] == list(range(8))  # a borrows all that b leaves
        assert found["start"].tolist()[8:] == [100] * 4
        assert found["stops"].tolist() == [0] * 4 + [1] * 4 + [0] * 4  # of a, those that started last
        assert found["end"].tolist()[4:8] == [200 + 1000] * 4

    def test_nobody_has_more_than_the_limit(self):
        jobs = jobs_of(*({"tenant": "a"} for _ in range(12)), {"tenant": "b", "submit": 50.0, "gpus": 4.0})
        quotas = QUOTAS | {"a": Quota(gpus=4, borrow=2)}
        outcome = replayed("kueue", jobs, machine(8), quotas=quotas)
        held = load_of(Steps.of(outcome), outcome.jobs, (jobs["tenant"] == "a").to_numpy())
        assert held.gpus.max() == 6
        assert outcome.jobs["start"].iloc[-1] == 50
        assert (outcome.jobs["stops"].iloc[:12] > 0).sum() == 2  # what was beyond its four

    def test_who_is_beyond_its_quota_takes_nothing_back(self):
        jobs = jobs_of(
            *({"tenant": "a", "run_time": 500.0} for _ in range(8)), {"tenant": "b", "gpus": 5.0, "submit": 9.0}
        )
        found = replayed("kueue", jobs, machine(8), quotas=QUOTAS).jobs
        assert found["start"].iloc[-1] == 500
        assert found["stops"].sum() == 0


class TestKubernetes:
    def test_higher_priority_evicts_the_lowest_that_started_last(self):
        jobs = jobs_of(
            {"qos": "normal", "run_time": 1000.0},
            *({"qos": "preemptible", "run_time": 1000.0, "submit": float(k)} for k in (1, 2, 3)),
            {"qos": "normal", "gpus": 2.0, "submit": 100.0},
        )
        found = replayed("kubernetes", jobs, machine(4)).jobs
        assert found["start"].tolist() == [0, 1, 2, 3, 100]
        assert found["stops"].tolist() == [0, 0, 1, 1, 0]

    def test_least_allocated_spreads_and_most_allocated_packs(self):
        """Two small jobs leave no node to a large one, or one."""
        jobs = jobs_of({"run_time": 500.0}, {"run_time": 500.0}, {"gpus": 4.0, "submit": 1.0})
        starts = [
            replayed(n, jobs, machine(4, nodes=2)).jobs["start"].iloc[2] for n in ("kubernetes", "kubernetes-most")
        ]
        assert starts == [500, 1]

    def test_nothing_is_reserved_for_who_does_not_fit(self):
        jobs = jobs_of(
            {"gpus": 2.0, "run_time": 1000.0},
            {"gpus": 4.0, "submit": 10.0},
            *({"gpus": 2.0, "run_time": 1000.0, "submit": 20.0 + 900.0 * k} for k in range(3)),
        )
        assert replayed("fifo", jobs, machine(4)).jobs["start"].iloc[1] == 1000
        assert replayed("kubernetes", jobs, machine(4)).jobs["start"].iloc[1] == 2820


class TestSlurm:
    ROWS = (
        {"tenant": "a", "run_time": 1000.0},
        {"tenant": "a", "submit": 10.0},
        {"tenant": "b", "submit": 900.0},
    )

    @pytest.mark.parametrize(
        ("weights", "starts"), [({}, [0, 1100, 1000]), ({"fairshare": 0.0}, [0, 1000, 1100])], ids=["fair", "age"]
    )
    def test_age_weighs_against_fair_share(self, weights, starts):
        """The tenant that used nothing is first, unless only age counts."""
        found = replayed("slurm-preempt", jobs_of(*self.ROWS), machine(1), parameters=weights).jobs
        assert found["start"].tolist() == starts

    def test_enough_age_outweighs_fair_share(self):
        """Of 1,000 points for age, full after 1,000 s, the older job has 890 more, and of 500 for use none."""
        weights = {"age": 1000.0, "max_age": 1000.0, "fairshare": 500.0}
        found = replayed("slurm-preempt", jobs_of(*self.ROWS), machine(1), parameters=weights).jobs
        assert found["start"].tolist() == [0, 1000, 1100]

    def test_a_higher_class_stops_the_lowest_priority(self):
        jobs = jobs_of(
            {"qos": "preemptible", "run_time": 1000.0},
            {"qos": "preemptible", "run_time": 1000.0, "submit": 5.0},
            {"submit": 50.0},
        )
        found = replayed("slurm-preempt", jobs, machine(2)).jobs
        assert found["stops"].tolist() == [0, 1, 0]
        assert found["start"].iloc[2] == 50

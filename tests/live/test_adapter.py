"""The adapter beside a Slurm that is made up: what it writes, what stops it, what it remembers."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcai.errors import HpcaiError, InputError
from hpcai.live.decision_log import DecisionLog, read_log
from hpcai.live.guards import in_time, strangeness
from hpcai.live.manifest import Feature, Manifest, Tensor
from hpcai.live.ranking import Judgement, NoAnswerError
from hpcai.live.slurm.adapter import Adapter
from hpcai.live.slurm.client import Before, Job, Node, PartitionSeen, Poll, SchedulerGoneError, Written
from hpcai.live.slurm.config import AdapterConfig, Scope, load_adapter_config, make_adapter_config
from hpcai.live.slurm.ledger import Ledger
from hpcai.live.slurm.service import Service, dry_run, restore
from hpcai.scheduling.policy import Policy

PLAIN = {
    "number": 0, "user": "ada", "account": "physics", "partition": "main", "qos": "normal", "state": "PENDING",
    "reason": "Priority", "submit": 0.0, "eligible": None, "start": None, "time_limit": 600.0, "cpus": 1, "nodes": 1,
    "gpus": 0.0, "gpu_kind": "", "memory": None, "exclusive": False, "node_names": (), "gpu_indices": (),
    "priority": 1000, "nice": 0, "site_factor": 0, "array_id": "", "array_tasks": "",
}  # fmt: skip


def job(number: int, **fields) -> Job:
    return Job(**(PLAIN | {"id": str(number), "number": number, "submit": 1000.0 + number} | fields))


class FakeSlurm:
    """Keeps jobs and does to their priorities what Slurm would."""

    how = "site_factor"

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {each.id: each for each in jobs}
        self.gone = False
        self.refuses: dict[str, str] = {}
        self.pinned: set[str] = set()
        self.age = 0.0
        self.writes: list[dict[str, int]] = []

    def poll(self) -> Poll:
        if self.gone:
            raise SchedulerGoneError("squeue: no answer in 5 s")
        node = Node("n1", frozenset({"IDLE"}), 8, 2.0**34, 0, "", ("main",))
        return Poll(
            time.time() - self.age, "fake", tuple(self.jobs.values()), (node,), (PartitionSeen("main", "n1", None, 1),)
        )

    def write(self, changes):
        if self.gone:
            raise SchedulerGoneError("scontrol: no answer in 5 s")
        self.writes.append(dict(changes))
        taken = [name for name in changes if name not in self.refuses and name in self.jobs]
        for name in taken:
            self.jobs[name] = self.changed(self.jobs[name], changes[name])
        return Written(tuple(taken), {name: why for name, why in self.refuses.items() if name in changes})

    def changed(self, job: Job, value: int) -> Job:
        """A job with another value; a priority that was set by hand takes no notice."""
        if self.how == "priority":
            return replace(job, priority=value)
        moved = value - job.site_factor if self.how == "site_factor" else job.nice - value
        priority = job.priority if job.id in self.pinned else max(job.priority + moved, 1)
        return replace(job, priority=priority, **{self.how: value})

    def put_back(self, before):
        return self.write({name: earlier.value for name, earlier in before.items()})

    def order(self) -> list[str]:
        waiting = [each for each in self.jobs.values() if each.state == "PENDING"]
        return [each.id for each in sorted(waiting, key=lambda each: (-each.priority, each.number))]


class LastInFirst:
    """A policy that reverses the queue; and its manifest knows waits of up to 10."""

    def __init__(self) -> None:
        feature = Feature(name="size", meaning="", least=0, low=0, high=10, most=10)
        manifest = Manifest(
            domain="scheduling", name="lifo", kind="formula", created="", hpcai="", outputs=(), policy={},
            inputs=(Tensor(name="variables", dtype="float64", shape=("feature", "job"), features=(feature,)),),
        )  # fmt: skip
        self.bundle = type("Bundle", (), {"manifest": manifest, "digest": "d", "where": "lifo"})()
        self.policy = Policy()
        self.sizes: list[float] | None = None
        self.error: Exception | None = None
        self.takes = 0.0

    def judge(self, state):
        time.sleep(self.takes)
        if self.error is not None:
            raise self.error
        n = len(state.waiting)
        sizes = np.array(self.sizes if self.sizes is not None else [1.0] * n)
        return Judgement(np.arange(n)[::-1], np.arange(n, dtype=float), n, {"size": sizes}, {}, np.zeros(0))


OPEN: list[DecisionLog] = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


class Site:
    """An adapter, and what it works on."""

    def __init__(self, tmp_path, *jobs: Job, **fields) -> None:
        self.slurm, self.ranker = FakeSlurm(*jobs), LastInFirst()
        settings = {"bundle": "b", "mode": "act", "state": str(tmp_path), "longest_delay": 10.0**10, "calm": 1}
        self.config = make_adapter_config(settings | fields)
        self.slurm.how = self.config.how
        self.log = DecisionLog(self.config.log_path)
        self.ledger = Ledger(self.config.ledger_path, self.config.how)
        self.adapter = Adapter(self.config, self.slurm, self.ranker, self.log, self.ledger)
        OPEN.append(self.log)

    def again(self) -> Site:
        """Another adapter on the same cluster and folder, as after a crash."""
        other = object.__new__(Site)
        other.__dict__ = dict(self.__dict__)
        other.ledger = Ledger(self.config.ledger_path, self.config.how)
        other.adapter = Adapter(self.config, self.slurm, self.ranker, self.log, other.ledger)
        return other


def three(**fields):
    return [job(k, priority=1000 - k, **fields) for k in (1, 2, 3)]


def test_the_queue_gets_the_policy_s_order_with_the_site_s_priorities(tmp_path):
    site = Site(tmp_path, *three())
    cycle = site.adapter.cycle()
    assert site.slurm.order() == ["3", "2", "1"]
    assert sorted(each.priority for each in site.slurm.jobs.values()) == [997, 998, 999]
    assert (cycle.written, cycle.fallback) == (("3", "1"), "")
    assert site.adapter.cycle().written == ()  # it is in order already
    assert len(site.slurm.writes) == 1


def test_shadow_writes_nothing_and_says_what_it_would(tmp_path):
    site = Site(tmp_path, *three(), mode="shadow")
    cycle = site.adapter.cycle()
    assert site.slurm.writes == []
    assert not site.config.ledger_path.exists() or not site.ledger.before
    assert cycle.plan.order == ("3", "2", "1")
    assert cycle.plan.changes == {"3": 2, "1": -2}


def test_jobs_outside_the_scope_are_never_touched(tmp_path):
    jobs = [job(1, priority=999), job(2, priority=998, account="biology"), job(3, priority=997)]
    site = Site(tmp_path, *jobs, scope={"accounts": ["physics"]})
    site.adapter.cycle()
    assert site.slurm.order() == ["3", "2", "1"]
    assert site.slurm.jobs["2"] == jobs[1]


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ({}, True),
        ({"partitions": ["main"]}, True),
        ({"partitions": "other"}, False),
        ({"users": ["bob"]}, False),
        ({"exclude_users": ["ada"]}, False),
        ({"exclude_accounts": ["physics"]}, False),
    ],
)
def test_scopes(scope, holds):
    assert Scope(**scope).holds(job(1)) is holds
    assert not Scope(partitions=["main"]).holds(job(1, partition="main,other"))


@pytest.mark.parametrize("how", ["nice", "priority"])
def test_other_kinds_of_values(tmp_path, how):
    site = Site(tmp_path, *three(nice=5), how=how)
    changes = site.adapter.cycle().plan.changes
    assert changes == ({"3": 3, "1": 7} if how == "nice" else {"3": 999, "1": 997})
    values = {"3": 5, "1": 5} if how == "nice" else {"3": 997, "1": 999}
    assert site.ledger.before == {name: Before(value, 5, changes[name]) for name, value in values.items()}
    assert site.slurm.order() == ["3", "2", "1"]
    site.ranker.error = HpcaiError("no idea")
    site.adapter.cycle()
    assert list(site.slurm.jobs.values()) == three(nice=5)


def test_who_has_waited_too_long_keeps_its_place(tmp_path):
    jobs = three()
    jobs[0] = replace(jobs[0], submit=time.time() - 500.0)
    jobs[1:] = [replace(each, submit=time.time() - 50.0) for each in jobs[1:]]
    site = Site(tmp_path, *jobs, longest_delay="100s")
    cycle = site.adapter.cycle()
    assert site.slurm.order() == ["1", "3", "2"]
    assert cycle.plan.held_back == 1


def test_no_more_is_written_than_is_allowed(tmp_path):
    site = Site(tmp_path, *[job(k, priority=1000 - k) for k in range(1, 9)], most_changes=3)
    assert [len(site.adapter.cycle().written) for _ in range(2)] == [3, 3]
    for _ in range(3):
        site.adapter.cycle()
    assert site.slurm.order() == [str(k) for k in range(8, 0, -1)]


# Reasons not to act.


def upset(site: Site, what: str, tmp_path) -> str:
    """Make something go wrong; return what is to be said of it."""
    if what == "error":
        site.ranker.error = HpcaiError("no idea")
        return "policy: no idea"
    if what == "broken":
        site.ranker.error = TypeError("wait")
        return "policy: TypeError: wait"
    if what == "slow":
        site.ranker.takes = 0.5
        return "policy: the policy gave no answer in 0.2 s"
    if what == "strange":
        site.ranker.sizes = [1.0, 50.0, 50.0]
        return "67% of the queue is unlike the training, most of all by size"
    if what == "stale":
        site.slurm.age = 100.0
        return "what is known is 100 s old"
    if what == "killed":
        site.adapter.killed = True
        return "stopped by a signal"
    (tmp_path / "STOP").touch()
    return f"kill switch {tmp_path / 'STOP'}"


@pytest.mark.parametrize("what", ["error", "broken", "slow", "strange", "stale", "killed", "kill switch"])
def test_a_reason_not_to_act_puts_everything_back(tmp_path, what):
    before = three()
    site = Site(tmp_path, *before, timeout=0.2)
    site.adapter.cycle()
    assert site.slurm.order() == ["3", "2", "1"]
    said = upset(site, what, tmp_path)
    cycle = site.adapter.cycle()
    assert cycle.fallback == said
    assert sorted(cycle.restored) == ["1", "3"]
    assert list(site.slurm.jobs.values()) == before
    assert site.ledger.before == {}
    assert site.adapter.cycle().restored == ()  # once


def test_after_a_fallback_it_waits_for_calm(tmp_path):
    site = Site(tmp_path, *three(), calm=2)
    site.adapter.cycle()
    site.ranker.error = HpcaiError("no idea")
    site.adapter.cycle()
    site.ranker.error = None
    assert site.adapter.cycle().fallback == "good again for 1 of 2 cycles"
    assert site.adapter.cycle().fallback == ""
    assert site.slurm.order() == ["3", "2", "1"]


def test_a_scheduler_that_is_gone_is_waited_for(tmp_path):
    site = Site(tmp_path, *three())
    site.slurm.gone = True
    assert site.adapter.cycle().fallback == "squeue: no answer in 5 s"
    site.slurm.gone = False
    assert site.adapter.cycle().fallback == ""
    assert site.slurm.order() == ["3", "2", "1"]


def test_a_crash_between_ledger_and_write_loses_nothing(tmp_path):
    before = three()
    site = Site(tmp_path, *before)

    def crash(changes):
        FakeSlurm.write(site.slurm, changes)
        raise KeyboardInterrupt

    site.slurm.write = crash
    with pytest.raises(KeyboardInterrupt):
        site.adapter.cycle()
    del site.slurm.write
    other = site.again()
    assert sorted(other.adapter.restore()) == ["1", "3"]
    assert list(site.slurm.jobs.values()) == before
    assert other.again().adapter.restore() == ()


def test_what_is_refused_is_said_and_still_known(tmp_path):
    site = Site(tmp_path, *three())
    site.slurm.refuses = {"1": "Access/permission denied"}
    assert site.adapter.cycle().failed == site.slurm.refuses
    site.slurm.refuses = {}
    site.adapter.cycle()
    site.slurm.refuses = {"1": "Access/permission denied"}
    site.adapter.restore()
    assert set(site.ledger.before) == {"1"}
    site.slurm.refuses = {}
    site.adapter.restore()
    assert list(site.slurm.jobs.values()) == three()


def test_jobs_that_have_ended_are_forgotten(tmp_path):
    site = Site(tmp_path, *three())
    site.adapter.cycle()
    del site.slurm.jobs["3"]
    site.adapter.cycle()
    assert set(site.ledger.before) == {"1"}


def test_a_job_that_takes_no_notice_is_left_alone(tmp_path):
    """Its values would run away, and the others would overtake an outsider."""
    jobs = [job(1, priority=5000), job(2, priority=998), job(3, priority=997), job(9, priority=20000, account="other")]
    site = Site(tmp_path, *jobs, scope={"accounts": "physics"})
    site.slurm.pinned = {"1"}
    for _ in range(8):
        cycle = site.adapter.cycle()
    assert cycle.immovable == ("1",)
    assert cycle.fallback == ""
    assert site.slurm.order() == ["9", "1", "3", "2"]
    assert site.slurm.jobs["1"] == jobs[0]


@pytest.mark.parametrize("priority", [1, 1000])
def test_where_nothing_moves_it_says_so(tmp_path, priority):
    """All priorities cut off at 1, or none that is computed from factors."""
    site = Site(tmp_path, *[job(k, priority=priority) for k in (1, 2, 3)])
    site.slurm.pinned = {"1", "2", "3"}
    for _ in range(4):
        cycle = site.adapter.cycle()
    assert cycle.fallback.startswith("nothing written as site_factor moves the scope")
    assert all(each.site_factor == 0 for each in site.slurm.jobs.values())


def test_a_requeued_job_and_a_task_split_off_get_back_what_they_had(tmp_path):
    site = Site(tmp_path, *three(), job(9, priority=996))
    site.adapter.cycle()
    running = replace(site.slurm.jobs["3"], state="RUNNING", start=time.time(), node_names=("n1",))
    site.slurm.jobs["3"] = running
    site.adapter.cycle()
    site.slurm.jobs["3"] = replace(running, state="PENDING", start=None, node_names=())
    site.slurm.jobs["9_3"] = replace(site.slurm.jobs["9"], id="9_3", number=10, array_id="9")
    assert site.slurm.jobs["9_3"].site_factor != 0
    site.ranker.error = HpcaiError("no idea")
    site.adapter.cycle()
    assert [each.site_factor for each in site.slurm.jobs.values()] == [0] * 5
    assert site.ledger.before == {}


def test_what_others_write_stays(tmp_path):
    """A user's own change is the new original, and is neither overwritten by a restore nor forgotten."""
    site = Site(tmp_path, *three(), how="nice")
    site.adapter.cycle()
    site.slurm.jobs["3"] = site.slurm.changed(site.slurm.jobs["3"], 500)
    site.ranker.error = HpcaiError("no idea")
    site.adapter.cycle()
    assert [each.nice for each in site.slurm.jobs.values()] == [0, 0, 500]
    site.ranker.error = None
    site.adapter.cycle()
    site.adapter.restore()
    assert [each.nice for each in site.slurm.jobs.values()] == [0, 0, 500]


def test_a_held_job_is_not_released(tmp_path):
    site = Site(tmp_path, *three(), how="priority")
    site.adapter.cycle()
    site.slurm.jobs["1"] = replace(site.slurm.jobs["1"], priority=0, reason="JobHeldUser")
    site.adapter.restore()
    assert site.slurm.jobs["1"].priority == 0
    assert site.slurm.jobs["3"].priority == 997
    assert site.ledger.before == {}


def test_values_stay_within_what_slurm_takes(tmp_path):
    site = Site(tmp_path, job(1, priority=4294967294), job(2, priority=998))
    site.adapter.cycle()
    assert all(abs(value) < 2**31 - 10 for changes in site.slurm.writes for value in changes.values())


def test_after_a_crash_a_shadow_puts_back_too(tmp_path):
    before = three()
    site = Site(tmp_path, *before)
    site.adapter.cycle()
    watching = site.config.model_copy(update={"mode": "shadow"})
    ledger = Ledger(site.config.ledger_path, "site_factor")
    Adapter(watching, site.slurm, site.ranker, site.log, ledger).restore()
    assert list(site.slurm.jobs.values()) == before


def test_what_is_too_old_by_the_time_of_writing_is_not_acted_on(tmp_path):
    site = Site(tmp_path, *three(), stale=0.2)
    site.adapter.cycle()
    site.adapter.restore()
    site.ranker.takes = 0.3
    assert site.adapter.cycle().fallback == "what is known is 0 s old"
    assert site.slurm.order() == ["1", "2", "3"]


def test_a_crash_costs_the_calm(tmp_path):
    site = Site(tmp_path, *three(), calm=2)
    site.adapter.cycle()
    other = site.again()
    other.adapter.restore()
    assert other.adapter.cycle().fallback == "good again for 1 of 2 cycles"


def test_one_slow_answer_is_waited_for_by_nobody_else(tmp_path):
    site = Site(tmp_path, *three(), timeout=0.05)
    site.adapter.cycle()
    site.ranker.takes = 1.0
    assert "no answer in 0.05 s" in site.adapter.cycle().fallback
    threads = threading.active_count()
    for _ in range(5):
        assert "still at an earlier queue" in site.adapter.cycle().fallback
    assert threading.active_count() <= threads


# What is remembered.


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": "hpcai ledger 2", "how": "nice", "before": {}, "origin": null}']
)
def test_a_ledger_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(InputError, match="ledger"):
        Ledger(tmp_path / "ledger.json", "nice")


def test_a_ledger_of_another_kind_has_to_be_put_back_first(tmp_path):
    Ledger(tmp_path / "ledger.json", "nice").note({"1": Before(0, 0, 4)})
    with pytest.raises(InputError, match=r"holds changes of nice, found priority; put them back first"):
        Ledger(tmp_path / "ledger.json", "priority")
    assert Ledger(tmp_path / "ledger.json", "nice").before == {"1": Before(0, 0, 4)}


def test_a_ledger_is_for_its_owner_alone_and_follows_no_link(tmp_path):
    (tmp_path / "precious").write_text("all of it")
    (tmp_path / ".ledger.json.part").symlink_to(tmp_path / "precious")
    Ledger(tmp_path / "ledger.json", "nice").note({"1": Before(7, 1, 3)})
    assert (tmp_path / "precious").read_text() == "all of it"
    assert (tmp_path / "ledger.json").stat().st_mode & 0o777 == 0o600
    assert Ledger(tmp_path / "ledger.json", "nice").before == {"1": Before(7, 1, 3)}


def test_the_log_says_what_has_changed(tmp_path):
    site = Site(tmp_path, *three())
    site.adapter.cycle()
    site.adapter.cycle()
    site.log.close()
    records = list(read_log(site.config.log_path))
    kinds = [record["kind"] for record in records]
    first, second = (
        ["node", "partition", "job", "job", "job", "poll", "ledger", "cycle"],
        ["job", "job", "poll", "cycle"],
    )
    assert kinds == first + second
    assert {record["key"]: record["priority"] for record in records[8:10]} == {"1": 997, "3": 999}
    assert set(records[8]) == {"kind", "key", "priority", "site_factor"}
    assert records[7]["changes"] == {"3": 2, "1": -2}


def test_a_full_log_begins_anew_and_says_everything_again(tmp_path):
    log = DecisionLog(tmp_path / "log", largest=300, files=3)
    for k in range(12):
        log.write_changed("job", "1", {"user": "ada", "priority": k // 4})
        log.write("poll", number=k, padding="x" * 60)
        log.flush()
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    numbers = [record["number"] for record in read_log(tmp_path / "log") if record["kind"] == "poll"]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 11
    for path in tmp_path.iterdir():
        lines = path.read_text().splitlines()
        assert not lines or json.loads(lines[0])["user"] == "ada"


def test_a_line_cut_short_is_passed_over_and_other_lines_are_not(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b'{"kind":"poll","at":1}\n{"kind":"po')
    log = DecisionLog(path)
    log.write("poll", at=2)
    log.close()
    assert [record["at"] for record in read_log(path)] == [1, 2]
    path.write_text("hello\n")
    with pytest.raises(InputError, match="log, line 1: not a record"):
        list(read_log(path))
    with pytest.raises(InputError, match="no such file"):
        list(read_log(tmp_path / "nowhere"))


# Guards and configurations.


def test_ranges():
    features = (Feature(name="a", meaning="", least=0, most=10), Feature(name="b", meaning=""))
    manifest = LastInFirst().bundle.manifest.model_copy(
        update={"inputs": (Tensor(name="x", dtype="float64", shape=(), features=features),)}
    )
    found = strangeness(manifest, {"a": np.array([0.0, 10.4, 11.0, -5.0]), "b": np.array([1e9] * 4)})
    assert (found.share, found.told) == (0.5, {"a": 0.5})
    assert strangeness(manifest, {"a": np.array([np.nan])}).share == 1.0
    nothing = strangeness(manifest, {})
    assert (nothing.share, nothing.told) == (0.0, {})


def test_an_answer_in_time_and_one_that_is_not():
    assert in_time(lambda: 3, 1.0) == 3
    with pytest.raises(NoAnswerError):
        in_time(lambda: time.sleep(1), 0.05)
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 / 0, 1.0)
    with pytest.raises(TimeoutError, match="mine"):
        in_time(_time_out, 1.0)


def _time_out():
    raise TimeoutError("mine")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "bundle: required"),
        ({"bundle": "b", "mode": "sleep"}, "mode: .*'shadow' or 'act'"),
        ({"bundle": "b", "intervall": 3}, "unknown key 'intervall'; did you mean 'interval'?"),
        ({"bundle": "b", "interval": "soon"}, "interval: "),
        ({"bundle": "b", "client": "rest"}, "expected url"),
    ],
)
def test_bad_configurations_are_one_line(fields, message):
    with pytest.raises(InputError, match=message) as caught:
        make_adapter_config(fields)
    assert "\n" not in str(caught.value)


def test_an_option_takes_no_exclusion_away(tmp_path):
    (tmp_path / "a.yaml").write_text("bundle: b\nscope: {partitions: gpu, exclude_accounts: operations}\n")
    scope = load_adapter_config(tmp_path / "a.yaml", {"scope": {"users": ["ada"]}}).scope
    assert (scope.partitions, scope.users, scope.exclude_accounts) == (("gpu",), ("ada",), ("operations",))


def test_a_configuration_in_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text("bundle: b\ninterval: 1m\nurl: http://localhost:1\nscope: {partitions: gpu}\n")
    config = load_adapter_config(tmp_path / "a.yaml", {"mode": "act"})
    assert (config.interval, config.mode, config.how) == (60.0, "act", "nice")
    assert config.scope.partitions == ("gpu",)


# The service.


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A made-up Slurm that services talk to, and the fields of their configuration."""
    slurm = FakeSlurm(*three())
    monkeypatch.setattr("hpcai.live.slurm.service.make_client", lambda config: slurm)
    monkeypatch.setattr("hpcai.live.slurm.service.load_ranker", lambda *_: LastInFirst())
    return slurm, {"bundle": "b", "mode": "act", "state": str(tmp_path / "state"), "calm": 1, "interval": 0.01} | {
        "longest_delay": 10.0**10
    }


def test_there_is_one_adapter_to_a_folder(served):
    _, fields = served
    service = Service(make_adapter_config(fields))
    with pytest.raises(InputError, match="another adapter is at work there"):
        Service(make_adapter_config(fields))
    service.adapter.cycle()
    with pytest.raises(InputError, match="another adapter is at work there"):
        restore(make_adapter_config(fields))
    service.run(0)
    Service(make_adapter_config(fields)).run(0)


def test_at_its_end_everything_is_put_back(served):
    slurm, fields = served
    orders = []
    Service(make_adapter_config(fields)).run(3, told=lambda cycle: orders.append(slurm.order()))
    assert orders == [["3", "2", "1"]] * 3
    assert list(slurm.jobs.values()) == three()


def test_a_dry_run_touches_nothing(served, tmp_path):
    slurm, fields = served
    config = make_adapter_config(fields)
    assert dry_run(config).plan.order == ("3", "2", "1")
    assert not (tmp_path / "state").exists()
    service = Service(config)
    service.adapter.cycle()
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    writes = len(slurm.writes)
    assert dry_run(config).plan.site == ("1", "2", "3")
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before
    assert len(slurm.writes) == writes
    service.run(0)
    slurm.gone = True
    with pytest.raises(HpcaiError, match="no order: squeue: no answer in 5 s"):
        dry_run(config)


def test_restore_alone(served):
    slurm, fields = served
    config = make_adapter_config(fields)
    assert restore(config) == ((), ())
    service = Service(config)
    service.adapter.cycle()
    service._opened.close()  # as if it had been killed
    assert sorted(restore(config)[0]) == ["1", "3"]
    assert list(slurm.jobs.values()) == three()


def test_every_key_is_explained():
    text = (Path(__file__).parents[2] / "docs" / "live.md").read_text("utf-8")
    assert [name for name in (*AdapterConfig.model_fields, *Scope.model_fields) if f"`{name}`" not in text] == []

"""The decision log read again: what was known at each look, what the ledger knew, and whether the same is decided."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.live.decision_log import DecisionLog, read_log
from hpcai.live.slurm.client import Before, Node, PartitionSeen, Poll
from hpcai.live.slurm.config import make_adapter_config
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.slurm.history import Accounting
from hpcai.live.slurm.memory import moments, note_cycle, note_ledger, note_poll
from hpcai.live.slurm.plan import plan
from hpcai.live.slurm.replay import replay_log
from tests.live.test_adapter import LastInFirst, job

NOW = 1_700_000_000.0
NODES = ("n1", "n2")


def polled(jobs, at: float = NOW, nodes=NODES) -> Poll:
    return Poll(
        at, "fake", tuple(jobs),
        tuple(Node(name, frozenset({"IDLE"}), 8, 2.0**34, 0, "", ("main",)) for name in nodes),
        (PartitionSeen("main", ",".join(nodes), None, 1),),
    )  # fmt: skip


class Logged:
    """A decision log of an adapter that follows a policy which reverses the queue."""

    def __init__(self, tmp_path, **sizes) -> None:
        self.config = make_adapter_config({"bundle": "b", "mode": "act", "state": str(tmp_path), "farthest": 1})
        self.log = DecisionLog(self.config.log_path, **sizes)
        self.log.begin("start", config=self.config.model_dump(mode="json"))
        self.before: dict[str, Before] = {}

    def look(self, jobs, at: float = NOW, *, after=None, nodes=NODES, fallback: str = "", digest: str = "d") -> None:
        """Log a look at ``jobs``; ``after`` is what the ledger knows when it is over."""
        note_poll(self.log, polled(jobs, at, nodes))
        note_ledger(self.log, self.before)
        waiting = [each for each in jobs if each.state == "PENDING"]
        made = plan(waiting[::-1], at, self.config, self.before)
        self.before = self.before if after is None else after
        cycle = Cycle(at, origin=0.0, waiting=len(waiting), scope=len(waiting), plan=made, fallback=fallback)
        note_cycle(self.log, cycle, "act", digest, self.before)
        self.log.flush()

    def read(self):
        self.log.flush()
        return list(read_log(self.config.log_path))


@pytest.fixture
def logged(tmp_path):
    made = Logged(tmp_path)
    yield made
    made.log.close()


def queue(count: int = 5, **fields):
    return [job(k, priority=2000 - k, submit=NOW - 1000 + k, **fields) for k in range(1, count + 1)]


def written(jobs, factor: int = 500):
    """The queue after the last job was written to, and what the ledger then knows."""
    last = jobs[-1]
    moved = replace(last, priority=last.priority + factor, site_factor=factor)
    return [*jobs[:-1], moved], {last.id: Before(0, 0, factor)}


def test_everything_is_read_again_as_it_was(logged):
    jobs = queue()
    jobs[0] = replace(jobs[0], state="RUNNING", start=NOW - 5, node_names=("n1",), gpu_indices=((0, 1),))
    logged.look(jobs, after={"5": Before(0, 0, 4)})
    logged.look(jobs[1:], NOW + 10)
    first, second = moments(logged.read())
    assert (first.poll, second.poll) == (polled(jobs), polled(jobs[1:], NOW + 10))
    assert (dict(first.before), dict(second.before)) == ({}, {"5": Before(0, 0, 4)})
    assert first.cycle.wanted == ("5", "4", "3", "2")
    assert first.config["farthest"] == 1


def test_nodes_and_partitions_that_are_gone_are_gone(logged):
    for nodes in (NODES, ("n1",), NODES):
        logged.look(queue(), nodes=nodes)
    assert [[node.name for node in each.poll.nodes] for each in moments(logged.read())] == [
        ["n1", "n2"],
        ["n1"],
        ["n1", "n2"],
    ]


def test_a_look_at_which_nothing_has_changed_is_small(logged):
    jobs = queue(500)
    logged.look(jobs)
    size = os.path.getsize(logged.config.log_path)
    logged.look(jobs, NOW + 10)
    assert os.path.getsize(logged.config.log_path) - size < 1000
    first, second = moments(logged.read())
    assert (second.cycle.order, second.poll.jobs) == (first.cycle.order, first.poll.jobs)


def test_the_log_is_its_user_s_alone(tmp_path):
    before = os.umask(0)
    try:
        logged = Logged(tmp_path, largest=10)
        logged.look(queue())
        logged.log.close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


# Replays.


@pytest.fixture
def ranker():
    return LastInFirst()


def test_the_oldest_file_may_be_gone(tmp_path, ranker):
    logged = Logged(tmp_path, largest=100, files=2)
    moved, after = written(queue())
    logged.look(queue(), after=after)
    for k in range(1, 4):
        logged.look(moved, NOW + 10 * k)
    logged.log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decisions.jsonl", "decisions.jsonl.1"]
    (only,) = moments(read_log(logged.config.log_path))
    assert dict(only.before) == after
    assert replay_log(read_log(logged.config.log_path), ranker).differing == ()


def test_a_write_that_timed_out_may_have_been_done(logged, ranker):
    moved, after = written(queue())
    logged.look(queue(), after=after, fallback="scontrol: no answer in 5 s")
    logged.look(moved, NOW + 10)
    done = replay_log(logged.read(), ranker)
    assert (done.decisions, done.differing) == (2, ())


def test_what_was_put_back_between_two_looks_is_not_known_any_more(logged, ranker):
    moved, after = written(queue())
    logged.look(queue(), after=after)
    logged.log.write("restored", at=NOW + 1, jobs=list(after))
    logged.before = {}
    logged.look(moved, NOW + 10, after=after)  # somebody has given it the same by hand
    logged.look(moved, NOW + 20)
    assert [dict(each.before) for each in moments(logged.read())] == [{}, {}, after]
    assert replay_log(logged.read(), ranker).differing == ()


def test_what_is_put_back_at_a_look_was_known_to_its_plan(logged, ranker):
    moved, after = written(queue())
    logged.look(queue(), after=after)
    note_poll(logged.log, polled(moved, NOW + 10))
    logged.log.write("restored", at=NOW + 10, jobs=list(after))
    made = plan(moved[::-1], NOW + 10, logged.config, after)
    note_cycle(logged.log, Cycle(NOW + 10, origin=0.0, plan=made, fallback="killed", restored=("5",)), "act", "d", {})
    assert [dict(each.before) for each in moments(logged.read())] == [{}, after]
    assert replay_log(logged.read(), ranker).differing == ()


def test_a_ledger_that_changed_between_two_looks_is_told(logged, ranker):
    moved, after = written(queue())
    logged.look(moved, after=after)
    logged.before = {}
    logged.look(moved, NOW + 10)
    assert [dict(each.before) for each in moments(logged.read())] == [{}, {}]
    assert replay_log(logged.read(), ranker).differing == ()


def test_another_order_differs_and_that_of_another_bundle_does_not(logged, ranker):
    logged.look(queue(), digest="another")
    logged.look(queue(), NOW + 10)
    records = logged.read()
    done = replay_log(records, ranker)
    assert (done.decisions, done.others, done.differing) == (1, 1, ())
    ranker.judge = lambda state: replace(LastInFirst.judge(ranker, state), order=np.arange(len(state.waiting)))
    assert replay_log(records, ranker).differing == (NOW + 10,)


def test_jobs_that_nothing_moves_are_left_alone_again(logged, ranker):
    jobs = queue()
    note_poll(logged.log, polled(jobs))
    cycle = Cycle(NOW, origin=0.0, plan=plan(jobs[:2:-1], NOW, logged.config, {}))
    vars(cycle)["immovable"] = ("1", "2", "3")
    note_cycle(logged.log, cycle, "act", "d", {})
    assert replay_log(logged.read(), ranker).differing == ()


# Damage.


@pytest.mark.parametrize("cut", ["{", '{"ki', '{"kind":', '{"kind":"po', '{"kind":"cycle","at":1,"mo'])
def test_a_line_cut_short_may_be_in_the_middle(tmp_path, cut):
    (tmp_path / "log").write_text(f'{{"kind":"stop"}}\n{cut}\n{{"kind":"stop"}}\n')
    assert len(list(read_log(tmp_path / "log"))) == 2


@pytest.mark.parametrize("line", ["kind", '"{', "[1", '{"kid"', "[" * 100_000])
def test_another_line_is_not_passed_over(tmp_path, line):
    (tmp_path / "log").write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1: not a record"):
        list(read_log(tmp_path / "log"))


def test_a_log_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "log").write_text("")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match="log: cannot be read: Permission denied"):
        list(read_log(tmp_path / "log"))


POLL = {"kind": "poll", "at": 1.0, "source": "fake", "jobs": [], "nodes": [], "partitions": []}
CYCLE = {
    "kind": "cycle", "at": 1.0, "mode": "act", "digest": "d", "origin": None, "waiting": 0, "scope": 0, "fallback": "",
    "written": [], "failed": {}, "restored": [], "seconds": {}, "strange": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"kind": "cycle"}], "record 1, cycle: at: Field required"),
        ([POLL, {"kind": "cycle"}], "record 2, cycle: at: Field required"),
        ([POLL | {"at": "x"}], "record 1: ValueError: could not convert"),
        ([POLL | {"at": None}], "record 1: TypeError: "),
        ([POLL, CYCLE | {"at": "x"}], "record 2, cycle: at: Input should be a valid number"),
        ([POLL | {"jobs": ["7"]}], "record 1: KeyError: '7'"),
        ([{"kind": "poll"}], "record 1: KeyError: 'jobs'"),
        ([{"kind": "job"}], "record 1: KeyError: 'key'"),
        ([{"kind": "job", "key": "7", "id": "7"}], "record 1, job: number: Field required"),
        ([{"kind": "start", "config": 3}], "record 1, start: : Input should be a valid dictionary"),
        ([{"kind": []}], "record 1: TypeError: "),
        ([POLL, CYCLE | {"held_back": 0}], "record 2: KeyError: 'site'"),
        (
            [POLL, CYCLE | {"held_back": 0, "site": ["7"], "wanted": [], "order": [], "changes": {}}],
            "expected orders of the same jobs",
        ),
    ],
)
def test_a_damaged_record_is_one_line(records, message):
    with pytest.raises(InputError, match=message) as caught:
        list(moments(records))
    assert "\n" not in str(caught.value)


def test_a_configuration_of_another_version_is_one_line(logged, ranker):
    logged.look(queue())
    records = [record | ({"config": {}} if record["kind"] == "start" else {}) for record in logged.read()]
    with pytest.raises(InputError, match="the configuration in its record 'start': bundle: required") as caught:
        replay_log(records, ranker)
    assert "\n" not in str(caught.value)


def test_report_and_replay_of_a_damaged_log(tmp_path):
    path = tmp_path / "log"
    path.write_text(json.dumps({"kind": "cycle"}) + "\n")
    done = CliRunner().invoke(app, ["live", "report", str(path), "--bundle", "b", "--last", "1d"])
    assert isinstance(done.exception, InputError)


# Accounting.

FAKE_SACCT = """#!/bin/sh
echo 'JobID|Submit|Start|End|AllocCPUS|State'
[ -n "$NOBODY" ] && exit
case "$SLURM_TIME_FORMAT" in
%s) echo '1|1700000000|1700000060|1700000360|1|COMPLETED' ;;
*) echo '1|2023-11-14T14:13:20|2023-11-14T14:14:20|2023-11-14T14:19:20|1|COMPLETED' ;;
esac
"""


@pytest.fixture
def sacct(tmp_path, monkeypatch):
    """A sacct that prints local times unless it is asked for seconds."""
    (tmp_path / "sacct").write_text(FAKE_SACCT)
    (tmp_path / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def test_accounting_is_asked_for_times_that_mean_the_same_everywhere(sacct):
    jobs = Accounting().jobs(NOW - 50)
    assert jobs[["submit", "start", "end"]].to_numpy().tolist() == [[50.0, 110.0, 410.0]]


def test_accounting_of_a_new_cluster_knows_nobody(sacct, monkeypatch):
    monkeypatch.setenv("NOBODY", "1")
    assert Accounting().jobs(NOW) is None

"""Drains without a Slurm: a stand-in for its commands shows what is asked and told, and when."""

from __future__ import annotations

import json
import subprocess
import weakref
from pathlib import Path

import pytest
import yaml

from hpcai.errors import InputError
from hpcai.learning.bundling.failures import export_drains
from hpcai.live.bundle import Bundle, read_bundle
from hpcai.live.decision_log import DecisionLog, read_log
from hpcai.live.faults.drainer import Drainer
from hpcai.live.slurm.client import Node, SchedulerGoneError
from hpcai.live.slurm.drain import DrainAdapter
from hpcai.live.slurm.drain_config import DrainConfig, load_drain_config
from hpcai.live.slurm.drain_ledger import DrainLedger
from hpcai.live.slurm.node_control import NodesSeen, drain, give_back, nodes_seen
from hpcai.live.slurm.node_events import events_since, live_log
from hpcai.live.slurm.shell import Shell
from tests.live.failing_site import DAY, detector_bundle, write_syslog

NOW = 1_790_000_000.0
NAMES = tuple(f"n{i}" for i in range(1, 13))


class Slurm(Shell):
    """Nodes that are drained and given back as told; ``ledger`` is looked at when that happens."""

    def __init__(self, ledger: Path) -> None:
        super().__init__()
        self.states = dict.fromkeys(NAMES, "IDLE")
        self.reasons: dict[str, str] = {}
        self.events = ""
        self.told: list[tuple[str, ...]] = []
        self.refuses: set[str] = set()
        self.gone = False
        self._ledger = ledger

    def start(self, *command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        if self.gone:
            raise SchedulerGoneError("scontrol: no answer in 30 s")
        if command[0] == "sacctmgr":
            return self._answer(f"Cluster|NodeName|TimeStart|TimeEnd|State|Reason\n{self.events}")
        if "show" in command:
            return self._answer("".join(map(self._line, NAMES)))
        self.told.append(command[2:])
        node = command[2].removeprefix("nodename=")
        if node in self.refuses:
            return subprocess.CompletedProcess(command, 1, "", "slurm_update error: Invalid node state specified\n")
        if command[3] == "state=drain":
            assert node in json.loads(self._ledger.read_text())["held"]  # on disk before it is done
            self.states[node] += "+DRAIN"
            self.reasons[node] = command[4].removeprefix("reason=")
        else:
            assert command[3] == "state=undrain"
            self.states[node] = self.states[node].removesuffix("+DRAIN")
            self.reasons.pop(node, None)
        return self._answer("")

    def _line(self, node: str) -> str:
        reason = f" Reason={self.reasons[node]} [root@1790000000]" if node in self.reasons else ""
        partitions = "gpu" if node != "n4" else "other"
        return (
            f"NodeName={node} CPUTot=64 RealMemory=4000 Gres=gpu:8 State={self.states[node]} "
            f"Partitions={partitions}{reason}\n"
        )

    @staticmethod
    def _answer(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, text, "")


class Site:
    """An adapter with its stand-in, a clock, and a system log in which n2 fails most, then n3 and n4."""

    def __init__(self, folder: Path, bundle: Bundle, **fields: object) -> None:
        self.now = NOW
        log = write_syslog(folder / "syslog", NAMES, {"n2": (5, 3, 2, 1), "n3": (3, 2, 1.5), "n4": (2, 1.1, 1)}, NOW)
        given = {"bundle": bundle.where, "mode": "act", "events": str(log), "state": str(folder / "state")}
        self.config = DrainConfig.model_validate(given | fields)
        self.slurm = Slurm(self.config.ledger_path)
        self.bundle = bundle
        self._log = DecisionLog(self.config.log_path)
        weakref.finalize(self, self._log.close)
        self.adapter = self.begin()

    def begin(self) -> DrainAdapter:
        """An adapter that finds what the last one left."""
        self.ledger = DrainLedger(self.config.ledger_path)
        return DrainAdapter(self.config, Drainer(self.bundle), self.ledger, self._log, self.slurm, lambda: self.now)


def rule(folder: Path, **fields: object) -> Bundle:
    """A bundle that drains nodes of three failures within a week."""
    given = {"domain": "draining", "kind": "count", "window": 7 * DAY, "threshold": 3, "hold": DAY, "most": 0.2}
    (folder / "rule.yaml").write_text(yaml.safe_dump(given | fields))
    return export_drains(folder / "rule.yaml", folder / "rule.hpcai")


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, rule(tmp_path))


def test_the_riskiest_are_drained_within_the_budget(site):
    cycle = site.adapter.cycle()
    assert (cycle.fallback, cycle.asked, cycle.drained) == ("", 12, ("n2", "n3"))
    assert list(cycle.highest.items())[:4] == [("n2", 4), ("n3", 3), ("n4", 3), ("n1", 0)]
    assert site.slurm.reasons == {"n2": "hpcai: risk 4", "n3": "hpcai: risk 3"}
    assert site.adapter.cycle().drained == ()  # the budget is used up, though n4 is at risk
    assert set(site.ledger.held) == {"n2", "n3"}


def test_in_shadow_nothing_is_told(tmp_path):
    site = Site(tmp_path, rule(tmp_path), mode="shadow")
    first, second = site.adapter.cycle(), site.adapter.cycle()
    assert (list(first.wanted), first.drained, list(second.wanted)) == (["n2", "n3"], (), [])
    assert first.held == second.held == ("n2", "n3")
    assert site.slurm.told == []
    site.now += 1.01 * DAY
    assert site.adapter.cycle().released == ("n2", "n3")
    assert site.slurm.told == []


def test_nodes_are_given_back_when_the_hold_is_over(site):
    site.adapter.cycle()
    site.now += 0.9 * DAY
    assert site.adapter.cycle().released == ()
    site.now += 0.2 * DAY
    cycle = site.adapter.cycle()
    assert cycle.released == ("n2", "n3")
    assert cycle.drained == ("n2", "n3")  # still three failures within the week
    site.now += 7 * DAY
    cycle = site.adapter.cycle()
    assert (cycle.released, cycle.drained) == (("n2", "n3"), ())
    assert set(site.slurm.states.values()) == {"IDLE"}


def test_another_run_goes_on_with_what_it_finds(site):
    site.adapter.cycle()
    adapter = site.begin()
    assert adapter.cycle().held == ("n2", "n3")
    site.now += 8 * DAY
    assert adapter.cycle().released == ("n2", "n3")


@pytest.mark.parametrize("change", ["reason", "resumed"])
def test_what_others_change_is_theirs(site, change):
    site.adapter.cycle()
    if change == "reason":
        site.slurm.reasons["n2"] = "bad fan"
    else:
        site.slurm.states["n2"] = "IDLE"
        del site.slurm.reasons["n2"]
    site.slurm.told.clear()
    site.now += 0.8 * DAY
    cycle = site.adapter.cycle()
    assert (cycle.taken_over, cycle.released) == (("n2",), ())
    assert not [words for words in site.slurm.told if words[0] == "nodename=n2"]
    assert site.begin().cycle().held == cycle.held  # nor does another run
    if change == "resumed":
        site.now += 0.3 * DAY
        assert "n2" in site.adapter.cycle().drained  # the time for which it would have been held is over


def test_the_kill_switch_gives_everything_back(site):
    site.adapter.cycle()
    site.config.kill_switch.touch()
    cycle = site.adapter.cycle()
    assert (cycle.released, cycle.held, cycle.wanted) == (("n2", "n3"), (), {})
    assert "kill switch" in cycle.fallback
    site.config.kill_switch.unlink()
    assert site.adapter.cycle().drained == ("n2", "n3")
    site.adapter.killed = True
    assert site.adapter.cycle().released == ("n2", "n3")


def test_no_answer_changes_nothing(site):
    site.adapter.cycle()
    site.slurm.gone = True
    cycle = site.adapter.cycle()
    assert "no answer" in cycle.fallback
    assert cycle.held == ("n2", "n3")
    site.slurm.gone = False
    assert site.adapter.cycle().held == ("n2", "n3")


def test_a_node_that_slurm_does_not_drain_is_not_held(site):
    site.slurm.refuses = {"n2"}
    cycle = site.adapter.cycle()
    assert (cycle.drained, cycle.held) == (("n3",), ("n3",))
    assert "Invalid node state" in cycle.failed["n2"]


def test_a_node_that_is_not_given_back_stays_in_the_ledger(site):
    site.adapter.cycle()
    site.slurm.refuses = {"n2"}
    site.now += 8 * DAY
    cycle = site.adapter.cycle()
    assert (cycle.released, cycle.held) == (("n3",), ("n2",))
    assert "n2" in cycle.failed


def test_scope_budget_and_hold_are_the_sites(tmp_path):
    site = Site(tmp_path, rule(tmp_path), partitions="gpu", exclude="n2", budget=3, hold="2h")
    cycle = site.adapter.cycle()
    assert (cycle.asked, cycle.drained) == (10, ("n3",))  # n4 is of another partition
    assert site.ledger.held["n3"].until - site.now == 7200
    none = Site(tmp_path, site.bundle, budget=0, state=str(tmp_path / "none"))
    assert none.adapter.cycle().drained == ()


def test_nodes_that_are_down_or_drained_are_not_asked(site):
    site.slurm.states |= {"n2": "DOWN*", "n3": "IDLE+DRAIN"}
    site.slurm.reasons["n3"] = "bad fan"
    cycle = site.adapter.cycle()
    assert (cycle.asked, cycle.drained) == (10, ("n4",))
    site.slurm.states["n2"] = "IDLE*"  # not responding yet not down: it can be drained
    assert site.adapter.cycle().drained == ("n2",)


def test_events_of_accounting_count_but_not_our_own_drains(tmp_path):
    site = Site(tmp_path, rule(tmp_path), events="accounting")
    day = [int(NOW - k * DAY) for k in range(1, 5)]
    down = "".join(f"c|n1|{at}|{at + 60}|DOWN|Not responding\n" for at in day)
    ours = "".join(f"c|n3|{at}|{at + 60}|DOWN|hpcai: risk 4\n" for at in day)
    site.slurm.events = f"c||{day[3]}|Unknown||Cluster Registered TRES\n{down}{ours}"
    cycle = site.adapter.cycle()
    assert [(node, risk) for node, risk in cycle.highest.items() if risk] == [("n1", 4)]
    site.slurm.events = ""
    assert not any(site.adapter.cycle().highest.values())


def test_everything_is_in_the_log(site):
    cycle = site.adapter.cycle()
    (record,) = [record for record in read_log(site.config.log_path) if record["kind"] == "drains"]
    assert record["drained"] == ["n2", "n3"]
    assert record["wanted"] == cycle.wanted
    assert record["digest"] == site.bundle.digest


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_bundle(tmp_path_factory.mktemp("learned"))


def test_a_detector_is_asked_what_it_learned(tmp_path, detector):
    """n2 failed again and again in the last hours, n3 once a month ago."""
    assert detector.manifest.policy["threshold"] is not None
    site = Site(tmp_path, detector)
    recent = {"n2": (1.0, 0.6, 0.4, 0.1, 0.02), "n3": (25.0,)}
    write_syslog(Path(site.config.events[0]), NAMES, recent, NOW)
    cycle = site.adapter.cycle()
    assert (cycle.fallback, cycle.drained) == ("", ("n2",))
    assert cycle.highest.pop("n2") > 5 * max(cycle.highest.values())


def test_nodes_unlike_those_of_the_training_are_left_alone(tmp_path, monkeypatch, detector):
    site = Site(tmp_path, detector)
    monkeypatch.setattr(
        Slurm, "_line", lambda self, node: f"NodeName={node} CPUTot=4 RealMemory=9 State=IDLE Partitions=p\n"
    )
    cycle = site.adapter.cycle()
    assert "unlike the training, most of all by" in cycle.fallback
    assert (cycle.wanted, site.slurm.told) == ({}, [])


def test_logs_are_joined_from_the_moment_that_is_known(tmp_path):
    """Two sources of other origins: events of known nodes, each once, hosts by their first name."""
    node = Node("n1", frozenset({"IDLE"}), 4, 1e9, 0, "", ("p",))
    one = write_syslog(tmp_path / "one", ["n1.site.org"], {"n1.site.org": (3, 1), "x9": (1,)}, NOW)
    two = write_syslog(tmp_path / "two", ["n1"], {"n1": (3, 2)}, NOW)
    logs = events_since([str(one), str(two)], NOW - 90 * DAY, Shell())
    log = live_log([node], logs, NOW - 90 * DAY, NOW)
    assert log.origin == NOW - 30 * DAY
    assert log.observed == (0, 30 * DAY)
    assert log.events["start"].tolist() == [27 * DAY, 28 * DAY, 29 * DAY]
    assert log.nodes["node"].tolist() == ["n1"]
    short = live_log([node], logs, NOW - 2.5 * DAY, NOW)
    assert short.events["start"].tolist() == [0.5 * DAY, 1.5 * DAY]
    assert live_log([node], [], NOW - DAY, NOW).events.empty


def test_a_log_without_a_year_is_refused(tmp_path):
    (tmp_path / "log").write_text("Jan  5 10:00:00 n1 kernel: NVRM: Xid (PCI:0000:65:00): 79, off the bus\n")
    with pytest.raises(InputError, match="its dates have no year, expected ISO dates"):
        events_since([str(tmp_path / "log")], NOW, Shell())


def test_reasons_and_names_are_read_as_slurm_has_them(tmp_path):
    slurm = Slurm(tmp_path / "none")
    slurm.states["n1"], slurm.reasons["n1"] = "DOWN+DRAIN", "a [b] c=d State=IDLE"
    seen = nodes_seen(slurm, NOW)
    assert isinstance(seen, NodesSeen)
    assert seen.reasons == {"n1": "a [b] c=d State=IDLE"}
    for wrong in ("n1,n2", "n[1-4]", "ALL", "", "-x", "n1 state=down"):
        with pytest.raises(InputError, match="not a name of a node"):
            drain(slurm, wrong, "x")
        with pytest.raises(InputError, match="not a name of a node"):
            give_back(slurm, wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected schema|cannot be read"),
        ("[", "cannot be read"),
        ('{"schema": "x", "held": {}, "spared": {}}', "expected schema"),
    ],
)
def test_a_ledger_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "drains.json").write_text(text)
    with pytest.raises(InputError, match=message):
        DrainLedger(tmp_path / "drains.json")


def test_bad_configurations_are_told(tmp_path):
    with pytest.raises(InputError, match="bundle: required, not given"):
        load_drain_config(None, {})
    with pytest.raises(InputError, match=r"interval: .*found 'often'"):
        load_drain_config(None, {"bundle": "b", "interval": "often"})


def test_the_example_can_be_used():
    example = Path(__file__).parents[2] / "deploy" / "slurm" / "drain.yaml"
    config = load_drain_config(str(example), {})
    assert (config.mode, config.interval, config.partitions) == ("shadow", 600, ("gpu",))


def test_rates_are_judged_against_the_mean(tmp_path):
    weights = [0.2, 0.3, 0.1, 0.2, 0.1, 0.1]
    bundle = rule(tmp_path, kind="rates", window=None, weights=weights, threshold=1.5)
    cycle = Site(tmp_path, read_bundle(bundle.where)).adapter.cycle()
    assert cycle.fallback == ""
    assert set(list(cycle.highest)[:3]) == {"n2", "n3", "n4"}
    assert cycle.highest["n2"] > 2 > 1 > cycle.highest["n9"]
    assert list(cycle.wanted) == [name for name, risk in cycle.highest.items() if risk >= 1.5][:2]

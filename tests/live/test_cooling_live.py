"""Following a controller on the fast plant behind a real Modbus TCP server, step by step on a clock of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcai.cooling.controllers.learned import Learned
from hpcai.cooling.interface import READINGS, SETPOINTS
from hpcai.cooling.observation import OBSERVED
from hpcai.errors import HpcaiError, InputError
from hpcai.learning.bundling.cooling import export_cooling
from hpcai.live.cooling.adapter import Cycle
from hpcai.live.cooling.clock import Clock
from hpcai.live.cooling.config import load_cooling_config
from hpcai.live.cooling.service import Service, release
from hpcai.live.decision_log import read_log
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.hall import Hall
from tests.cooling_weather import write_epw
from tests.live.cooling_bundles import exported, network, run_folder
from tests.live.cooling_site import Server, Site, Time, served

STEP = 900.0
CALM = 3
FIXED: dict[str, Any] = {
    "kind": "fixed",
    "points": {"supply": 24.0, "airflow": 0.6, "chilled_water": 10.0, "economizer": 1.0},
}


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_epw(tmp_path_factory.mktemp("weather") / "sine.epw")


@pytest.fixture(scope="module")
def opened(weather: Path) -> Callable[[], Hall]:
    hall = CoolingCase(weather=str(weather)).open()
    return lambda: Hall(hall.plant, hall.surroundings, hall.it_load, hall.start)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return exported(tmp_path_factory.mktemp("fixed"), **FIXED).where


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, weather: Path) -> str:
    folder = tmp_path_factory.mktemp("learned")
    return export_cooling(str(run_folder(folder / "run", weather, network())), folder / "bundle", states=20).where


@dataclass
class Stage:
    """An adapter and the site that it looks after, on one clock."""

    site: Site
    server: Server
    service: Service
    time: Time

    def cycle(self) -> Cycle:
        """Do a cycle, then let the plant go a step on."""
        cycle = self.service.adapter.cycle()
        self.site.step()
        self.time.advance(STEP)
        return cycle

    def cycles(self, count: int) -> list[Cycle]:
        return [self.cycle() for _ in range(count)]

    @property
    def log(self) -> list[dict[str, Any]]:
        return list(read_log(self.service.config.log_path))


@contextmanager
def staged(
    folder: Path, hall: Hall, bundle: str, changes: dict[str, Any] | None = None, **given: Any
) -> Iterator[Stage]:
    """Yield a stage; ``changes`` are of the point map, ``given`` of the configuration."""
    with served(folder, hall, **(changes or {})) as (site, server, points):
        begin = 947_000_000.0  # a January; tests that look at the calendar set their own
        time = Time(begin)
        settings = {
            "bundle": bundle, "points": str(points), "host": "127.0.0.1", "port": server.port, "poll": STEP,
            "interval": STEP, "mode": "act", "calm": CALM, "frozen": 4, "timeout": 0.3, "farthest": 4 * STEP,
            "state": str(folder / "state"),
        }  # fmt: skip
        config = load_cooling_config(None, settings | given)
        clock = Clock(lambda: time.now, lambda: time.passed, utc_offset=given.get("utc_offset", 0.0))
        service = Service(config, clock)
        try:
            yield Stage(site, server, service, time)
        finally:
            service.end()


@pytest.fixture
def acting(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> Iterator[Stage]:
    """A stage on which the adapter is in control."""
    with staged(tmp_path, opened(), fixed) as stage:
        assert [cycle.state for cycle in stage.cycles(CALM)] == ["calming"] * (CALM - 1) + ["acting"]
        assert not stage.site.released
        yield stage


def is_back(stage: Stage) -> bool:
    return stage.site.released and stage.site.own_setpoints() and not stage.service.config.mark.exists()


def resumes(stage: Stage) -> None:
    """It acts again after as many good cycles as it takes, and not before."""
    assert [cycle.state for cycle in stage.cycles(CALM)] == ["calming"] * (CALM - 1) + ["acting"]


# What it sees


def test_it_sees_what_the_environment_shows(
    tmp_path: Path, opened: Callable[[], Hall], learned: str, weather: Path
) -> None:
    hall = opened()
    begin = (hall.start - datetime(1970, 1, 1)).total_seconds() + 6 * 3600.0
    given = {"mode": "shadow", "forecast": str(weather), "utc_offset": -6.0}
    with staged(tmp_path, hall, learned, **given) as stage:
        stage.time.now = begin + STEP * stage.site.start
        expected = []
        for _ in range(30):
            expected.append(stage.site.observation)
            assert stage.cycle().reason == ""
        seen = [record["observed"] for record in stage.log if record["kind"] == "decision"]
    names = [point.name for point in OBSERVED]
    after_an_hour = slice(5, None)  # before, nobody knows what the load was an hour ago
    found = np.array([[of[name] for name in names] for of in seen])[after_an_hour]
    np.testing.assert_allclose(found, np.array(expected)[after_an_hour], rtol=1e-4, atol=2e-4)


def decisions(stage: Stage) -> list[dict[str, Any]]:
    return [record for record in stage.log if record["kind"] == "decision"]


def test_powers_are_means_over_the_step(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    with staged(tmp_path, opened(), fixed, mode="shadow", interval=3 * STEP) as stage:
        for it in (10.0, 20.0, 30.0, 70.0):
            stage.site.held = {"it": it, "east_inlet": it}
            stage.site.publish()
            stage.cycle()
        observed = [record["observed"] for record in decisions(stage)]
    assert [(seen["it"], seen["east_inlet"]) for seen in observed] == [(10.0, 10.0), (40.0, 70.0)]


def test_after_a_fallback_the_step_begins_anew(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    with staged(tmp_path, opened(), fixed, mode="shadow", interval=3 * STEP) as stage:
        for it in (10.0, 20.0, math.nan, 70.0):
            stage.site.held = {"it": it}
            stage.site.publish()
            stage.cycle()
        observed = [record["observed"] for record in decisions(stage)]
    assert [seen["it"] for seen in observed] == [10.0, 70.0]


def test_after_a_fallback_a_controller_begins_anew(tmp_path: Path, opened: Callable[[], Hall]) -> None:
    with staged(tmp_path, opened(), exported(tmp_path / "rules", kind="rules").where) as stage:
        stage.cycles(10)
        stage.site.held = {"dry_bulb": math.nan}
        stage.site.publish()
        stage.cycle()
        stage.site.held = {}
        stage.site.publish()
        stage.cycle()
        told = [record["setpoints"]["west_supply"] for record in decisions(stage)]
    assert told[9] == pytest.approx(23.0)  # trimmed by 0.1 K ten times
    assert told[10] == pytest.approx(22.1)


def names(name: str) -> int:
    return [point.name for point in OBSERVED].index(name)


def test_sums_and_loads_follow_from_what_is_mapped(tmp_path: Path, opened: Callable[[], Hall], learned: str) -> None:
    from tests.live.cooling_site import point_map

    readings = {name: of for name, of in point_map()["readings"].items() if name not in ("hvac", "it", "site", "pumps")}
    changes = {"readings": readings, "loads": {}, "constants": {"pumps": 250.0}, "design_power": 108_094.0}
    with staged(tmp_path, opened(), learned, changes, mode="shadow") as stage:
        parts = {point.name: float(v) for point, v in zip(OBSERVED, stage.site.observation, strict=True)}
        stage.cycle()
        (seen,) = (record["observed"] for record in stage.log if record["kind"] == "decision")
    hvac = sum(parts[name] for name in ("east_fan", "west_fan", "evaporative", "chiller", "tower")) + 250.0
    assert seen["hvac"] == pytest.approx(hvac, rel=1e-6)
    assert seen["site"] == pytest.approx(hvac + parts["east_it"] + parts["west_it"], rel=1e-6)
    assert seen["east_load"] == pytest.approx(parts["east_it"] / 54_047.0, rel=1e-5)


# Shadow


def test_shadow_writes_nothing(tmp_path: Path, opened: Callable[[], Hall], learned: str) -> None:
    with staged(tmp_path, opened(), learned, mode="shadow") as stage:
        cycles = stage.cycles(12)
        stage.server.cut()
        stage.cycles(3)
        stage.server.mend()
        stage.cycles(8)
    assert {cycle.state for cycle in cycles} == {"shadow"}
    assert all(cycle.decided and cycle.target for cycle in cycles)
    assert stage.site.writes == []
    assert not stage.service.config.mark.exists()
    kinds = [record["kind"] for record in stage.log]
    assert kinds[0] == "start"
    assert kinds[-1] == "stop"
    assert kinds.count("decision") >= 12


# Acting


def test_it_steers_the_plant_within_rates_and_ranges(acting: Stage) -> None:
    supply = []
    for _ in range(6):
        supply.append(acting.site.get("east_supply"))
        acting.cycle()
    assert np.diff([18.0, *supply]) == pytest.approx([1.5, 1.5, 1.5, 1.5, 0.0, 0.0])  # 0.1 K a minute, 15 minutes
    assert acting.site.get("chilled_water") == 10.0  # no rate is given
    assert acting.site.observation[names("east_supply")] > 22.0  # the plant follows
    assert not any(name == "economizer" for name, _ in acting.site.writes)  # not mapped


def test_what_stands_already_is_not_written_again(acting: Stage) -> None:
    acting.cycles(6)
    acting.site.writes.clear()
    acting.cycles(3)
    assert {name for name, _ in acting.site.writes} == {"heartbeat"}
    assert [value for _, value in acting.site.writes] in ([0.0, 1.0, 0.0], [1.0, 0.0, 1.0])


def test_a_register_that_somebody_changed_is_written_again(acting: Stage) -> None:
    acting.cycles(6)
    acting.site.put("chilled_water", acting.site.points.setpoints["chilled_water"], 15.0)
    assert acting.cycle().written == {"chilled_water": 10.0}


def test_a_setpoint_stays_in_the_range_of_the_map(tmp_path: Path, opened: Callable[[], Hall]) -> None:
    hot = exported(tmp_path / "hot", kind="fixed", points={"supply": 32.0}).where
    with staged(tmp_path, opened(), hot) as stage:
        stage.cycles(20)
        assert stage.site.get("east_supply") == 27.0
        assert stage.site.get("east_airflow") == 1.0  # left to the plant: its own value
    assert max(value for name, value in stage.site.writes if name == "east_supply") == 27.0


def test_rules_and_networks_act(tmp_path: Path, opened: Callable[[], Hall], learned: str) -> None:
    rules = exported(tmp_path / "rules", kind="rules").where
    for name, bundle in (("rules", rules), ("network", learned)):
        (tmp_path / name).mkdir(exist_ok=True)
        with staged(tmp_path / name, opened(), bundle) as stage:
            assert stage.cycles(CALM + 10)[-1].state == "acting"
        assert stage.site.released


def test_a_network_cools_the_plant_as_it_does_in_a_play(tmp_path: Path, weather: Path, learned: str) -> None:
    played = CoolingCase(weather=str(weather), it_load=0.6).open().play(Learned(network()), 4000, 24)
    hall = CoolingCase(weather=str(weather), it_load=0.6).open()
    exact = {point.name: {"address": 100 + 2 * i, "type": "float32"} for i, point in enumerate(SETPOINTS)}
    flags = {"release": {"address": 150}, "heartbeat": {"address": 151}}
    given = {"calm": 1, "forecast": str(weather), "utc_offset": -6.0}
    with staged(tmp_path, hall, learned, {"setpoints": exact} | flags, **given) as stage:
        stage.time.now = (hall.start - datetime(1970, 1, 1)).total_seconds() + 6 * 3600.0 + STEP * stage.site.start
        seen = []
        for _ in range(24):
            assert stage.cycle().state == "acting"
            seen.append(stage.site.observation[: len(READINGS)])
    np.testing.assert_allclose(np.array(seen), played.readings, rtol=1e-3, atol=1e-3)


def test_the_shield_keeps_a_policy_from_heating_the_hall(tmp_path: Path, opened: Callable[[], Hall]) -> None:
    careless = {"supply": 27.0, "airflow": 0.3, "chilled_water": 16.0}
    hottest = {}
    for shield in (None, "two-zone"):
        folder = tmp_path / str(shield)
        bundle = exported(folder, kind="fixed", points=careless).where
        given = {} if shield is None else {"shield": shield, "shield_limit": 24.5}
        with staged(folder, opened(), bundle, **given) as stage:
            stage.cycles(CALM + 24)
            inlets = []
            for _ in range(8):
                assert stage.cycle().state == "acting"
                inlets.append(stage.site.observation[names("east_inlet")])
            hottest[shield] = max(inlets)
            said = {record.get("shield") for record in stage.log if record["kind"] == "decision"}
        assert said == {None} if shield is None else said & {"moved", "rules"}
    assert hottest[None] > 27.0
    assert hottest["two-zone"] < 24.6


# Falling back


def test_a_cut_connection(acting: Stage) -> None:
    acting.cycles(2)
    acting.server.cut()
    lost = acting.cycles(4)
    assert {cycle.state for cycle in lost} == {"fallback"}
    assert "127.0.0.1" in lost[0].reason
    assert acting.site.released  # the plant's own watchdog: the heartbeat stands still
    assert acting.service.config.mark.exists()
    acting.site.writes.clear()
    acting.server.mend()
    while acting.cycle().state == "fallback":
        assert acting.time.passed < 30 * STEP
    assert acting.site.writes[0] == ("release", 0.0)
    assert dict(acting.site.writes[1:6])["east_supply"] == 18.0
    assert is_back(acting)
    assert [cycle.state for cycle in acting.cycles(CALM - 1)] == ["calming"] * (CALM - 2) + ["acting"]


def test_attempts_to_reconnect_are_ever_further_apart(acting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    acting.server.cut()
    connection, tries = acting.service.adapter._connection, []
    connect = connection.connect
    monkeypatch.setattr(connection, "connect", lambda: tries.append(acting.time.passed / STEP) or connect())
    acting.cycles(20)
    assert np.diff(tries).tolist()[:4] == [1.0, 2.0, 4.0, 4.0]  # and no further than ``farthest``


def test_a_server_that_does_not_answer(acting: Stage) -> None:
    acting.site.silent = True
    assert acting.cycle().state == "fallback"
    acting.site.silent = False
    while acting.cycle().state == "fallback":
        assert acting.time.passed < 30 * STEP
    assert is_back(acting)


def test_a_sensor_that_stands_still(acting: Stage) -> None:
    acting.site.freeze("east_inlet")
    cycles = acting.cycles(8)
    states = [cycle.state for cycle in cycles]
    first = states.index("fallback")
    assert 3 <= first <= 5
    assert cycles[first].reason == "east_inlet: the same for 4 cycles while others move"
    assert is_back(acting)
    acting.site.held.clear()
    acting.site.publish()
    resumes(acting)


def test_all_sensors_that_stand_still(acting: Stage) -> None:
    for name in acting.site.points.readings:
        acting.site.freeze(name)
    cycles = acting.cycles(16)
    reasons = [cycle.reason for cycle in cycles if cycle.state == "fallback"]
    assert reasons[0] == "no sensor has moved for 12 cycles"
    assert cycles[5].state == "acting"
    assert is_back(acting)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("west_inlet", math.nan, "west_inlet: not a number"),
        ("east_zone", 250.0, "east_zone: 250, beyond -10 to 70"),
        ("dry_bulb", -273.0, "dry_bulb: -273, beyond -60 to 60"),
        ("chiller", -5e6, "chiller: -5e+06, beyond -1000 to 1e+09"),
        ("east_load", 6.0, "east_load: 6, beyond -0.05 to 1.5"),
    ],
)
def test_a_sensor_that_cannot_be_believed(acting: Stage, name: str, value: float, reason: str) -> None:
    acting.site.held[name] = value
    acting.site.publish()
    cycle = acting.cycle()
    assert (cycle.state, cycle.reason, cycle.written) == ("fallback", reason, {})
    assert is_back(acting)
    acting.site.held.clear()
    acting.site.publish()
    resumes(acting)


def test_a_number_that_stands_for_no_value(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    from tests.live.cooling_site import point_map

    readings = point_map()["readings"]
    readings["east_inlet"] = {"table": "input", "address": 80, "type": "int16", "scale": 0.01, "missing": -32768}
    with staged(tmp_path, opened(), fixed, {"readings": readings}) as stage:
        assert stage.cycle().state == "calming"
        stage.site.held["east_inlet"] = -327.68
        stage.site.publish()
        assert stage.cycle().reason == "east_inlet: not a number"


def test_a_setpoint_that_cannot_be_read_any_more(acting: Stage) -> None:
    acting.site.refuses = {"chilled_water"}
    assert acting.cycle().reason == (
        "setpoint.east_supply, setpoint.west_supply, setpoint.east_airflow, setpoint.west_airflow, "
        "setpoint.chilled_water: refused, illegal address"
    )
    assert acting.site.released
    assert [acting.site.get(name) for name in ("east_supply", "east_airflow")] == [18.0, 1.0]
    assert acting.service.config.mark.exists()  # chilled water is still owed
    assert acting.cycles(4)[-1].state == "fallback"
    acting.site.refuses = set()
    acting.cycle()
    assert is_back(acting)


def test_a_setpoint_that_is_refused(acting: Stage) -> None:
    acting.site.refuses_to_write = {"east_supply"}
    assert acting.cycle().reason == "east_supply: refused, illegal value"
    assert acting.site.released  # by the flag, which goes first
    assert acting.site.get("chilled_water") == 7.0
    assert acting.service.config.mark.exists()
    cycles = acting.cycles(CALM + 2)
    assert {cycle.reason for cycle in cycles} == {"east_supply: refused, illegal value"}
    assert not any(name == "release" and value == 1.0 for name, value in acting.site.writes[-20:])
    given_back = [record for record in acting.log if record["kind"] == "given back"]
    assert len(given_back) == 1  # told once
    acting.site.refuses_to_write = set()
    acting.cycle()
    assert is_back(acting)


def test_a_heartbeat_that_is_refused(acting: Stage) -> None:
    acting.site.refuses = {"heartbeat"}
    cycle = acting.cycle()
    assert (cycle.state, cycle.reason) == ("fallback", "heartbeat: refused, illegal address")
    assert is_back(acting)
    assert {cycle.state for cycle in acting.cycles(5)} == {"fallback"}


def test_a_reading_that_is_refused(acting: Stage) -> None:
    acting.site.refuses = {"reading.wet_bulb"}
    assert acting.cycle().reason.endswith("reading.wet_bulb: refused, illegal address")
    assert is_back(acting)


def test_the_plant_says_no(acting: Stage) -> None:
    acting.site.allow(False)
    assert acting.cycle().reason == "the plant does not allow it: enable is 0"
    assert is_back(acting)
    acting.site.allow(True)
    resumes(acting)


def test_the_kill_switch(acting: Stage) -> None:
    acting.service.config.kill_switch.touch()
    assert acting.cycle().state == "fallback"
    assert is_back(acting)
    acting.service.config.kill_switch.unlink()
    resumes(acting)


def test_a_loop_that_stood_still(acting: Stage) -> None:
    acting.time.advance(10 * STEP)
    cycle = acting.cycle()
    assert cycle.reason == f"the adapter itself stood still for {11 * STEP:.0f} s"
    assert is_back(acting)
    resumes(acting)


def test_a_policy_that_fails(acting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: Any) -> Any:
        raise HpcaiError("no answer today")

    with monkeypatch.context() as patch:
        patch.setattr(acting.service.policy, "setpoints", none)
        assert acting.cycle().reason == "no answer today"
        assert is_back(acting)
    resumes(acting)


def test_what_is_unlike_the_training(tmp_path: Path, opened: Callable[[], Hall], learned: str) -> None:
    with staged(tmp_path, opened(), learned, strange=0.1) as stage:
        stage.site.held = dict.fromkeys(("east_inlet", "west_inlet", "east_zone", "west_zone", "dry_bulb"), 50.0)
        stage.site.publish()
        assert "features are unlike the training" in stage.cycle().reason
        (decision,) = (record for record in stage.log if record["kind"] == "decision")
        assert "east_inlet" in decision["unlike"]


# Beginning and ending


def test_the_end_hands_back(acting: Stage) -> None:
    acting.service.end()
    assert is_back(acting)
    assert acting.log[-1]["kind"] == "stop"
    assert acting.log[-1]["owed"] is False


def test_an_end_without_a_plant_leaves_the_mark(acting: Stage) -> None:
    acting.server.cut()
    acting.service.end()
    assert acting.log[-1]["owed"] is True
    assert acting.service.config.mark.exists()


def test_what_a_crash_left_is_handed_back_first(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "in-control").touch()
    with staged(tmp_path, opened(), fixed) as stage:
        stage.site.put("release", stage.site.points.written["release"], 1.0)
        stage.site.put("east_supply", stage.site.points.setpoints["east_supply"], 26.0)
        assert stage.cycle().state == "calming"
        assert is_back(stage)


def test_release_alone(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    with served(tmp_path, opened()) as (site, server, points):
        site.put("release", site.points.written["release"], 1.0)
        site.put("east_supply", site.points.setpoints["east_supply"], 26.0)
        settings = {"bundle": "none", "points": str(points), "host": "127.0.0.1", "port": server.port}
        assert release(load_cooling_config(None, settings | {"state": str(tmp_path / "state")})) == []
        assert site.released
        assert site.own_setpoints()


def test_one_adapter_to_a_folder(acting: Stage) -> None:
    with pytest.raises(InputError, match="another adapter is at work there"):
        Service(acting.service.config)


def test_the_log_says_everything_once(acting: Stage) -> None:
    acting.cycles(8)
    start, *records = acting.log
    assert start["digest"] == acting.service.policy.bundle.digest
    assert start["points"]["setpoints"]["east_supply"]["own"] == 18.0
    cycles = [record for record in records if record["kind"] == "cycle"]
    assert [record.get("state") for record in cycles][:3] == ["calming", "acting", None]  # only what has changed
    assert cycles[1]["written"]["east_supply"] == pytest.approx(19.5)
    assert cycles[0]["target"]["chilled_water"] == 10.0


def test_metrics(tmp_path: Path, opened: Callable[[], Hall], fixed: str) -> None:
    import httpx

    from hpcai.live.cooling.metrics import CoolingMetrics

    with staged(tmp_path, opened(), fixed) as stage:
        metrics = CoolingMetrics()
        for cycle in stage.cycles(CALM):
            metrics.note(cycle)
        stage.site.held["east_inlet"] = math.nan
        stage.site.publish()
        for cycle in stage.cycles(2):
            metrics.note(cycle)
    value = metrics.registry.get_sample_value
    assert value("hpcai_cooling_cycles_total", {"state": "calming"}) == CALM - 1
    assert value("hpcai_cooling_fallbacks_total") == 1
    assert value("hpcai_cooling_acting") == 0
    assert value("hpcai_cooling_target", {"name": "chilled_water"}) == 10.0
    port, stop = metrics.serve("127.0.0.1", 0)
    try:
        assert "hpcai_cooling_reading" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        stop()

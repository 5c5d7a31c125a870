"""A site with parts left out is the simulation of the others alone; with all of them its accounts close."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from hpcai.cooling.controllers.controller import Fixed
from hpcai.cooling.controllers.trim_respond import TrimRespond
from hpcai.cooling.interface import READINGS, SETPOINTS, SIDES
from hpcai.cooling.observation import surroundings
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.state import make_cluster
from hpcai.scheduling.gpu_cluster.work import make_workload
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.hall import Hall
from hpcai.simulation.energy.it_power import per_gpu
from hpcai.simulation.faults.outages import Outage
from hpcai.simulation.gpu_cluster.clock import happen, next_time, run_until
from hpcai.simulation.gpu_cluster.replay import outcome_of, replay_cluster
from hpcai.simulation.site.power import LEVELS, sides_of
from hpcai.simulation.site.rules.nodes import FAULT, fail_node, repair_node
from hpcai.simulation.site.setting import PowerRule, ShiftRule, SiteSetting
from hpcai.simulation.site.site import JOBS, OVER, TICK, Site
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs

LONG = 3 * 86400.0
DISCIPLINES = {
    "plain": Discipline(),
    "staggered": Discipline(drain="staggered", storage_gbyte_s=0.5, victims="by-node", grace=120, drain_bound=900),
    "las": Discipline(order="las", preemption="order", quantum=120, tick=300),
}
OUTAGES = [
    Outage(2_000.0, (0,), 3_000.0),
    Outage(4_000.5, (2, 3), 9_000.0),
    Outage(6_000.0, (5,), 500.0),
    Outage(6_100.0, (5, 6), 2_000.0),
]


@pytest.fixture(scope="module")
def weather(tmp_path_factory) -> str:
    """Ten warm days, drawn, as a station would record them."""
    hours = np.arange(10 * 24 + 1)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "time": [(datetime(2023, 7, 1) + timedelta(hours=int(h))).isoformat(timespec="minutes") for h in hours],
            "temperature_2m": 24 + 7 * np.sin(2 * np.pi * (hours - 9) / 24) + rng.normal(0, 0.5, len(hours)),
            "relative_humidity_2m": 60.0,
        }
    )
    path = tmp_path_factory.mktemp("weather") / "july.csv"
    table.to_csv(path, index=False)
    return str(path)


def make(jobs: pd.DataFrame, duration: float = LONG, discipline: Discipline | None = None, **other) -> Site:
    return Site(jobs, SiteSetting(CLUSTER, discipline or Discipline(), duration, **other))


def jobs_of(seed: int = 0, n: int = 120) -> pd.DataFrame:
    return gpu_cluster_jobs(np.random.default_rng(seed), n)


@pytest.mark.parametrize("name", DISCIPLINES)
def test_jobs_alone_are_the_replay(name):
    jobs = jobs_of()
    replayed = replay_cluster(jobs, CLUSTER, DISCIPLINES[name]).jobs
    alone = make(jobs, discipline=DISCIPLINES[name], power=None)
    alone.run()
    watched = make(jobs, discipline=DISCIPLINES[name])  # power is counted, and acts on nothing
    watched.run()
    for site in (alone, watched):
        assert site.outcome()[replayed.columns].equals(replayed)


@pytest.mark.parametrize("name", DISCIPLINES)
def test_faults_are_those_of_the_compiled_clock(name):
    """The compiled clock, stopped at each outage and repair, gives the same jobs to the bit."""
    jobs, discipline = jobs_of(1), DISCIPLINES[name]
    cluster = make_cluster(make_workload(jobs, CLUSTER, discipline), CLUSTER, discipline)
    sockets = cluster.nodes.socket_cpu.copy()
    down: set[int] = set()
    moments = [(outage.time, 1, outage.nodes, outage.repair) for outage in OUTAGES]
    killed = 0
    while moments:
        time, what, nodes, repair = moments.pop(0)
        run_until(cluster, time)
        nodes = tuple(node for node in nodes if (node in down) != (what == 1))
        for node in nodes:
            if what == 1:
                killed += fail_node(cluster, node, time)
            else:
                repair_node(cluster, node, time, sockets)
        down = down | set(nodes) if what == 1 else down - set(nodes)
        happen(cluster, time)
        if what == 1 and nodes:
            moments = sorted([*moments, (time + repair, 0, nodes, 0.0)])
    while next_time(cluster) < np.inf:
        run_until(cluster, np.inf)
        cluster.at[0]["logged"] = 0
    assert killed > 0
    site = make(jobs, discipline=discipline, outages=OUTAGES, power=None)
    site.run()
    expected = outcome_of(cluster)
    assert site.outcome()[expected.columns].equals(expected)
    assert site.faults.struck == len(OUTAGES)
    assert site.faults.down_seconds() == pytest.approx(3_000 + 2 * 9_000 + 500 + 2_000)


def test_nobody_is_on_a_node_that_is_down():
    site = make(jobs_of(2), outages=OUTAGES, power=None)
    fell = 0
    while site.env.peek() <= LONG:
        site.env.step()
        run, work = site.cluster.run, site.cluster.work
        at = site.cluster.at[0]
        for j in site.cluster.running[: at["running"]].tolist():
            nodes = site.cluster.places["node"][work[j]["entries"] : work[j]["entries"] + run[j]["tasks"]]
            assert not site.faults.down[nodes].any()
        fell += int(site.faults.down.any())
    nodes = site.cluster.nodes
    assert fell > 0
    assert np.isfinite(site.cluster.run["ended"]).all()
    assert (nodes.cpu == nodes.cpus).all()
    assert site.cluster.at[0]["free"] == CLUSTER.total_gpus * 1000
    assert (nodes.leaf_gpu == nodes.leaf_gpus).all()
    assert (nodes.holds == 0).all()


def test_crews_repair_one_after_the_other():
    one, all_at_once = (make(jobs_of(3, 30), outages=OUTAGES, power=None, crews=crews) for crews in (1, None))
    for site in (one, all_at_once):
        site.run()
    assert one.faults.down_seconds() > all_at_once.faults.down_seconds()


def test_what_a_fault_takes_is_noted_and_done_again():
    log = []
    site = make(jobs_of(1), outages=OUTAGES, power=None)
    tell = site.flow._count
    site.flow._count = lambda entries: (log.append(entries.copy()), tell(entries))[1]
    site.run()
    entries = np.concatenate(log)
    by_fault = entries[entries["by"] == FAULT]
    assert site.flow.killed == len(by_fault) > 0
    out = site.outcome()
    assert (out["stops"].to_numpy()[np.unique(by_fault["job"])] > 0).any()
    balance = out["executed"] - out["undone"] - out["work"]
    assert np.abs(balance).max() < 1e-9 * out["work"].max()


@pytest.mark.parametrize("controller", [Fixed(), Fixed(supply=20.0), TrimRespond()])
def test_the_plant_reads_as_a_hall_under_the_same_load(weather, controller):
    """What the machines drew, played through hpcai.simulation.cooling.hall, gives the same readings to the bit."""
    case = CoolingCase(weather=weather, preset="mn-1")
    site = make(jobs_of(), 86400.0, cooling=case, controller=controller, control_every=1, weather_begin=86400.0)
    site.run()
    table, hall = site.timeline.table(), site.hall
    sky = hall.weather.at(60.0)
    load = np.zeros((len(sky.frame), len(SIDES)))
    load[: len(hall.loads)] = hall.loads
    known = surroundings(sky.arrays(), load, 60.0, hall.weather.start)
    alone = Hall(hall.case.plant_under(sky), known, load, hall.weather.start).play(controller, 0, len(table))
    assert (table[[f"plant_{point.name}" for point in READINGS]].to_numpy() == alone.readings).all()
    told = table[[f"set_{point.name}" for point in SETPOINTS]].to_numpy()
    assert np.array_equal(told, alone.setpoints, equal_nan=True)
    assert np.ptp(hall.loads) > 0.05


def test_the_weather_is_that_of_the_file(weather):
    case = CoolingCase(weather=weather, preset="mn-1", step_minutes=1)
    site = make(jobs_of(0, 20), 7200.0, cooling=case, weather_begin=2 * 86400.0)
    whole = case.read_weather().at(60.0).frame.iloc[2 * 1440 : 2 * 1440 + 120]
    assert np.allclose(site.hall.weather.at(60.0).frame["dry_bulb"][:120], whole["dry_bulb"], atol=1e-9)
    assert site.hall.weather.start == datetime(2023, 7, 3)


def test_a_load_that_is_told_takes_the_place_of_the_machines(weather):
    load = np.full((60, 2), 0.3)
    case = CoolingCase(weather=weather, preset="mn-1")
    site = make(jobs_of(0, 20), 3600.0, cooling=case, load=load)
    site.run()
    assert (site.hall.loads == load).all()
    assert site.timeline.table()["it_east"].max() > 0


def everything(weather: str, seed: int = 1, **other) -> Site:
    carbon = pd.DataFrame({"time": 3600.0 * np.arange(24 * 12), "value": 300 + 200 * np.sin(np.arange(24 * 12) / 4)})
    signal = GridSignal("drawn", "carbon", "gCO2/kWh", carbon, 3600.0)
    return make(
        jobs_of(seed),
        2 * 86400.0,
        outages=[*OUTAGES, Outage(15_000.0, (0, 4, 5), 3_000.0)],
        cooling=CoolingCase(weather=weather, preset="mn-1"),
        power=PowerRule(limit=0.8, long_limit=0.6, ease=2, budget=0.6, throttle_from=20.0, throttle_to=28.0),
        carbon=signal,
        shift=ShiftRule(by="carbon", least=0.0),
        **other,
    )


def test_the_accounts_close_with_everything_coupled(weather):
    site = everything(weather)
    site.run()
    table, out = site.timeline.table(), site.outcome()
    drawn = (table["it_east"] + table["it_west"]).sum() * 60.0
    hvac, whole = table["hvac"].sum() * 60.0, table["site"].sum() * 60.0
    assert site.totals.it == pytest.approx(drawn, rel=1e-9)
    assert site.totals.hvac == pytest.approx(hvac, rel=1e-9)
    assert site.totals.site == pytest.approx(whole, rel=1e-9)
    assert whole > drawn + hvac
    share = (table["of_jobs"] / (table["it_east"] + table["it_west"])).to_numpy()
    assert out["energy"].sum() == pytest.approx(float((table["site"] * share).sum()) * 60.0, rel=1e-9)
    kg = float((table["site"] * table["carbon"]).sum()) * 60.0 / 3.6e9
    assert site.totals.carbon == pytest.approx(kg, rel=1e-9)
    ended = out["end"].notna()
    balance = (out["executed"] - out["undone"] - out["work"])[ended]
    assert np.abs(balance).max() < 1e-9 * out["work"].max()
    limits = table[["limit_east", "limit_west"]].to_numpy()
    assert np.isin(limits, LEVELS).all()
    assert limits.min() < 0.8
    assert table["held"].max() > 0
    assert table["killed"].iloc[-1] > 0


def test_the_machines_draw_what_their_jobs_do():
    """Without limits: idle power, and of each job what it adds per GPU and second that it holds."""
    jobs = jobs_of(4)
    jobs = jobs[(jobs["gpu_kind"] != "") & (jobs["gpus"] >= 1) & (jobs["kind"] != "elastic")].reset_index(drop=True)
    site = make(jobs)
    site.run()
    adds, _ = per_gpu(jobs, CLUSTER)
    expected = site.power.model.idle * LONG + float(adds @ site.outcome()["attained"])
    assert site.totals.it == pytest.approx(expected, rel=1e-9)


def limitable(count: int) -> pd.DataFrame:
    """Return jobs that begin at once, each on a node of V100, and draw more than half of what their GPUs can."""
    jobs = jobs_of(5, 40).assign(gpus=8.0, pods=1, kind="batch", qos="normal", gpu_kind="V100", model="", submit=0.0)
    jobs = jobs.assign(busy=1.0)
    slowed = make(jobs).power.speed_under(0.5)[:, 1] < 0.99
    return jobs[slowed].iloc[:count].reset_index(drop=True)


def test_a_limit_saves_power_and_slows_jobs_by_the_measured_curve():
    jobs = limitable(1)
    free, limited = (make(jobs, power=PowerRule(limit=limit)) for limit in (1.0, 0.5))
    for site in (free, limited):
        site.run()
    speed = float(limited.power.speed_under(0.5)[0, 1])
    ran = [float(site.outcome()["end"][0] - site.outcome()["start"][0]) for site in (free, limited)]
    assert ran[1] == pytest.approx(ran[0] / speed, rel=1e-9)
    assert speed < 1
    assert limited.totals.it < free.totals.it


def test_long_jobs_are_limited_and_short_ones_are_not():
    two = limitable(2).assign(run_time=[3000.0, 9000.0], requested_time=[3000.0, 9000.0])
    sites = [make(two, power=PowerRule(**rule)) for rule in ({}, {"long_limit": 0.5}, {"limit": 0.5})]
    for site in sites:
        site.run()
    free, long, both = (site.outcome()["end"] - site.outcome()["start"] for site in sites)
    assert long[0] == free[0] < both[0]
    assert long[1] == pytest.approx(both[1], rel=1e-9)
    assert long[1] > 1.01 * free[1]
    it = [site.totals.it for site in sites]
    assert it[2] < it[1] < it[0]


def test_limits_on_long_jobs_are_eased_while_others_wait():
    rule = {"long_limit": 0.5, "long_from": 0.0}
    sites = [make(jobs_of(6), power=PowerRule(**rule, ease=ease)) for ease in (None, 1e-6)]
    for site in sites:
        site.run()
    firm, eased = (site.timeline.table() for site in sites)
    assert (firm["limit_east"] == 0.5).all()
    assert set(eased["limit_east"]) == {0.5, 1.0}
    assert (eased["limit_east"] == 0.5)[eased["running"] == 0].all()


def test_a_budget_is_kept_where_limits_can_keep_it():
    free = make(jobs_of(6))
    free.run()
    total = free.power.most_sides.sum()
    peak = (free.timeline.table()[["it_east", "it_west"]].sum(axis=1) / total).max()
    idle = free.power.idle_sides.sum() / total
    budget = idle + 0.8 * (peak - idle)
    kept = make(jobs_of(6), power=PowerRule(budget=budget))
    kept.run()
    table = kept.timeline.table()
    watts, limit = table[["it_east", "it_west"]].sum(axis=1) / total, table["limit_east"]
    above = (watts > budget + 1e-9) & (limit > LEVELS[0]) & (limit.shift(1) > LEVELS[0])
    assert above.mean() < 0.02  # within the tick in which jobs start
    assert limit.min() < 1


def test_warm_inlets_throttle(weather):
    case = CoolingCase(weather=weather, preset="mn-1")
    hot = {"cooling": case, "controller": Fixed(supply=30.0)}
    cool = make(jobs_of(), 86400.0, **hot)
    throttled = make(jobs_of(), 86400.0, power=PowerRule(throttle_from=26.0, throttle_to=36.0), **hot)
    for site in (cool, throttled):
        site.run()
    table = throttled.timeline.table()
    assert table["limit_east"].iloc[60:].max() < 1
    assert (cool.timeline.table()["limit_east"] == 1).all()
    assert throttled.totals.it < cool.totals.it


def test_who_is_held_back_starts_by_its_deadline(weather):
    site = everything(weather)
    site.run()
    plain = make(jobs_of(1), 2 * 86400.0)
    plain.run()
    later = site.outcome()["start"] - plain.outcome()["start"]
    assert later.max() > 3600
    assert site.outcome()["start"].notna().all()


def test_it_stands_where_it_is_asked_to(weather):
    site = Site(jobs_of(), SiteSetting(CLUSTER, Discipline(), 7200.0, control_every=1), asks_jobs=True, asks_ticks=True)
    why = []
    while (each := site.advance()) != OVER:
        why.append(each)
    assert why.count(TICK) == 120
    assert JOBS in why
    assert site.cluster.at[0]["now"] <= 7200.0
    plain = make(jobs_of(), 7200.0)
    plain.run()
    site.finish()
    assert site.outcome().equals(plain.outcome())


def test_a_sink_gets_the_timeline_in_chunks(weather):
    parts: list[np.ndarray] = []
    site = Site(jobs_of(), SiteSetting(CLUSTER, Discipline(), 86400.0 + 600), sink=parts.append)
    site.run()
    assert [len(part) for part in parts] == [1440, 10]
    assert site.timeline.table().empty


def test_the_same_seed_gives_the_same_site(weather):
    first, second = everything(weather), everything(weather)
    for site in (first, second):
        site.run()
    assert first.timeline.table().equals(second.timeline.table())
    assert first.outcome().equals(second.outcome())


def test_sides():
    assert (sides_of(CLUSTER) == [[1, 0], [0, 1]]).all()
    assert (sides_of(CLUSTER, {"p": "west", "v": "west"}) == [[0, 1], [0, 1]]).all()
    with pytest.raises(InputError, match="node group 'v'"):
        sides_of(CLUSTER, {"p": "west"})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"duration": 90.0}, "multiple of the tick"),
        ({"load": np.zeros((3, 2))}, "load: expected shape"),
        ({"shift": ShiftRule(by="price")}, "shift by price"),
        ({"outages": [Outage(1.0, (99,), 1.0)]}, "expected 0 to 7"),
    ],
)
def test_what_contradicts_itself_is_said_in_one_line(other, says):
    with pytest.raises(InputError, match=says):
        make(jobs_of(0, 5), **({"duration": 3600.0} | other))

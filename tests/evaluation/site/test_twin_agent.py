"""A site that is ruled by what was learned: ``agent`` of ``hpcai twin run``, and the environment it is learned in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpcai.cooling.action import Actions
from hpcai.cooling.interface import SETPOINTS
from hpcai.errors import InputError
from hpcai.evaluation.site.config import merged, site_config
from hpcai.evaluation.site.evaluate import simulate
from hpcai.evaluation.site.inputs import prepare
from hpcai.simulation.site.action import names, numbers_of, parted
from hpcai.simulation.site.observation import seen, seen_names
from hpcai.simulation.site.ruler import RULER_FILE, Learned, RulerMeta, read_ruler
from hpcai.simulation.site.site import Site
from hpcai_envs.operations import OperationsEnv
from tests.cooling_weather import write_epw

POINTS = {"east_supply": 24.0, "west_supply": 23.0, "east_airflow": 0.6, "west_airflow": 0.5}
POINTS |= {"chilled_water": 11.0, "economizer": 1.0}


def fields(folder: Path, cooled: bool = True, **other: Any) -> dict[str, Any]:
    """Return a site of three hours with several things to do and to cool."""
    base: dict[str, Any] = {"jobs": {"trace": "mn-1-day.parquet", "begin_days": 0.25}, "machine": "mn-1"}
    base |= {"days": 0.125, "seed": 5, "name": "ruled"}
    if cooled:
        weather = folder / "weather.epw"
        if not weather.is_file():
            write_epw(weather)
        base["cooling"] = {"weather": str(weather), "start": "07-02"}
    return merged(base, other)


def network(
    decides: tuple[str, ...], cooled: bool, begin: dict[str, float], spread: float = 0.0, scheme: str = "simple"
) -> Learned:
    """Return a linear network about ``begin``, whose weights are drawn."""
    known, seen = names(decides, Actions(scheme)), seen_names(cooled)
    matrix = np.random.default_rng(0).normal(0.0, spread, (len(known), len(seen))).astype(np.float32)
    bias = numbers_of(begin, decides, Actions(scheme)).astype(np.float32)
    meta = RulerMeta(squash="clip", layers=1, decides=decides, actions=scheme, observed=seen)
    return Learned(meta, [(matrix, bias)])


def saved(ruler: Learned, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / RULER_FILE).write_bytes(ruler.packed())
    return str(folder)


def test_an_agent_that_says_what_holds_changes_nothing(tmp_path: Path) -> None:
    """Limits of 1 and the setpoints of a fixed controller: the same site to the bit."""
    told = Actions().setpoints(numbers_of(POINTS, ("cooling",), Actions())).tolist()
    fixed = {"kind": "fixed", "points": {point.name: value for point, value in zip(SETPOINTS, told, strict=True)}}
    plain = {"cooling": {"controller": fixed}}
    without = simulate(site_config(fields(tmp_path, **plain), "here"))
    ruler = network(("power", "cooling", "admission"), True, POINTS)
    agent = {"agent": saved(ruler, tmp_path / "agent")}
    ruled = simulate(site_config(fields(tmp_path, **plain, **agent), "here"))
    assert ruled.timeline.equals(without.timeline)
    assert ruled.jobs.equals(without.jobs)
    assert ruled.prepared.sha256.keys() - without.prepared.sha256.keys() == {agent["agent"]}
    assert "agent" not in without.config.as_dict()
    cold = network(("cooling",), True, POINTS | {"east_supply": 18.0, "west_supply": 18.0})
    colder = simulate(site_config(fields(tmp_path, **plain, agent=saved(cold, tmp_path / "agent")), "here"))
    assert colder.metrics["hvac"] > 1.02 * without.metrics["hvac"]


@pytest.mark.parametrize("cooled", [True, False])
def test_a_network_rules_the_twin_as_it_rules_the_environment(tmp_path: Path, cooled: bool) -> None:
    decides = ("power", "cooling", "admission") if cooled else ("admission", "power")
    ruler = network(decides, cooled, {"limit": 0.8, "long_limit": 0.7, "admission": 1.0}, spread=0.1)
    given = fields(tmp_path, cooled, shift={"by": "carbon"}, carbon=str(a_signal(tmp_path)))
    env = OperationsEnv(given, decides=decides)
    start = {"start": "07-02"} if cooled else {}
    observation, _ = env.reset(options={"seed": 5, "begin_days": 0.25} | start)
    said, over = [], False
    while not over:
        flat = np.concatenate([observation[name] for name in ("site", "hall") if name in observation])
        assert env.site is not None
        assert (flat == seen(env.site)).all()
        matrix, bias = ruler.weights[0]
        said.append(np.clip(matrix @ flat + bias, -1.0, 1.0))
        observation, _, _, over, _ = env.step(parted(said[-1].astype(np.float64), decides, Actions()))
    assert np.ptp(np.array(said), axis=0).max() > 0.1
    prepared = prepare(site_config(given | {"agent": saved(ruler, tmp_path / "agent")}, "here"))
    assert prepared.setting.shift is None
    twin = Site(prepared.jobs, prepared.setting)
    twin.run()
    assert env.site is not None
    assert twin.outcome().equals(env.site.outcome())
    assert (twin.totals.site, twin.totals.carbon) == (env.site.totals.site, env.site.totals.carbon)
    assert twin.timeline.table()[["limit_east", "held"]].nunique().min() > 1


def a_signal(folder: Path) -> Path:
    """Write carbon intensities of a year by the hour."""
    time = pd.date_range("2023-01-01T00:00:00Z", periods=366 * 24, freq="h")
    values = 400 + 100 * np.sin(2 * np.pi * np.arange(len(time)) / 24)
    path = folder / "carbon.csv"
    table = pd.DataFrame({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "carbon_intensity": values})
    table.to_csv(path, index=False)
    return path


def test_agents_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    folder = saved(network(("power",), True, {}), tmp_path / "agent")
    with pytest.raises(InputError, match="expected a site with a plant, as it was taught on, found one with no plant"):
        prepare(site_config(fields(tmp_path, cooled=False, agent=folder), "here"))
    with pytest.raises(InputError, match="agent nowhere: expected the folder of 'hpcai train site'"):
        prepare(site_config(fields(tmp_path, agent="nowhere"), "here"))
    short = network(("power",), True, {})
    matrix, bias = short.weights[0]
    saved(Learned(short.meta, [(matrix[:, :-1], bias)]), tmp_path / "agent")
    with pytest.raises(InputError, match="expected layers that fit one another"):
        read_ruler(folder)
    saved(Learned(short.meta, [(matrix[:1], bias[:1])]), tmp_path / "agent")
    with pytest.raises(InputError, match="expected 2 outputs, found 1"):
        read_ruler(folder)
    other = short.meta.model_copy(update={"observed": ("waiting",)})
    saved(Learned(other, short.weights), tmp_path / "agent")
    with pytest.raises(InputError, match="features of this version"):
        read_ruler(folder)
    (Path(folder) / RULER_FILE).write_text("no network")
    with pytest.raises(InputError, match="expected a site policy network"):
        read_ruler(folder)

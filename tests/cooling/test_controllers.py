"""Controllers without a model: fixed, by the hour, by feedback, by rules, and learned."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import Fixed, named
from hpcai.cooling.controllers.learned import Learned, PolicyMeta, PolicyNetwork, packed, read_network
from hpcai.cooling.controllers.pid import Pid
from hpcai.cooling.controllers.schedule import Schedule
from hpcai.cooling.controllers.trim_respond import TrimRespond
from hpcai.cooling.interface import OWN, SETPOINT_INDEX, SETPOINTS, Floats, simple
from hpcai.cooling.observation import OBSERVED, OBSERVED_INDEX, Scaling
from hpcai.errors import InputError


def seen(**values: float) -> Floats:
    """Return an observation, zero but for what is named."""
    observation = np.zeros(len(OBSERVED))
    for name, value in values.items():
        observation[OBSERVED_INDEX[name]] = value
    return observation


def at_hour(hour: float) -> Floats:
    return seen(hour_sin=np.sin(hour * np.pi / 12), hour_cos=np.cos(hour * np.pi / 12))


def point(setpoints: Floats, name: str) -> float:
    return float(setpoints[SETPOINT_INDEX[name]])


def test_names_stand_for_both_sides_and_all_stages() -> None:
    np.testing.assert_array_equal(named({"supply": 22.0, "airflow": 0.5}), simple(22.0, 0.5))
    np.testing.assert_array_equal(Fixed().setpoints(seen()), OWN)
    told = Fixed(supply=22.0, west_supply=24.0).setpoints(seen())
    assert (point(told, "east_supply"), point(told, "west_supply")) == (22.0, 24.0)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"suply": 22.0}, "setpoint 'suply': expected one of supply, airflow, east_dec"),
        ({"supply": 60.0}, "setpoint supply 60 °C: expected 10 to 35"),
        ({"airflow": float("nan")}, "setpoint airflow nan 1: expected 0.25 to 1"),
    ],
)
def test_impossible_points_are_refused(points: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fixed(**points)


def test_a_schedule_changes_at_its_hours() -> None:
    schedule = Schedule({6.0: {"supply": 22.0}, 18.0: {"supply": 25.0}})
    supplies = {
        hour: point(schedule.setpoints(at_hour(hour)), "east_supply") for hour in (0, 5.75, 6, 17.75, 18, 23.75)
    }
    assert supplies == {0: 25.0, 5.75: 25.0, 6: 22.0, 17.75: 22.0, 18: 25.0, 23.75: 25.0}
    with pytest.raises(InputError, match=r"schedule with hours \[24\.0\]"):
        Schedule({24.0: {"supply": 22.0}})


def test_pid_moves_air_with_the_error_and_stays_within_bounds() -> None:
    pid = Pid(target=25.0, supply=22.0, proportional=0.1, integral=0.05, derivative=0.0)
    flows = [point(pid.setpoints(seen(east_inlet=24.0, west_inlet=26.0)), "east_airflow") for _ in range(40)]
    assert flows[0] == pytest.approx(0.95)  # the integral part alone, as the error has not changed
    assert flows[1] == pytest.approx(0.90)
    assert flows[-1] == 0.25
    warmer = pid.setpoints(seen(east_inlet=26.0, west_inlet=26.0))
    assert point(warmer, "east_airflow") == pytest.approx(0.25 + 0.1 * 2 + 0.05)
    assert point(warmer, "west_airflow") == 1.0
    pid.reset()
    assert point(pid.setpoints(seen(east_inlet=25.0, west_inlet=25.0)), "east_airflow") == 1.0


def test_rules_trim_until_requests_come_and_then_respond() -> None:
    rules = TrimRespond(limit=26.0, band=0.25)
    quiet = seen(east_inlet=20.0, west_inlet=20.0, east_supply=18.0, west_supply=18.0, east_zone=30.0, west_zone=30.0)
    first, second = rules.setpoints(quiet), rules.setpoints(quiet)
    assert point(second, "east_supply") - point(first, "east_supply") == pytest.approx(0.1)
    assert point(second, "east_airflow") - point(first, "east_airflow") == pytest.approx(-0.01)
    hot = quiet.copy()
    hot[OBSERVED_INDEX["east_inlet"]] = 26.4  # two requests
    third = rules.setpoints(hot)
    assert point(third, "east_supply") - point(second, "east_supply") == pytest.approx(-0.6)
    assert point(third, "east_airflow") - point(second, "east_airflow") == pytest.approx(0.06)
    assert point(third, "west_supply") - point(second, "west_supply") == pytest.approx(0.1)
    assert point(third, "east_dec") == point(third, "east_supply")
    far = quiet.copy()
    far[OBSERVED_INDEX["east_inlet"]] = 40.0
    assert point(rules.setpoints(far), "east_supply") - point(third, "east_supply") == pytest.approx(-1.5)


def test_rules_close_the_economizer_when_it_is_warmer_outdoors_than_the_air_that_returns() -> None:
    rules = TrimRespond()
    cool = rules.setpoints(seen(dry_bulb=20.0, east_zone=30.0, west_zone=28.0))
    warm = rules.setpoints(seen(dry_bulb=29.0, east_zone=30.0, west_zone=28.0))
    assert (point(cool, "economizer"), point(warm, "economizer")) == (1.0, 0.0)


def test_actions_cover_their_ranges_and_go_back() -> None:
    rng = np.random.default_rng(0)
    for actions in (Actions("simple"), Actions("staged"), Actions("stages")):
        for _ in range(20):
            action = rng.uniform(-1.0, 1.0, actions.size)
            told = actions.setpoints(action)
            np.testing.assert_allclose(actions.setpoints(actions.action(told)), told)
            np.testing.assert_allclose(actions.action(told), action, atol=0.1)  # half a step of the grid at most
            known = told[~np.isnan(told)]
            low = np.array([p.low for p in SETPOINTS])[~np.isnan(told)]
            high = np.array([p.high for p in SETPOINTS])[~np.isnan(told)]
            assert ((known >= low) & (known <= high)).all()
    assert Actions("simple").size == 6
    staged = Actions("staged").setpoints(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.6]))
    assert point(staged, "west_supply") == pytest.approx(point(staged, "west_iec") + 0.3)
    assert Actions("stages").names[:5] == ("east_dec", "east_iec", "east_coil", "east_supply", "east_airflow")
    assert np.isnan(Actions("stages").setpoints(np.zeros(10))[-2:]).all()
    with pytest.raises(InputError, match="actions 'all': expected simple or staged or stages"):
        Actions("all")  # type: ignore[arg-type]


def a_network(actions: str = "simple", outputs: int = 6) -> PolicyNetwork:
    rng = np.random.default_rng(1)
    sizes = (len(OBSERVED), 8, outputs)
    weights = [
        (rng.normal(size=(out, into)).astype(np.float32), rng.normal(size=out).astype(np.float32))
        for into, out in itertools.pairwise(sizes)
    ]
    meta = PolicyMeta(actions=actions, squash="tanh", design_power=1e5, layers=2)  # type: ignore[arg-type]
    return PolicyNetwork(meta, weights)


def test_a_network_is_the_same_after_a_file(tmp_path: Path) -> None:
    network = a_network()
    (tmp_path / "policy.npz").write_bytes(packed(network))
    observation = np.random.default_rng(2).uniform(0, 40, len(OBSERVED))
    told = Learned(network).setpoints(observation)
    np.testing.assert_array_equal(Learned(read_network(tmp_path / "policy.npz")).setpoints(observation), told)
    (matrix, bias), (last, end) = network.weights
    hidden = np.maximum(matrix @ Scaling(1e5)(observation) + bias, 0)
    np.testing.assert_allclose(told, Actions("simple").setpoints(np.tanh(last @ hidden + end)), rtol=1e-6)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    path.write_text("no arrays")
    with pytest.raises(InputError, match="expected a cooling policy network"):
        read_network(path)
    path.write_bytes(packed(a_network(outputs=5)))
    with pytest.raises(InputError, match="expected 6 outputs, found 5"):
        read_network(path)
    network = a_network()
    other = network.meta.model_copy(update={"observed": ("temperature",)})
    path.write_bytes(packed(PolicyNetwork(other, network.weights)))
    with pytest.raises(InputError, match="features of this version"):
        read_network(path)

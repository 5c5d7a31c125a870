"""Evolution of small networks: judged in machine code as they are played, and better than they began."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.learned import Learned
from hpcai.cooling.interface import READINGS, Floats
from hpcai.cooling.observation import SURROUNDINGS, Scaling
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import controller_config
from hpcai.evaluation.cooling.metrics import summary
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.evolution import Ground
from hpcai.learning.cooling.imitation import Shown, fitted, imitated
from hpcai.learning.cooling.shape import FEATURES, Shape
from hpcai.learning.cooling.training import train_cooling
from tests.cooling_weather import write_epw

RATE = [point.name for point in SURROUNDINGS].index("rate")


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def a_training(weather: str, out: Path, **settings: object) -> CoolingTraining:
    fields: dict[str, object] = {
        "method": "evolution",
        "weather": weather,
        "reward": {"energy": "hvac", "scale": 0.05, "hot_weight": 8.0, "cold_weight": 1.0},
        "learner": {"hidden": [4]},
        "evolution": {"generations": 8, "population": 16, "sigma": 0.05, "days": 4, "validation_days": 6},
        "begin": {"supply": 23.5, "airflow": 0.4, "chilled_water": 8.0, "economizer": 0.9},
        "out": str(out),
    }
    return CoolingTraining.model_validate(fields | settings)


@pytest.mark.parametrize("actions", ["simple", "staged", "stages"])
def test_machine_code_judges_a_network_as_it_is_played(weather: str, tmp_path: Path, actions: str) -> None:
    config = a_training(weather, tmp_path, actions=actions)
    hall = config.case(weather).open()
    shape = Shape(4, Actions(config.actions), hall.plant.design_power)
    weights = shape.begin(config.begin, 0) + np.random.default_rng(0).normal(0.0, 0.3, shape.size)
    days = [20, 200]
    cost = Ground(config, hall, shape).cost(weights, days, 2)
    costs: list[float] = []
    for day in days:
        record = hall.play(Learned(shape.network(weights)), day * 96, 2 * 96)
        rates = hall.surroundings[day * 96 : (day + 2) * 96, RATE]
        for readings, rate in zip(record.readings, rates, strict=True):
            hot, cold = config.reward.beyond(readings)
            costs.append(config.reward.cost(readings, hall.plant.design_power, float(rate)) + 8.0 * hot + 1.0 * cold)
    assert cost == pytest.approx(np.mean(costs), rel=2e-3)  # weights of single precision meet the grid


def test_it_begins_with_the_setpoints_it_is_told(weather: str, tmp_path: Path) -> None:
    config = a_training(weather, tmp_path)
    shape = Shape(4, Actions("simple"), 1e5)
    network = Learned(shape.network(shape.begin(config.begin, 0)))
    seen: Floats = np.random.default_rng(0).uniform(0, 30, len(READINGS) + len(SURROUNDINGS))
    told = Actions().action(network.setpoints(seen))
    np.testing.assert_allclose(Actions().values(told), [23.5, 23.5, 0.4, 0.4, 8.0, 0.9], rtol=1e-5)


def test_a_fit_tells_what_it_was_shown() -> None:
    shape = Shape(4, Actions("simple"), 1e5)
    rng = np.random.default_rng(0)
    teacher = shape.begin({"supply": 22.0}, 1) + rng.normal(0.0, 0.3, shape.size)
    seen = rng.uniform(-1, 1, (2000, len(FEATURES)))

    def tells(weights: Floats) -> Floats:
        net = shape.perceptron(weights)
        return np.tanh(np.tanh(seen @ net.first.T + net.first_bias) @ net.last.T + net.last_bias)

    beginning = shape.begin({"supply": 20.0}, 0)
    learned = fitted(shape, beginning, seen, tells(teacher), 0)
    before, after = (np.abs(tells(weights) - tells(teacher)).mean() for weights in (beginning, learned))
    assert after < 0.1 * before


def test_imitation_brings_a_network_near_predictive_control(weather: str, tmp_path: Path) -> None:
    config = a_training(weather, tmp_path, evolution={"imitate": 6})
    hall = config.case(weather).open()
    shape = Shape(4, Actions("simple"), hall.plant.design_power)
    beginning = shape.begin(config.beginning, 0)
    learned = imitated(config, [hall], shape, beginning)
    teacher = Shown(config, hall)
    hall.play(teacher, 200 * 96, 96)  # a day that it was not shown
    supply = [
        np.mean([abs(shape.network(weights).action(Scaling(hall.plant.design_power)(seen))[0] - done[0])
                 for seen, done in zip(teacher.seen, teacher.done, strict=True)])
        for weights in (beginning, learned)
    ]  # fmt: skip
    assert supply[1] < 0.7 * supply[0]


def test_evolution_betters_what_it_began_with(weather: str, tmp_path: Path) -> None:
    config = a_training(weather, tmp_path / "run")
    trained = train_cooling(config)
    rows = list(csv.DictReader((tmp_path / "run" / "curves.csv").read_text().splitlines()))
    assert float(rows[0]["score"]) == 1.0
    assert trained.best == pytest.approx(min(float(row["score"]) for row in rows), abs=1e-6)
    hall = config.case(weather).open()
    begun = controller_config({"kind": "fixed", "points": config.begin}, "begun").make()
    learned = controller_config(str(tmp_path / "run"), "learned").make()
    week = [summary(hall.play(controller, 200 * 96, 7 * 96)) for controller in (learned, begun)]
    assert week[0]["hvac_kwh"] < 0.98 * week[1]["hvac_kwh"]
    assert week[0]["hot_degree_hours"] < 0.5


def test_a_seed_repeats_it(weather: str, tmp_path: Path) -> None:
    short = {"generations": 2, "population": 6, "days": 2, "validation_days": 2, "validate_every": 1}
    for name, workers in (("one", 1), ("two", 2)):
        train_cooling(a_training(weather, tmp_path / name, evolution=short | {"workers": workers}))
    one, two = ((tmp_path / name / "curves.csv").read_text() for name in ("one", "two"))
    assert one == two


def test_it_needs_the_fast_plant(building: Path, chicago: Path, tmp_path: Path) -> None:
    config = a_training(str(chicago), tmp_path, plant="energyplus", model=str(building))
    with pytest.raises(InputError, match="method evolution: expected plant 'fast'"):
        train_cooling(config)

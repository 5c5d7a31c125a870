"""Looking ahead with the fast plant: predictions, control by them, and the shield."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.controllers.predictive import Predictive
from hpcai.cooling.controllers.shield import Shield
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import READING_INDEX, READINGS, Floats, simple
from hpcai.evaluation.cooling.metrics import inlets, summary
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.hall import Hall
from tests.cooling_weather import write_epw

JULY, DAY = 190 * 96, 96


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Hall:
    return CoolingCase(weather=str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))).open()


def test_a_prediction_is_what_the_plant_then_does(hall: Hall) -> None:
    foresight = Foresight(pressure=99_500.0)
    setpoints = simple(23.0, 0.6, 8.0, 1.0)
    observation = hall.begin(JULY)
    for _ in range(12):
        observation = hall.step(setpoints)
        foresight.observe(observation)
    predicted = foresight.predict(setpoints[None])[0, 0]
    happened = hall.step(setpoints)[: len(READINGS)]
    at_inlets = [READING_INDEX["east_inlet"], READING_INDEX["west_inlet"]]
    np.testing.assert_allclose(predicted[at_inlets], happened[at_inlets], atol=0.3)
    assert predicted[READING_INDEX["hvac"]] == pytest.approx(happened[READING_INDEX["hvac"]], rel=0.15)


def test_a_prediction_depends_on_its_candidate(hall: Hall) -> None:
    foresight = Foresight()
    foresight.observe(hall.begin(JULY))
    readings = foresight.predict(np.array([simple(20.0, 0.6), simple(26.0, 0.6)]))
    assert readings.shape == (2, 4, len(READINGS))
    warmer = readings[1, -1, READING_INDEX["east_inlet"]] - readings[0, -1, READING_INDEX["east_inlet"]]
    assert 4.0 < warmer < 7.0


def test_the_load_of_the_day_before_is_expected_again(hall: Hall) -> None:
    foresight = Foresight(horizon=2)
    setpoints = simple(23.0, 0.6)
    observation = hall.begin(JULY)
    warned = []
    for step in range(DAY + 40):
        foresight.observe(observation)
        warned.append(foresight.predict(setpoints[None])[0, 0, READING_INDEX["it"]])
        observation = hall.step(setpoints)
        if step in (DAY + 31, DAY + 32):  # the load rises at 8:00, of which readings tell a step later
            assert warned[-1] == pytest.approx(observation[READING_INDEX["it"]], rel=0.01)
    assert warned[32] < 0.8 * warned[DAY + 32]  # on the first day it came as a surprise


def test_predictive_control_needs_less_than_fixed_setpoints_and_keeps_the_limit(hall: Hall) -> None:
    def second_day(controller: Controller) -> dict[str, float]:
        record = hall.play(controller, JULY, 2 * DAY)  # of the first it learns when the load comes
        return summary(
            replace(record, steps=record.steps[DAY:], readings=record.readings[DAY:], setpoints=record.setpoints[DAY:])
        )

    of_mpc = second_day(Predictive(Foresight(pressure=99_500.0)))
    every = [
        second_day(Fixed(supply=supply, airflow=airflow))
        for supply in (23.0, 24.0, 25.0, 26.0, 26.5)
        for airflow in (0.3, 0.4, 0.55, 0.7)
    ]
    best = min(of["hvac_kwh"] for of in every if of["hot_minutes"] == 0.0)
    assert of_mpc["hot_degree_hours"] < 0.1
    assert of_mpc["hvac_kwh"] < 0.98 * best


def test_the_shield_leaves_harmless_setpoints_alone(hall: Hall) -> None:
    shield = Shield(Fixed(supply=22.0, airflow=0.7), Foresight(horizon=2))
    record = hall.play(shield, JULY, DAY)
    np.testing.assert_array_equal(record.setpoints, np.broadcast_to(simple(22.0, 0.7), record.setpoints.shape))
    assert (shield.moved, shield.fallen_back) == (0, 0)
    own = hall.play(Shield(Fixed(), Foresight()), JULY, 8)
    assert np.isnan(own.setpoints).all()


def test_the_shield_takes_the_heat_out_of_harmful_ones(hall: Hall) -> None:
    bare = hall.play(Fixed(supply=27.5, airflow=0.3), JULY, DAY)
    shield = Shield(Fixed(supply=27.5, airflow=0.3), Foresight(horizon=2))
    guarded = hall.play(shield, JULY, DAY)
    assert summary(bare)["hot_degree_hours"] > 5.0
    assert summary(guarded)["hot_degree_hours"] < 0.05 * summary(bare)["hot_degree_hours"]
    assert shield.moved > DAY / 2
    assert summary(guarded)["hvac_kwh"] < summary(hall.play(Fixed(supply=22.0, airflow=0.8), JULY, DAY))["hvac_kwh"]


def test_what_the_shield_falls_back_to_stays_cool_however_long_it_is_not_needed(hall: Hall) -> None:
    class SometimesHot(Fixed):
        """Cool setpoints but for three steps a day."""

        def __init__(self) -> None:
            super().__init__(supply=20.0, airflow=0.8)
            self.steps = 0

        def setpoints(self, observation: Floats) -> Floats:
            self.steps += 1
            return simple(28.0, 0.25) if self.steps % DAY in (60, 61, 62) else self.points

    guarded = hall.play(Shield(SometimesHot(), Foresight(horizon=2)), JULY, 3 * DAY)
    assert inlets(hall.play(SometimesHot(), JULY, 3 * DAY).readings).max() > 28.0
    assert inlets(guarded.readings).max() < 27.0


def test_a_model_that_is_off_by_the_same_is_corrected(hall: Hall) -> None:
    class Cooler(Foresight):
        """A model that takes the inlets for 3 K cooler than they are."""

        def predict(self, candidates: Floats) -> Floats:
            readings = super().predict(candidates)
            readings[..., [READING_INDEX["east_inlet"], READING_INDEX["west_inlet"]]] -= 3.0
            return readings

    shield = Shield(Fixed(supply=27.5, airflow=0.3), Cooler(horizon=2))
    record = hall.play(shield, JULY, DAY)
    assert not shield.distrusts
    assert inlets(record.readings)[DAY // 2 :].max() < 27.3


def test_a_model_that_is_proved_wrong_is_no_longer_believed(hall: Hall) -> None:
    class Jumping(Foresight):
        """A model whose predictions are off by another amount at each step, so that no correction helps."""

        steps = 0

        def observe(self, observation: Floats) -> None:
            self.steps += 1
            super().observe(observation)

        def predict(self, candidates: Floats) -> Floats:
            return super().predict(candidates) - 8.0 * (self.steps % 2)

    shield = Shield(Fixed(supply=27.5, airflow=0.3), Jumping(horizon=1))
    record = hall.play(shield, JULY, DAY)
    assert shield.fallen_back > DAY * 0.8
    assert inlets(record.readings)[DAY // 2 :].max() < 27.0  # the rules see to it, without the model

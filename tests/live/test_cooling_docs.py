"""The manual says what the code does, and the examples can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcai.cooling.interface import READINGS, SETPOINTS
from hpcai.live.cooling.config import CoolingAdapterConfig, load_cooling_config
from hpcai.live.cooling.observer import with_sums
from hpcai.live.cooling.points import Flag, Permit, PointMap, Sensor, Setpoint, load_points

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "live-cooling.md").read_text("utf-8")
MODELS = (CoolingAdapterConfig, PointMap, Sensor, Setpoint, Flag, Permit)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_explained(model: type) -> None:
    for key in model.model_fields:  # type: ignore[attr-defined]
        assert f"`{key}`" in MANUAL, key


def test_every_point_is_named() -> None:
    for point in (*READINGS, *SETPOINTS):
        name = point.name.replace("east_", "SIDE_").replace("west_", "SIDE_")
        assert f"`{name}`" in MANUAL


def test_defaults_are_those_of_the_code() -> None:
    config = CoolingAdapterConfig(bundle="b", points="p", host="h")
    assert (config.poll, config.calm, config.frozen, config.strange) == (5.0, 12, 240, 0.25)
    assert (config.timeout, config.answer, config.farthest, config.shield_limit) == (2.0, 5.0, 60.0, 27.0)


def test_the_examples_can_be_used() -> None:
    points = load_points(ROOT / "deploy" / "cooling" / "points.yaml")
    known = with_sums(dict.fromkeys([*points.readings, *points.constants], 0.0))
    assert set(known) == {point.name for point in READINGS}
    assert load_cooling_config(str(ROOT / "deploy" / "cooling" / "adapter.yaml"), {}).mode == "shadow"

"""docs/cooling.md says what the code does, and its results are those of the committed comparisons."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from hpcai.cooling.interface import READINGS, SETPOINTS
from hpcai.cooling.observation import SURROUNDINGS
from hpcai.simulation.cooling.reward import CoolingReward
from hpcai_envs.cooling import CoolingEnv

ROOT = Path(__file__).parents[2]
SHEET = (ROOT / "docs" / "cooling.md").read_text("utf-8")


def test_every_point_is_described_in_its_order() -> None:
    told = [f"| `{p.name}` | {p.unit} | {p.low:g} to {p.high:g} | {p.meaning} |" for p in SETPOINTS]
    for rows in (
        told,
        *([f"| `{p.name}` | {p.unit} | {p.meaning} |" for p in points] for points in (READINGS, SURROUNDINGS)),
    ):
        assert "\n".join(rows) + "\n\n" in SHEET


def test_every_argument_and_part_of_the_reward_is_explained() -> None:
    arguments = [name for name in inspect.signature(CoolingEnv.__init__).parameters if name != "self"]
    for name in [*arguments, *CoolingReward.model_fields]:
        if name not in ("render_mode", "multiplier_rate"):  # as everywhere, and as in the code
            assert f"`{name}`" in SHEET, name


@pytest.mark.parametrize("fold", ["a", "b", "near"])
def test_results_are_those_that_are_committed(fold: str) -> None:
    results = json.loads((ROOT / "experiments" / "results" / f"cooling-energyplus-{fold}.json").read_text("utf-8"))
    for case in results["cases"].values():
        best = case["controllers"]["best fixed"]["metrics"]["hvac_kwh"]
        shown = [name for name in case["controllers"] if fold != "near" or name.startswith(("agent", "ddpg"))]
        for name in shown:
            row = case["controllers"][name]
            of = row["metrics"]
            end = f"{of['it_kwh'] / 1000:.1f} | {of['site_kwh'] / 1000:.1f} | {of['hot_minutes']:.0f} | "
            assert f"| {name} | {of['hvac_kwh'] / 1000:.1f} | {row['hvac_ratio']['value']:.3f}" in SHEET
            assert f"| {of['hvac_kwh'] / best:.3f} | {end}{of['hot_degree_hours']:.2f} |" in SHEET

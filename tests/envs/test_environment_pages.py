"""The data sheets under docs/environments have every environment, and say what its spaces and arguments are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import hpcai_envs  # noqa: F401 - registers
from hpcai.cooling.action import Actions
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.gpu_cluster.observing import GANG_FEATURES, MOVE_FEATURES, PLACE_FEATURES, PLAN_FEATURES
from hpcai_envs.cooling import CoolingEnv
from hpcai_envs.scheduling import SchedulingEnv
from tests.cooling_weather import write_epw

PAGES = Path(__file__).parents[2] / "docs" / "environments"
LOG = {"policy": {"ordering": "saf", "estimate": "actual"}}
SHEETS = {
    "scheduling": {"jobs": JOB_FEATURES, "machine": MACHINE_FEATURES},
    "placement": {"places": PLACE_FEATURES, "gang": GANG_FEATURES},
    "preemption": {"moves": MOVE_FEATURES, "job": PLAN_FEATURES},
}

OTHERS = {
    "DevicePlacement-v0": (
        ("unit", "devices"),
        ("hpcai.device_placement.learned.encoder:FEATURES", "hpcai.device_placement.learned.construction:CHOICES"),
    ),
    "Checkpoint-v0": (("",), ("hpcai.faults.checkpoints.features:FEATURES",)),
    "Drain-v0": (("nodes", "machine"), ("hpcai_envs.drain:NODE_FEATURES", "hpcai_envs.drain:MACHINE_FEATURES")),
    "Operations-v0": (
        ("site", "queue"),
        ("hpcai.simulation.site.observation:SITE_FEATURES", "hpcai_envs.operations:JOB_FEATURES"),
    ),
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a page whose rows are numbered, as cells without their headers."""
    found = re.findall(r"^\| index .*\n\|[-:|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()] for rows in found]


def described(columns: Mapping[str, str]) -> list[list[str]]:
    return [[f"{i}", f"`{name}`", meaning] for i, (name, meaning) in enumerate(columns.items())]


def registered() -> Iterable[str]:
    return (key.removeprefix("hpcai/") for key in gymnasium.registry if key.startswith("hpcai/"))


@pytest.mark.parametrize("name", SHEETS)
def test_every_column_is_in_its_place(name: str) -> None:
    for rows, columns in zip(tables(page(name)), SHEETS[name].values(), strict=True):
        assert [row[:3] for row in rows] == described(columns)


def test_the_spaces_of_scheduling_are_those_of_the_tables() -> None:
    space = SchedulingEnv(**LOG).observation_space
    for rows, key in zip(tables(page("scheduling")), SHEETS["scheduling"], strict=True):
        box = space[key]
        assert box.shape[-1] == len(rows)
        assert all(box.low.min() <= float(low) < float(high) <= box.high.max() for low, high in map(limits, rows))
        shape = "(window, {})" if len(box.shape) == 2 else "({},)"
        assert f"`{key}`, float32 {shape.format(len(rows))}" in page("scheduling")


def limits(row: list[str]) -> list[str]:
    return row[-1].split(" to ")


@pytest.mark.parametrize("name", ["placement", "preemption"])
def test_the_shapes_on_a_gpu_cluster_are_those_of_the_tables(name: str) -> None:
    for rows, (key, columns) in zip(tables(page(name)), SHEETS[name].items(), strict=True):
        assert re.search(rf"`{key}`, float32 \((\w+, )?{len(columns)},?\)", page(name))
        assert {tuple(limits(row)) for row in rows} == {("0", "1")}


def test_cooling_is_told_and_seen_as_the_tables_say(tmp_path: Path) -> None:
    env = CoolingEnv(str(write_epw(tmp_path / "weather.epw")), actions="staged")
    told, seen = tables(page("cooling"))
    actions, scaling = Actions("staged"), Scaling(env.design)
    assert env.action_space.shape == (len(told),)
    assert [row[1] for row in told] == [f"`{name}`" for name in actions.names]
    assert np.array([row[3:] for row in told], float) == pytest.approx(
        np.column_stack([actions.low, actions.high, actions.grid])
    )
    assert env.observation_space.shape == (len(seen),)
    assert [row[1:4] for row in seen] == [[f"`{point.name}`", point.meaning, point.unit] for point in OBSERVED]
    ends = np.column_stack([scaling.middle - scaling.half, scaling.middle + scaling.half])
    assert np.array([row[4:] for row in seen], float) == pytest.approx(ends, rel=1e-5)
    assert f"{env.design:,.0f} W" in page("cooling")
    for scheme in ("simple", "staged", "stages"):
        assert f"({Actions(scheme).size},)" in page("cooling")


@pytest.mark.parametrize("name", [name for name in registered() if name in OTHERS])
def test_tables_are_as_long_and_wide_as_the_spaces(name: str) -> None:
    env = gymnasium.make(f"hpcai/{name}").unwrapped
    boxes = env.observation_space
    keys, names = OTHERS[name]
    for key, columns, rows in zip(keys, names, tables(page_of(name)), strict=True):
        box = boxes[key] if isinstance(boxes, gymnasium.spaces.Dict) else boxes
        assert box.shape[-1] == len(rows)
        assert {tuple(map(float, limits(row))) for row in rows} == {(box.low.min(), box.high.max())}
        module, _, variable = columns.partition(":")
        assert [row[1] for row in rows] == [f"`{column}`" for column in getattr(import_module(module), variable)]


def page_of(name: str) -> str:
    return page("-".join(re.findall(r"[A-Z][a-z]+", name.partition("-")[0])).lower())


@pytest.mark.parametrize("name", list(registered()))
def test_every_environment_has_a_page_that_names_its_arguments(name: str) -> None:
    entry = gymnasium.spec(f"hpcai/{name}").entry_point
    module, _, kind = str(entry).partition(":")
    text = page_of(name)
    assert text.startswith(f"# {name}\n")
    for argument in inspect.signature(getattr(import_module(module), kind).__init__).parameters:
        if argument != "self":
            assert f"`{argument}`" in text, argument
    assert f"`hpcai/{name}`" in page("index")

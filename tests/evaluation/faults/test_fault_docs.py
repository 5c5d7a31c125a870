"""docs/faults.md tells what the committed experiments found, and its example prints what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml

from hpcai.evaluation.faults.checkpoint_cases import weibull_bound
from hpcai.evaluation.faults.checkpoint_config import POLICIES, CheckpointConfig
from hpcai.evaluation.faults.cluster_config import ClusterFaultsConfig
from hpcai.evaluation.faults.commands import cluster_table
from hpcai.evaluation.faults.drain_config import DrainConfig

ROOT = Path(__file__).parents[3]
SHEET = (ROOT / "docs" / "faults.md").read_text("utf-8")


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "experiments" / "results" / f"{name}.json").read_text("utf-8"))
    return found


def interval(row: list[float] | dict[str, Any]) -> str:
    value, low, high = (row["ratio"], row["low"], row["high"]) if isinstance(row, dict) else row
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("checkpoints", CheckpointConfig),
        ("checkpoints-two-level", CheckpointConfig),
        ("drains", DrainConfig),
        ("faults-cluster", ClusterFaultsConfig),
    ],
)
def test_results_are_of_the_committed_configurations(name: str, model: Any) -> None:
    given = yaml.safe_load((ROOT / "experiments" / f"{name}.yaml").read_text("utf-8"))
    assert model.model_validate(given).model_dump(mode="json", exclude={"out"}) == results(name)["config"]


def test_checkpoints_are_told_as_they_were_found() -> None:
    found = results("checkpoints")["cases"]
    for case in (case for case in found if case["write"] == 600):
        of = case["policies"]
        shown = " | ".join(interval(of[name]) for name in ("renewal", "self-exciting", "learned", "transferred"))
        assert f"| {of['daly']['waste']:.4f} | {case['hindsight']:.3f} | {shown} |" in SHEET
    logs = [case for case in found if not case["case"].startswith("drawn")]
    varying = [case for case in logs if case["write"] == 600 and not case["constant"]]
    for name in ("renewal", "self-exciting", "learned", "transferred"):
        rows = [case["policies"][name] for case in varying]
        clear = sum(row["ratio"] <= 0.9 and row["high"] < 1 for row in rows)
        line = next(
            line for line in SHEET.splitlines() if line.startswith(f"| `{name}` | 0") or f"| `{name}` | 1." in line
        )
        assert line.split(" | ")[2] == f"{np.mean([row['ratio'] for row in rows]):.3f} ({clear})"
    for case in results("checkpoints-two-level")["cases"]:
        assert f"| {case['policies']['daly']['waste']:.4f} | {interval(case['policies']['two-level'])} |" in SHEET


def test_drains_and_the_cluster_are_told_as_they_were_found() -> None:
    cases = results("drains")["cases"]
    for name in ("threshold", "keep-off", "learned"):
        over = np.array([case["policies"][name]["over_none"] for case in cases])
        clear = f"{(over[:, 1] > 1).sum()} of {len(cases)} | {(over[:, 2] < 1).sum()} |"
        assert f"| `{name}` | {over[:, 0].mean():.4f} | {clear}" in SHEET
    assert "\n".join(cluster_table(results("faults-cluster"), "daly")) in SHEET


def test_every_policy_is_described_and_the_bounds_are_right() -> None:
    assert all(f"`{name}`" in SHEET for name in POLICIES)
    assert [round(weibull_bound(k), 3) for k in (0.7, 0.6, 0.5, 1.0)] == [0.972, 0.94, 0.886, 1.0]
    assert weibull_bound(0.53) > 0.9 > weibull_bound(0.52)


def test_the_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    example = SHEET.split("```python\n")[1].split("```")[0]
    assert "gymnasium" in example
    assert gymnasium.__name__ in example
    exec(example, {})
    assert example.rstrip().endswith(f"# {capsys.readouterr().out.strip()}")

"""hpcai failures checkpoints, drains, simulate: what they report; policies know nothing of what judges them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.faults.checkpoint_cases import clairvoyant, read_cases
from hpcai.evaluation.faults.checkpoint_config import POLICIES, CheckpointConfig, load_checkpoint_config
from hpcai.evaluation.faults.checkpoint_policies import learned_memories, policy_of
from hpcai.evaluation.faults.cluster_config import CLUSTER_POLICIES, ClusterFaultsConfig
from hpcai.evaluation.faults.cluster_inputs import cluster, jobs_of, outages_of, policies_of, read_source
from hpcai.evaluation.faults.drain_config import DrainConfig
from hpcai.evaluation.faults.drain_study import evaluate_drains, read_machines
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.recent import Past
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.records.failure_writers import write_failures

DAY = 86400.0
NODES = 12


def write_log(path: Path, *, later: int = 1) -> Path:
    """A year of failures, of two halves that differ in the second half alone with the seed ``later``."""
    one = ClassModel(
        nodes=1,
        failures=1,
        mtbf=20 * DAY,
        uptime=Lifetime("weibull", 18 * DAY, 0.7),
        repair=Lifetime("exponential", 7200.0),
    )
    model = FittedFailures(name="made", classes={"node": one})
    names = {f"node-{i:02d}": "node" for i in range(NODES)}
    first, second = (model.sample(names, 365 * DAY, seed=seed) for seed in (0, later))
    half = 182.5 * DAY
    kept = [first.events[first.events["start"] < half], second.events[second.events["start"] >= half]]
    first.events = pd.concat(kept, ignore_index=True).sort_values(["start", "node"], kind="stable", ignore_index=True)
    write_failures(first, path)
    return path


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("logs")
    return write_log(folder / "a.parquet"), write_log(folder / "b.parquet", later=2)


def checkpoint_config(log: Path, **others: object) -> dict[str, object]:
    return {
        "logs": {"made": {"path": str(log), "nodes": [4, 0]}},
        "drawn": {"drawn": {"mtbf": DAY, "faults": 200}},
        "train": 0.5,
        "least_faults": 5,
        "placements": 2,
        "windows": 8,
        "learning": {"generations": 1, "population": 4},
        "policies": [name for name in POLICIES if name != "two-level"],
    } | others


def run(tmp_path: Path, command: str, config: dict[str, object]) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(app, ["failures", command, str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    return result.output


def test_checkpoints_are_compared_in_time_that_nothing_was_fitted_to(tmp_path: Path, logs: tuple[Path, Path]) -> None:
    output = run(tmp_path, "checkpoints", checkpoint_config(logs[0]))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [case["case"] for case in results["cases"]] == ["made, 4 nodes", "made, 12 nodes", "drawn"]
    for case in results["cases"]:
        rows = case["policies"]
        assert rows["daly"]["ratio"] == 1
        for row in rows.values():
            by_kind = row["checkpointing"] + row["lost"] + row["restarting"] + row["downtime"]
            assert row["waste"] == pytest.approx(by_kind, abs=1e-5)
            assert row["ratio"] == pytest.approx(row["waste"] / rows["daly"]["waste"], rel=0.01)
            assert row["waste"] > case["clairvoyant"]
        assert rows["none"]["waste"] > rows["daly"]["waste"]
        assert case["hindsight_by_window"] <= case["hindsight"] <= 1.05
    assert "| made, 12 nodes | 600 s |" in output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "made, 12 nodes" in page
    assert "% of what daly does, on average over 3 cases" in page


def test_policies_know_nothing_of_what_they_are_judged_on(logs: tuple[Path, Path]) -> None:
    rules = []
    for log in logs:
        config = CheckpointConfig.model_validate(checkpoint_config(log))
        cases = read_cases(config)[0][:2]
        job = CheckpointedJob(600.0, 600.0, 300.0)
        memories = learned_memories(("learned",), cases, job, config.learning, 0)
        at_cost = [case.with_costs(job) for case in cases]
        names = [name for name in config.policies if name != "transferred"]
        found = {(c.name, name): policy_of(name, c, memories).rule(c.rest.job) for c in at_cost for name in names}
        rules.append((found, [case.rest.mtbf for case in cases]))
    (first, later_first), (second, later_second) = rules
    assert later_first != later_second  # the logs differ where they are judged
    for key, rule in first.items():
        np.testing.assert_array_equal(rule.numbers, second[key].numbers, err_msg=str(key))


def test_who_knows_all_faults_writes_just_before_each() -> None:
    job = CheckpointedJob(write=10.0, restart=20.0, down=5.0)
    past = Past([Faults.all_global(np.array([100.0, 120.0, 500.0]))], job, 0.0, 1000.0)
    assert clairvoyant(past) == pytest.approx((10 + 20 + 35 + 25) / 1000)


def test_drains_are_chosen_in_the_training_part(tmp_path: Path, logs: tuple[Path, Path]) -> None:
    config: dict[str, object] = {
        "logs": {"made": {"path": str(logs[0]), "nodes": [2, 5]}},
        "spares": [0.2],
        "train": 0.5,
        "windows": 6,
    }
    config |= {"counts": [1, 2], "days": [30], "multiples": [2, 5]}
    output = run(tmp_path, "drains", config)
    results = json.loads((tmp_path / "out").read_text())
    assert [case["case"] for case in results["cases"]] == ["made, 4 × 2 nodes", "made, 1 × 5 nodes"]
    for case in results["cases"]:
        for row in case["policies"].values():
            kinds = ("checkpointing", "lost", "restarting", "waiting", "down", "drained", "free")
            assert row["goodput"] + sum(row[kind] for kind in kinds) == pytest.approx(1, abs=1e-5)
        assert case["policies"]["none"]["over_none"][0] == 1
        assert case["policies"]["none"]["drained"] == 0
    assert "| made, 4 × 2 nodes | 4 |" in output
    choices = []
    for log in logs:
        config["logs"] = {"made": {"path": str(log), "nodes": [2, 5]}}
        settings = DrainConfig.model_validate(config)
        found = evaluate_drains(settings)
        risk = read_machines(settings)[0][0][0].risk
        choices.append((risk, [[row["choice"] for row in case["policies"].values()] for case in found["cases"]]))
    assert choices[0] == choices[1]


def cluster_config(**others: object) -> dict[str, object]:
    return {
        "nodes": 8,
        "duration": 3 * DAY,
        "longer": 6.0,
        "faults": {"uptime": {"family": "weibull", "mean": 10 * DAY, "shape": 0.7}, "repair": {"mean": 7200.0}},
        "domains": [{"size": 4, "uptime": {"mean": 20 * DAY}, "repair": {"mean": 3600.0}}],
        "crews": 1,
        "spares": 1,
        "drain_after": 2,
        "shared": 2e9,
        "node_bytes": 1e11,
        "policies": list(CLUSTER_POLICIES),
        "seeds": 2,
    } | others


def test_a_cluster_is_simulated_under_drawn_faults(tmp_path: Path) -> None:
    output = run(tmp_path, "simulate", cluster_config())
    results = json.loads((tmp_path / "out" / "results.json").read_text())["policies"]
    assert set(results) == set(CLUSTER_POLICIES)
    for row in results.values():
        of = row["metrics"]
        busy = of["goodput"] + of["writing"] + of["lost"] + of["restarting"]
        assert busy + of["idle"] + of["down"] + of["drained"] + of["spare"] == pytest.approx(1, abs=1e-5)
        assert of["availability"] == pytest.approx(1 - of["down"], abs=1e-6)
    assert results["none"]["metrics"]["lost"] > results["daly"]["metrics"]["lost"]
    assert results["daly"]["goodput_ratio"][0] == 1
    assert "| daly |" in output
    assert "Mean time to interruption" in (tmp_path / "out" / "report.html").read_text()
    again = tmp_path / "again"
    again.mkdir()
    run(again, "simulate", cluster_config())
    assert (again / "out" / "results.json").read_bytes() == (tmp_path / "out" / "results.json").read_bytes()


def test_a_log_is_replayed_after_what_was_learned_from(logs: tuple[Path, Path]) -> None:
    policies = []
    for log in logs:
        config = ClusterFaultsConfig.model_validate(cluster_config(faults={"log": str(log), "train": 0.5}, domains=[]))
        source = read_source(config)[0]
        policies.append(policies_of(config, source))
        falls = outages_of(config, source, seed=3)
        assert falls == outages_of(config, source, seed=3) != outages_of(config, source, seed=4)
        assert all(0 <= fall.time < 3 * DAY and 0 <= fall.nodes[0] < 8 for fall in falls)
    assert policies[0] == policies[1]


def test_a_fitted_model_and_a_log_of_jobs_are_taken(tmp_path: Path, swf: Path) -> None:
    one = ClassModel(nodes=1, failures=1, mtbf=DAY, uptime=Lifetime("exponential", DAY))
    FittedFailures(name="made", classes={"a": one, "b": one}).save(tmp_path / "model.yaml")
    faults = {"model": str(tmp_path / "model.yaml"), "node_class": "a", "repair_if_unknown": 600.0}
    config = ClusterFaultsConfig.model_validate(
        cluster_config(faults=faults, domains=[], trace=str(swf), node_processors=4, longer=1.0)
    )
    source, sha256 = read_source(config)
    assert list(sha256) == [str(tmp_path / "model.yaml")]
    falls = outages_of(config, source, seed=0)
    assert len(falls) == pytest.approx(8 * 3, rel=0.5)
    assert {fall.repair for fall in falls} == {600.0}
    jobs = jobs_of(config, cluster(config), seed=0)
    assert jobs["nodes"].max() == 4  # jobs of all 32 processors need 8 nodes, of which one is spare: they are left out
    assert jobs["submit"].min() == 0
    with pytest.raises(InputError, match="node_class: expected one of a, b, not given"):
        outages_of(config.model_copy(update={"faults": config.faults.model_copy(update={"node_class": ""})}), source, 0)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, logs: tuple[Path, Path]) -> None:
    path = tmp_path / "config.yaml"
    for fields, words in (
        ({"policies": ["dally"]}, "policies: unknown 'dally'"),
        ({"baseline": "two-level"}, "baseline: expected one of"),
        ({"logs": {}, "drawn": {}}, "logs: expected one or more"),
    ):
        path.write_text(yaml.safe_dump(checkpoint_config(logs[0]) | fields))
        with pytest.raises(InputError, match=words):
            load_checkpoint_config(path)
    with pytest.raises(InputError, match="found no system 'x', expected one of"):
        read_cases(
            CheckpointConfig.model_validate(
                checkpoint_config(logs[0], logs={"made": {"path": str(logs[0]), "systems": ["x"]}})
            )
        )
    for fields, words in (
        ({"faults": {}}, "faults: expected one of log, model and uptime, found none"),
        ({"spares": 8}, "spares: expected fewer than the 8 nodes, found 8"),
    ):
        with pytest.raises(ValueError, match=words):
            ClusterFaultsConfig.model_validate(cluster_config(**fields))

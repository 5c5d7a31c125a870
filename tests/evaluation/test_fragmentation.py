"""Workload inflation: what is drawn, what is left, how placements compare; and the published figures on openb."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hpcai.configuration import read_weights
from hpcai.errors import FormatError, InputError
from hpcai.evaluation.fragmentation import evaluate_placement, read_workloads, unallocated
from hpcai.evaluation.placement_commands import placement_command, table
from hpcai.evaluation.placement_config import (
    InflationConfig,
    PlacementConfig,
    load_placement_config,
)
from hpcai.records.pods import read_nodes, read_pods

ROOT = Path(__file__).parents[2]
OPENB = ROOT.parent / "shared" / "data" / "gpu"
needs_openb = pytest.mark.skipif(
    not (OPENB / "openb_node_list_gpu_node.csv").is_file(), reason="openb is not in ../shared/data/gpu"
)
NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,8000,65536,2,T4\nn1,8000,65536,2,T4\nn2,16000,65536,4,V100\n"
PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
    "a,1000,1024,1,500,\nb,2000,1024,1,1000,V100\nc,2000,1024,2,1000,T4|V100\nd,4000,0,0,0,\ne,1000,0,1,300,\n"
)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "nodes.csv").write_text(NODES, "utf-8")
    (tmp_path / "pods.csv").write_text(PODS, "utf-8")
    return {"nodes": str(tmp_path / "nodes.csv"), "pods": str(tmp_path / "pods.csv")}


class TestLists:
    def test_nodes_keep_their_order(self, files):
        machine, sha256 = read_nodes(files["nodes"])
        assert [(g.count, g.cpus, g.gpus, g.gpu_kind, g.memory_gib) for g in machine.groups] == [
            (2, 8, 2, "T4", 64.0),
            (1, 16, 4, "V100", 64.0),
        ]
        assert list(sha256) == ["nodes.csv"]

    def test_pods_are_read_compressed_too(self, files, tmp_path):
        (tmp_path / "pods.csv.gz").write_bytes(gzip.compress(PODS.encode()))
        pods, _ = read_pods(tmp_path / "pods.csv.gz")
        assert pods["gpu"].tolist() == [500, 1000, 2000, 0, 300]
        assert pods["memory"].tolist() == [2**30, 2**30, 2**30, 0, 0]
        assert pods["gpu_kind"].tolist() == ["", "V100", "T4|V100", "", ""]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("f,1000,1,2,500,", "share of several GPUs"),
            ("f,many,1,1,500,", "expected numbers"),
            ("f,1000,1,1,1500,", "at most 1000"),
            ("f,1000", "expected numbers"),
        ],
    )
    def test_a_wrong_row_is_refused(self, tmp_path, row, message):
        (tmp_path / "pods.csv").write_text(PODS + row + "\n", "utf-8")
        with pytest.raises(FormatError, match=message):
            read_pods(tmp_path / "pods.csv")

    def test_another_file_is_refused(self, files):
        with pytest.raises(FormatError, match="expected a list of pods"):
            read_pods(files["nodes"])
        with pytest.raises(FormatError, match="expected a list of nodes"):
            read_nodes(files["pods"])


class TestInflation:
    def test_pods_are_drawn_until_so_much_is_offered(self, files):
        (workload,) = read_workloads(InflationConfig(**files))
        for seed in range(5):
            drawn = workload.draw(seed, 1.5)
            offered = workload.pods.types["gpu"][drawn]
            assert offered.sum() >= 12_000 > offered[:-1].sum()
        assert not np.array_equal(workload.draw(0, 1.5)[:8], workload.draw(1, 1.5)[:8])

    def test_a_larger_load_goes_on_with_the_same_pods(self, files):
        (workload,) = read_workloads(InflationConfig(**files))
        low = unallocated(workload, "fgd", 0, [0.5])
        assert unallocated(workload, "fgd", 0, [0.5, 1.0])[0] >= 0.5 - 2 / 8
        assert low[0] <= 0.5

    def test_what_is_left_never_grows(self, files):
        (workload,) = read_workloads(InflationConfig(**files))
        for policy in ("best-fit", "random-fit", "fgd", "topology-aware"):
            left = unallocated(workload, policy, 3, [0.25, 0.5, 1.0, 2.0, 3.0])
            assert (np.diff(left) <= 0).all()
            assert (left >= 0).all()

    def test_no_pod_with_a_gpu(self, files, tmp_path):
        (tmp_path / "pods.csv").write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\nd,4000,0,0,0\n", "utf-8")
        (workload,) = read_workloads(InflationConfig(**files))
        with pytest.raises(InputError, match="no pod has a GPU"):
            workload.draw(0, 1.0)


class TestComparison:
    def test_threads_and_order_change_nothing(self, files):
        config = PlacementConfig(**files, policies=("best-fit", "fgd", "random-fit"), seeds=6)
        one, two = evaluate_placement(config), evaluate_placement(config, workers=2)
        assert json.dumps(one) == json.dumps(two)

    def test_ratios_are_to_the_baseline(self, files):
        config = PlacementConfig(**files, policies=("spread", "best-fit"), baseline="spread", seeds=8, loads=1.2)
        rows = evaluate_placement(config)["workloads"]["pods"]
        spread, best_fit = rows["spread"]["1.2"], rows["best-fit"]["1.2"]
        assert (spread["ratio"], spread["low"], spread["high"]) == (1, 1, 1)
        assert best_fit["ratio"] == pytest.approx(best_fit["unallocated"] / spread["unallocated"], abs=1e-3)
        assert best_fit["low"] <= best_fit["ratio"] <= best_fit["high"]
        assert len(best_fit["by_seed"]) == 8

    def test_the_command_writes_and_prints(self, files, tmp_path):
        (tmp_path / "run.yaml").write_text(
            f"{{nodes: '{files['nodes']}', pods: '{files['pods']}', policies: [best-fit, fgd], seeds: 50}}", "utf-8"
        )
        app = typer.Typer()
        app.command()(placement_command)
        out = tmp_path / "results" / "out.json"
        result = CliRunner().invoke(app, [str(tmp_path / "run.yaml"), "--seeds", "4", "--out", str(out)])
        assert result.exit_code == 0, result.output
        written = json.loads(out.read_text("utf-8"))
        assert written["config"]["seeds"] == 4
        assert set(written["sha256"]) == {"nodes.csv", "pods.csv"}
        assert "| fgd |" in result.output

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"policies": ["worst"]}, "unknown placement 'worst'"),
            ({"policies": ["fgd"]}, "baseline: 'best-fit' is not among"),
            ({"policies": ["best-fit", "learned"]}, "weights: required"),
            ({"polices": []}, "did you mean 'policies'"),
        ],
    )
    def test_a_wrong_configuration_is_refused(self, files, tmp_path, change, message):
        (tmp_path / "run.yaml").write_text(json.dumps(files | {"policies": ["best-fit"]} | change), "utf-8")
        with pytest.raises(InputError, match=message):
            load_placement_config(tmp_path / "run.yaml")

    def test_weights_that_are_none_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_weights(tmp_path / "none.json")
        (tmp_path / "w.json").write_text('{"weights": {"a": "x"}}', "utf-8")
        with pytest.raises(InputError, match="expected 'weights'"):
            read_weights(tmp_path / "w.json")


@needs_openb
def test_openb_comes_out_as_published():
    """The authors' results, ten seeds: 7.14 % of the GPUs left by best-fit at load 1, 4.77 % by FGD."""
    config = InflationConfig(
        nodes=OPENB / "openb_node_list_gpu_node.csv", pods=OPENB / "openb_pod_list_default.csv.gz", loads=1.0
    )
    (workload,) = read_workloads(config)
    assert (workload.machine.total_nodes, workload.machine.total_gpus) == (1213, 6212)
    left = {
        policy: np.mean([unallocated(workload, policy, seed, config.loads) for seed in range(2)])
        for policy in ("best-fit", "fgd")
    }
    assert left["best-fit"] == pytest.approx(0.0714, abs=0.004)
    assert left["fgd"] == pytest.approx(0.0477, abs=0.004)


@pytest.mark.parametrize("name", ["placement-openb"])
def test_the_manual_shows_the_committed_results(name):
    path = ROOT / "experiments" / "results" / f"{name}.json"
    manual = (ROOT / "docs" / "placement.md").read_text("utf-8")
    for line in table(json.loads(path.read_text("utf-8"))):
        assert line in manual

"""The search for a learned placement: repeatable, better than where it begins, on varied workloads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hpcai.configuration import read_weights
from hpcai.errors import InputError
from hpcai.evaluation.fragmentation import read_workloads, unallocated
from hpcai.learning.placement import load_placement_training, tune_placement, varied
from hpcai.scheduling.placement import WEIGHTS

NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(
    f"n{i},{16000 if i % 2 else 8000},65536,{4 if i % 3 else 2},{'T4' if i % 2 else 'V100'}\n" for i in range(12)
)
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n" + "".join(
    f"p{i},{cpu},1024,{gpus},{milli}\n"
    for i, (cpu, gpus, milli) in enumerate(
        [
            (1000, 1, 500),
            (1000, 1, 300),
            (2000, 1, 1000),
            (4000, 2, 1000),
            (6000, 0, 0),
            (3000, 1, 700),
            (8000, 4, 1000),
        ]
    )
)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "nodes.csv").write_text(NODES, "utf-8")
    (tmp_path / "pods.csv").write_text(PODS, "utf-8")
    config = {
        "nodes": str(tmp_path / "nodes.csv"),
        "pods": str(tmp_path / "pods.csv"),
        "baseline": "random-fit",
        "begin": {"share.free_gpu": -1, "whole.free_gpu": -1, "cpu.free_cpu": -1},
        "generations": 6,
        "population": 6,
        "draws": 2,
        "variants": 2,
        "validate_every": 2,
        "validation_draws": 4,
        "out": str(tmp_path / "out.json"),
    }
    (tmp_path / "run.yaml").write_text(json.dumps(config), "utf-8")
    return tmp_path / "run.yaml"


def test_it_improves_and_writes_what_it_found(settings):
    config = load_placement_training(settings)
    result = tune_placement(config, workers=2)
    scores = dict(result["validation"])
    assert min(scores.values()) < scores[0]
    assert json.loads(settings.with_name("out.json").read_text("utf-8")) == result
    weights = read_weights(config.out)
    assert list(weights) == list(WEIGHTS)
    (workload,) = read_workloads(config)
    left = [
        np.mean([unallocated(workload, "learned", seed, [1.0], own) for seed in range(20)])
        for own in (weights, config.begin)
    ]
    assert left[0] < left[1]


def test_the_same_seed_gives_the_same_weights(settings):
    short = {"generations": 2}
    first = tune_placement(load_placement_training(settings, short), workers=2)
    assert tune_placement(load_placement_training(settings, short)) == first
    assert tune_placement(load_placement_training(settings, short | {"seed": 1}))["weights"] != first["weights"]


def test_variants_differ_by_seed_and_keep_what_pods_need(settings):
    config = load_placement_training(settings)
    (workload,) = read_workloads(config)
    one, again, other = (varied(workload, config, seed) for seed in (3, 3, 4))
    assert one.jobs.equals(again.jobs)
    assert not one.jobs.equals(other.jobs)
    known = {tuple(row) for row in workload.jobs[["cpu", "memory", "gpu"]].to_numpy()}
    for variant in (one, other):
        assert {tuple(row) for row in variant.jobs[["cpu", "memory", "gpu"]].to_numpy()} <= known
        assert set(variant.jobs["gpu_kind"]) <= {"", "T4", "V100"}
        assert (variant.jobs.loc[variant.jobs["gpu"] == 0, "gpu_kind"] == "").all()


def test_an_unknown_key_is_refused(settings):
    with pytest.raises(InputError, match="did you mean 'generations'"):
        load_placement_training(settings, {"generation": 3})

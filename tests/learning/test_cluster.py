"""Learned parts of a discipline: the search, its file, and wrong configurations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from hpcai.errors import InputError
from hpcai.learning.cluster import TRAINING_SEEDS, ClusterTraining, Ground, load_cluster_training, tune_cluster
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline
from hpcai.scheduling.placement import GANG_WEIGHTS

SMALL = {
    "generator": {"kind": "reference-site", "jobs": 150},
    "common": {"placement": "topology-aware"},
    "generations": 1,
    "population": 4,
    "draws": 1,
    "validation_draws": 2,
}
CLOSE = {  # weights near what topology-aware does
    "gang.new_leaf": 9.0,
    "gang.leaf_short": 9.0,
    "gang.leaf_taken": -9.0,
    "gang.leaf_rest": 3.0,
    "gang.short": 1.0,
    "gang.taken": -1.0,
    "gang.rest": 0.5,
    "single.leaf_rest": 1.0,
    "single.rest": 0.3,
}


def settings(tmp_path, **changes):
    return ClusterTraining.model_validate(SMALL | {"out": str(tmp_path / "w.json")} | changes)


@pytest.mark.parametrize(
    ("learn", "names", "setting"),
    [("placement", GANG_WEIGHTS, "placement_weights"), ("victims", VICTIM_FEATURES, "victim_weights")],
)
def test_weights_are_found_and_used(tmp_path, learn, names, setting):
    config = settings(tmp_path, learn=learn, objective="mean_wait")
    found = tune_cluster(config)
    assert tuple(found["weights"]) == names
    assert [generation for generation, _ in found["validation"]] == [0, 1]
    assert json.loads((tmp_path / "w.json").read_text()) == found
    assert tune_cluster(config) == found
    discipline = Discipline.model_validate({setting: str(tmp_path / "w.json")})
    assert getattr(discipline, setting) == found["weights"]


def test_weights_near_topology_aware_do_nearly_what_it_does(tmp_path):
    """The place where a search begins is no worse than a few per cent, in weeks of training."""
    config = settings(
        tmp_path,
        learn="placement",
        begin=CLOSE,
        generator={"kind": "reference-site", "jobs": 600},
        objective="mean_jct",
    )
    ground = Ground.make(config, TRAINING_SEEDS, 2, 1)
    weights = np.array([CLOSE.get(name, 0.0) for name in GANG_WEIGHTS])
    assert ground.scores([weights], 1)[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learn": "all"}, "learn"),
        ({"objective": "goodput"}, "objective: found 'goodput', expected one of mean_jct"),
        ({"begin": {"lost": 1}}, "begin: unknown weight 'lost'; expected some of single.short"),
    ],
)
def test_wrong_configurations(tmp_path, changes, said):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"learn": "placement"} | changes))
    with pytest.raises(InputError) as error:
        load_cluster_training(path)
    assert said in str(error.value)

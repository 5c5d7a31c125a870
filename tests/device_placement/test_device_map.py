from __future__ import annotations

import numpy as np
import pytest

from hpcai.device_placement.device_map import device_map, module_path
from hpcai.device_placement.devices import alike, pairwise


@pytest.mark.parametrize(
    ("operator", "path"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/encoder/block/fc/Gemm_1", "encoder.block.fc"),
        ("/Relu", "Relu"),
        ("block0/attention/query", "block0.attention.query"),
        ("features.0.conv", "features.0.conv"),
        ("node12", "node12"),
    ],
)
def test_paths_of_modules(operator, path):
    assert module_path(operator) == path


def two():
    return alike("V100", 2, memory=1.0, bandwidth=1.0)


def test_a_module_on_one_device_stands_for_its_parts():
    paths = ["a.x", "a.y", "b.x", "b.y", "b.y"]
    found = device_map(paths, np.ones(5), np.array([0, 0, 1, 0, 0]), two())
    assert found.devices == {"a": 0, "b.x": 1, "b.y": 0}
    assert found.agrees == 1
    assert device_map(paths, np.ones(5), np.ones(5, int), two()).devices == {"": 1}


def test_the_model_has_operators_of_its_own_and_inputs_are_nobodys():
    found = device_map([None, "", "a", "b"], np.ones(4), np.array([0, 1, 1, 0]), two())
    assert found.devices == {"": 1, "b": 0}
    assert found.agrees == 1


def test_a_module_is_where_most_of_its_time_is():
    found = device_map(["a", "a", "a.x"], np.array([3.0, 1.0, 4.0]), np.array([0, 1, 1]), two())
    assert found.devices == {"a": 0, "a.x": 1}
    assert found.agrees == 7 / 8


def test_parts_that_agree_with_what_is_around_are_left_out():
    found = device_map(["a", "a.x", "a.y", "a.y.z"], np.ones(4), np.array([1, 1, 0, 1]), two())
    assert found.devices == {"a": 1, "a.y": 0, "a.y.z": 1}


def test_the_host_is_called_cpu_and_gpus_are_counted():
    devices = pairwise(["CPU", "V100", "V100"], np.ones(3), np.ones((3, 3)))
    found = device_map(["a", "b", "c"], np.zeros(3), np.array([0, 2, 1]), devices)
    assert found.devices == {"a": "cpu", "b": 1, "c": 0}

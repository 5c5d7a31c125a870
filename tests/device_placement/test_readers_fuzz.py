"""Whatever the bytes, a reader of graphs gives a graph or an InputError of one line: never another exception."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.readers import FORMATS, read_graph
from hpcai.device_placement.readers.native import write_graph
from hpcai.errors import InputError

SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ", "60")), deadline=None, suppress_health_check=list(HealthCheck)
)

PIPEDREAM = b"""\
node1 -- Input0 -- forward_compute_time=20.0, backward_compute_time=0.0, activation_size=600.0, parameter_size=0.0
node2 -- Conv2d(3, 64) -- forward_compute_time=1.5, backward_compute_time=4.0, activation_size=[8.0; 4.0], \
parameter_size=1728.0
\tnode1 -- node2
"""
DNN_PARTITIONING = b"""\
{"maxSizePerFPGA": 1e9, "maxFPGAs": 2, "maxCPUs": 1, "nodes": [
{"id": 1, "supportedOnFpga": 1, "cpuLatency": 9, "fpgaLatency": 1, "isBackwardNode": false, "colorClass": 3, "size": 5},
{"id": 2, "supportedOnFpga": 0, "cpuLatency": 9, "fpgaLatency": 1, "isBackwardNode": true, "colorClass": 3, "size": 5}
], "edges": [{"sourceId": 1, "destId": 2, "cost": 0.5, "size": 7}]}
"""
TOKENS = [
    b"-1",
    b"nan",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"1" * 400,
    b"\t",
    b"\n",
    b" -- ",
    b"\xff",
    b"\0",
    b"true",
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def onnx_bytes() -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv", strides=[2, 2]),
            helper.make_node("Flatten", ["c"], ["f"], "flat"),
            helper.make_node("Gemm", ["f", "g"], ["y"], "gemm"),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.zeros((2, 3, 2, 2), np.float32), "w"),
            numpy_helper.from_array(np.zeros((8, 2), np.float32), "g"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@pytest.fixture(scope="module")
def valid(folder: Path) -> dict[str, bytes]:
    rows = [Row("a", "conv", (1.0, 2.0), (3.0, 4.0), 5, 6, 7, "g"), Row("b", "conv", (1.0, 2.0), (0.0, 0.0), group="g")]
    write_graph(assemble("here", "two", ["V100", "CPU"], rows, [("a", "b")]), folder / "valid")
    native = (folder / "valid").read_bytes()
    return {"native": native, "pipedream": PIPEDREAM, "dnn_partitioning": DNN_PARTITIONING, "onnx": onnx_bytes()}


def attempt(folder: Path, data: bytes) -> None:
    path = folder / "fuzzed"
    path.write_bytes(data)
    try:
        graph = read_graph(path)
    except InputError as error:
        if "\n" in str(error) or not str(error).startswith(str(path)):
            pytest.fail(f"not one line about the file: {error}")
        return
    assert len(graph.order) == len(graph) > 0
    assert (graph.forward >= 0).all()


def test_every_format_is_fuzzed(folder: Path, valid: dict[str, bytes]) -> None:
    assert valid.keys() == FORMATS.keys()
    for data in valid.values():
        (folder / "whole").write_bytes(data)
        assert len(read_graph(folder / "whole")) > 1


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes(folder: Path, data: bytes) -> None:
    attempt(folder, data)


@pytest.mark.parametrize("format", FORMATS)
@SETTINGS
@given(data=st.data())
def test_damaged_files(folder: Path, valid: dict[str, bytes], format: str, data: st.DataObject) -> None:
    content = valid[format]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 40)))
        put = data.draw(st.sampled_from(TOKENS) | st.binary(max_size=4) | st.just(content[start:end] * 2))
        content = content[:start] + put + content[end:]
    attempt(folder, content)


@pytest.mark.parametrize("format", FORMATS)
def test_files_that_are_cut_short(folder: Path, valid: dict[str, bytes], format: str) -> None:
    content = valid[format]
    for length in range(0, len(content), max(1, len(content) // 60)):
        attempt(folder, content[:length])

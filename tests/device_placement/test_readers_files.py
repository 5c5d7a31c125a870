"""Readers of graphs: what each field becomes, on small files written here; and errors in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcai.device_placement.graph import BACKWARD, FORWARD, NO_GROUP
from hpcai.device_placement.readers import dnn_partitioning, read_graph
from hpcai.errors import InputError

LAYER = "{} -- {} -- forward_compute_time={}, backward_compute_time={}, activation_size={}, parameter_size={}"
PIPEDREAM = [
    LAYER.format("node1", "Input0", "20.0", "0.0", "600.000", "0.000"),
    LAYER.format("node2", "Conv2d(3, 64, kernel_size=(3, 3))", "1.5", "4.0", "800.000", "1728.000"),
    LAYER.format("node3", "ReLU(inplace)", "0.25", "0.5", "800.000", "0.000"),
    LAYER.format("node4", "LSTM(8, 8)", "3.0", "6.0", "[400.0; 100.0; 100.0]", "2048.000"),
    "\tnode1 -- node2",
    "\tnode2 -- node3",
    "\tnode3 -- node4",
]


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "model.graph.txt"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def error(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_graph(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{path}: ")


def test_a_profile_of_pipedream(tmp_path: Path) -> None:
    graph = read_graph(write(tmp_path, "\n".join(PIPEDREAM)), device="P100")
    assert graph.name == "model"
    assert graph.operators == ("node1", "node2", "node3", "node4")
    assert graph.kinds == ("input", "conv", "elementwise", "recurrent")
    assert graph.device_kinds == ("P100",)
    np.testing.assert_allclose(graph.forward, [[0, 1.5e-3, 0.25e-3, 3e-3]])  # loading is no time of the device
    np.testing.assert_allclose(graph.backward, [[0, 4e-3, 0.5e-3, 6e-3]])
    assert graph.weights.tolist() == [0, 1728, 0, 2048]
    assert graph.output.tolist() == [600, 800, 800, 600]  # a list is summed
    assert graph.activations.tolist() == [600, 800, 0, 600]  # in place: what it overwrites is counted already
    assert graph.edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert graph.phase.tolist() == [FORWARD] * 4
    assert graph.trains


def test_a_profile_without_its_training_and_with_the_loading_of_data(tmp_path: Path) -> None:
    graph = read_graph(write(tmp_path, "\n".join(PIPEDREAM)), training=False, loading=True)
    assert graph.forward[0, 0] == pytest.approx(20e-3)
    assert not graph.trains
    assert graph.device_kinds == ("V100",)


@pytest.mark.parametrize(
    ("line", "replaced", "message"),
    [
        (1, "nonsense", "line 2: expected a layer or an edge of PipeDream, found 'nonsense'"),
        (1, PIPEDREAM[1].replace("4.0", "x"), "line 2: backward_compute_time: expected a number, found 'x'"),
        (1, PIPEDREAM[1].replace("parameter", "other"), "line 2: node2: parameter_size: required, not given"),
        (
            1,
            PIPEDREAM[1].replace("4.0", "nan"),
            "operator 'node2': backward: expected seconds of at least 0, found nan",
        ),
        (1, PIPEDREAM[1].replace("1.5", "-1.5"), "operator 'node2': forward: expected seconds of at least 0, "),
        (1, PIPEDREAM[1].replace("800", "-800"), "operator 'node2': activations: expected bytes of at least 0, "),
        (1, PIPEDREAM[2], "operator 'node3': expected a name of its own, found it twice"),
        (6, "\tnode3 -- node9", "edge 'node3' to 'node9': there is no operator 'node9'"),
        (6, "\tnode3 -- node3", "operator 'node3': expected no edge to itself, found one"),
        (6, "\tnode3 -- node2", "graph model: expected no cycle, found one around node2, node3"),
    ],
)
def test_a_wrong_line_of_a_profile(tmp_path: Path, line: int, replaced: str, message: str) -> None:
    lines = [*PIPEDREAM[:line], replaced, *PIPEDREAM[line + 1 :]]
    assert error(write(tmp_path, "\n".join(lines))).startswith(message)


def node(id: int, accelerator: float = 2.0, color: int | None = None, backward: bool = False) -> dict[str, Any]:
    given = {"id": id, "name": f"op{id}", "supportedOnFpga": 1, "cpuLatency": 10 * accelerator}
    given |= {"fpgaLatency": accelerator, "isBackwardNode": backward, "size": 100.0 * id}
    return given if color is None else given | {"colorClass": color}


def edge(source: int, target: int, cost: float = 1.0, **more: float) -> dict[str, Any]:
    return {"sourceId": source, "destId": target, "cost": cost, **more}


def instance(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {"maxSizePerFPGA": 1e9, "maxFPGAs": 2, "maxCPUs": 1, "nodes": nodes, "edges": edges}


def test_a_graph_of_dnn_partitioning(tmp_path: Path) -> None:
    nodes = [node(1, color=7), node(2, color=7) | {"supportedOnFpga": False}, node(3, color=8), node(4)]
    edges = [edge(1, 2, size=50.0), edge(1, 3, size=60.0), edge(3, 4, cost=500.0)]
    path = write(tmp_path, instance(nodes, edges))
    graph = read_graph(path)
    assert graph.operators == ("op1", "op2", "op3", "op4")
    assert graph.device_kinds == ("accelerator", "CPU")
    np.testing.assert_allclose(graph.forward, [[2e-3, math.inf, 2e-3, 2e-3], [2e-2] * 4])
    assert graph.group.tolist() == [0, 0, NO_GROUP, NO_GROUP]  # a colour of one operator binds nothing
    assert graph.weights.tolist() == [100, 200, 300, 400]
    assert graph.output.tolist() == [60, 0, 2**30, 0]  # the largest of its edges; of a cost alone, at 2^31 bytes/s
    assert read_graph(path, bandwidth=1000).output[2] == 500
    assert dnn_partitioning.machine(path) == (2, 1, 1e9)


def training(color_of_last: int = 6) -> dict[str, Any]:
    """Two forward and two backward operators whose edges all run forward, as in the published layer graphs."""
    nodes = [node(1, 2.0, 5), node(2, 3.0, 6), node(3, 4.0, 5, True), node(4, 5.0, color_of_last, True)]
    return instance(nodes, [edge(1, 2, size=50.0), edge(3, 4, size=70.0)])


def test_backward_nodes_without_an_edge_from_the_forward_ones_are_folded(tmp_path: Path) -> None:
    path = write(tmp_path, training())
    graph = read_graph(path)
    assert graph.operators == ("op1", "op2")
    np.testing.assert_allclose(graph.forward, [[2e-3, 3e-3], [2e-2, 3e-2]])
    np.testing.assert_allclose(graph.backward, [[4e-3, 5e-3], [4e-2, 5e-2]])
    assert graph.weights.tolist() == [100 + 300, 200 + 400]
    assert graph.edges.tolist() == [[0, 1]]
    given = read_graph(path, fold=False)
    assert given.phase.tolist() == [FORWARD, FORWARD, BACKWARD, BACKWARD]
    assert given.group.tolist() == [0, 1, 0, 1]
    assert given.edges.tolist() == [[0, 1], [2, 3]]


def test_backward_nodes_that_do_not_pair_or_are_joined_stay(tmp_path: Path) -> None:
    assert len(read_graph(write(tmp_path, training(color_of_last=9)))) == 4
    joined = training()
    joined["edges"].append(edge(2, 4))
    assert len(read_graph(write(tmp_path, joined))) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": [node(1) | {"fpgaLatency": -1}]}, "nodes.0.fpgaLatency: input should be greater than or equal to 0"),
        ({"nodes": [{"id": 1, "fpgaLatency": 1, "supportedOnFpga": 1}]}, "nodes.0.cpuLatency: required, not given"),
        ({"nodes": [node(1) | {"cpuLatency": math.nan}]}, "nodes.0.cpuLatency: input should be a finite number"),
        ({"nodes": [node(1), node(2) | {"name": "op1"}]}, "operator 'op1': expected a name of its own, found it twice"),
        ({"nodes": [node(1), node(1) | {"name": "x"}]}, "id 1: expected an id of one node, found it twice"),
        ({"edges": [edge(1, 99)]}, "edge 'op1' to 'id 99': there is no operator 'id 99'"),
        ({"edges": [edge(1, 2), edge(2, 1)]}, "graph model.graph: expected no cycle, found one around op1, op2"),
    ],
)
def test_a_wrong_graph_of_dnn_partitioning(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = instance([node(1), node(2)], [edge(1, 2)])
    assert error(write(tmp_path, good | change)).startswith(message)


def test_what_is_no_graph_is_told_in_one_line(tmp_path: Path) -> None:
    assert error(tmp_path / "none") == "cannot be read: No such file or directory"
    assert error(write(tmp_path, "")) == "the file is empty, expected a graph of operators"
    assert error(write(tmp_path, "{}")).startswith("found '{}', expected a graph of operators: ")
    assert error(write(tmp_path, '{"fpgaLatency": [')).startswith("line 1: not JSON: ")
    assert error(write(tmp_path, "PK\3\4 data.pkl")).startswith("found a zip archive; PyTorch's are not read, since ")
    assert error(write(tmp_path, "\n".join(PIPEDREAM)), fold=True) == (
        "option 'fold' is not one of format pipedream (it takes: device, training, loading)"
    )

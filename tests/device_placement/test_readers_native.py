"""Our own JSON: a golden file, and a round trip of any graph."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.graph import BACKWARD, FORWARD, OperatorGraph
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.readers.native import write_graph
from hpcai.errors import InputError

GOLDEN = """\
{
"format": "hpcai graph 1",
"name": "tiny",
"device_kinds": ["P100", "CPU"],
"operators": [
{"name": "in", "kind": "input", "forward": [null, 0.0], "output": 600.0},
{"name": "conv", "kind": "conv", "forward": [0.001, 0.02], "backward": [0.002, 0.04], "weights": 1728.0, \
"activations": 800.0, "output": 800.0, "group": 0},
{"name": "loss", "kind": "softmax", "forward": [0.0001, 0.0003], "group": 0, "phase": "backward"}
],
"edges": [
["in", "conv"],
["conv", "loss"]
]
}
"""


def same(left: OperatorGraph, right: OperatorGraph) -> None:
    for field in dataclasses.fields(OperatorGraph):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name), err_msg=field.name)


def tiny() -> OperatorGraph:
    rows = [
        Row("in", "input", (math.inf, 0.0), (0.0, 0.0), output=600),
        Row("conv", "conv", (1e-3, 2e-2), (2e-3, 4e-2), weights=1728, activations=800, output=800, group="a"),
        Row("loss", "softmax", (1e-4, 3e-4), (0.0, 0.0), group="a", phase=BACKWARD),
    ]
    return assemble("here", "tiny", ["P100", "CPU"], rows, [("in", "conv"), ("conv", "loss")])


def test_the_golden_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    write_graph(tiny(), path)
    assert path.read_text() == GOLDEN
    same(read_graph(path), tiny())
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.json"]


amounts = st.floats(0, 1e12)
rows = st.builds(
    Row,
    name=st.text(max_size=8),
    kind=st.text(max_size=8),
    forward=st.tuples(amounts, amounts | st.just(math.inf)),
    backward=st.tuples(amounts, amounts),
    weights=amounts,
    activations=amounts,
    output=amounts,
    group=st.none() | st.integers(0, 2),
    phase=st.sampled_from([FORWARD, BACKWARD]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, min_size=1, max_size=6, unique_by=lambda row: row.name), st.data())
def test_any_graph_comes_back(
    tmp_path_factory: pytest.TempPathFactory, operators: list[Row], data: st.DataObject
) -> None:
    pairs = [(a.name, b.name) for i, a in enumerate(operators) for b in operators[i + 1 :]]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    graph = assemble("here", "any", ["P100", "CPU"], operators, edges)
    path = tmp_path_factory.mktemp("graph") / "any.json"
    write_graph(graph, path)
    same(read_graph(path), graph)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [["in", "out"]]}, "edge 'in' to 'out': there is no operator 'out'"),
        ({"edges": [["in", "conv"], ["conv", "in"]]}, "graph tiny: expected no cycle, found one around in, conv"),
        ({"operators": []}, "expected operators, found none"),
        ({"operators": [{"name": "a", "forward": [1.0]}]}, "operator 'a': forward: expected a time for each of 2 "),
        ({"operators": [{"name": "a"}]}, "operators.0.forward: required, not given"),
        ({"operators": [{"name": "a", "forward": [1, -1]}]}, "operators.0.forward.1: input should be greater than or "),
        ({"operators": [{"name": "a", "forward": [1, math.nan]}]}, "operators.0.forward.1: input should be a finite "),
        ({"operators": [{"name": "a", "forward": [None, None]}]}, "operator 'a': expected a kind of device that can "),
        ({"device_kinds": ["CPU", "CPU"]}, "expected kinds of device that differ, found ['CPU', 'CPU']"),
        ({"colour": 1}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_file(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(json.loads(GOLDEN) | change))
    with pytest.raises(InputError) as caught:
        read_graph(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_graph(tiny(), tmp_path / "none" / "tiny.json")

"""The table of costs and the roofline, with the arithmetic written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hpcai.device_placement.costs import CostTable, default_table, read_table
from hpcai.device_placement.operations import Operation, priced
from hpcai.errors import InputError

TABLE = """
classes:
  matmul: {compute: 0.5, tensor: 0.25, bandwidth: 0.5}
  elementwise: {compute: 1.0, tensor: 1.0, bandwidth: 0.5, backward: {flops: 1.0, moved: 1.5}}
  unknown: {compute: 0.1, tensor: 0.1, bandwidth: 0.1}
free: [input]
devices:
  fast:
    peak: {float32: 100.0, float16: 800.0}
    bandwidth: 20.0
    memory: 1000
    overhead: 0.25
  slow:
    peak: {float32: 10.0}
    bandwidth: 2.0
    memory: 1000
    overhead: 0
    classes: {matmul: {compute: 0.1}}
"""


@pytest.fixture
def table(tmp_path: Path) -> CostTable:
    (tmp_path / "table.yaml").write_text(TABLE)
    return read_table(tmp_path / "table.yaml")


def test_the_roofline(table: CostTable) -> None:
    assert table.seconds("matmul", 200, 10, "fast") == 0.25 + 200 / (100 * 0.5)  # bound by its FLOPs
    assert table.seconds("matmul", 200, 50, "fast") == 0.25 + 50 / (20 * 0.5)  # bound by its bytes
    assert table.seconds("matmul", 200, 1, "fast", "float16") == 0.25 + 200 / (800 * 0.25)
    assert table.seconds("matmul", 200, 10, "fast", backward=True) == 0.25 + 2 * 200 / (100 * 0.5)
    assert table.seconds("elementwise", 1, 10, "fast", backward=True) == 0.25 + 1.5 * 10 / (20 * 0.5)
    assert table.seconds("matmul", 200, 10, "slow") == 200 / (10 * 0.1)  # its own share of the peak
    assert table.seconds("matmul", 0, 10, "slow") == 10 / (2 * 0.5)  # and the common share of the bandwidth
    assert table.seconds("never heard of", 200, 0, "fast") == 0.25 + 200 / (100 * 0.1)
    assert table.seconds("input", 200, 10, "fast") == 0


def test_operations_get_their_costs(table: CostTable) -> None:
    operations = [
        Operation("in", "input", output=8),
        Operation("scale", "elementwise", ("in",), moved=10, output=8),
        Operation("first", "matmul", ("scale",), flops=200, weights=40, output=4, saved=4),
        Operation("second", "matmul", ("first",), flops=200, weights=40, output=4, saved=4),
    ]
    graph = priced("four", operations, ["fast", "slow"], table=table)
    assert graph.forward.tolist() == [[0, 1.25, 4.25, 4.25], [0, 10, 200, 200]]
    assert graph.backward.tolist() == [[0, 0, 4.25, 8.25], [0, 0, 200, 400]]  # the first needs no gradient of its input
    assert graph.weights.tolist() == [0, 0, 40, 40]
    assert graph.activations.tolist() == [0, 0, 4, 4]
    assert graph.output.tolist() == [8, 8, 4, 4]
    assert graph.edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert not priced("four", operations, ["fast"], table=table, training=False).trains


def test_the_table_that_ships() -> None:
    table = default_table()
    assert {"P100", "V100", "A100", "H100", "CPU"} <= table.devices.keys()
    for name, flops in (("conv", 1e12), ("elementwise", 0.0)):
        order = [table.seconds(name, flops, 1e9, device) for device in ("H100", "A100", "V100", "P100", "K80", "CPU")]
        assert order == sorted(order)
    for device in ("V100", "A100", "H100"):
        assert table.seconds("matmul", 1e12, 1e6, device, "float16") < table.seconds("matmul", 1e12, 1e6, device)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": {"x": {"peak": {}, "bandwidth": 0, "memory": 1, "overhead": 0}}}, "devices.x.bandwidth: "),
        ({"classes": {}}, "classes: expected one 'unknown' for operators of no other class"),
        ({"device": {}}, "unknown key 'device'; did you mean 'devices'?"),
    ],
)
def test_a_wrong_table(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(yaml.safe_load(TABLE) | change))
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "table.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'table.yaml'}: {message}")


def test_devices_and_precisions_that_there_are_not(table: CostTable) -> None:
    with pytest.raises(InputError, match="device 'quick': expected one of fast, slow"):
        table.seconds("matmul", 1, 1, "quick")
    with pytest.raises(InputError, match="device slow: precision 'float16': expected one of float32"):
        table.seconds("matmul", 1, 1, "slow", "float16")

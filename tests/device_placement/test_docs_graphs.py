"""docs/device-placement.md says of the zoo what the code does."""

from __future__ import annotations

from pathlib import Path

from hpcai.device_placement import zoo
from hpcai.device_placement.grouping import grouped

DOC = Path(__file__).parents[2] / "docs" / "device-placement.md"


def test_the_table_of_the_zoo() -> None:
    rows = [line.split(" | ") for line in DOC.read_text().splitlines() if line.startswith("| `") and " M | " in line]
    assert [row[0].strip("|` ") for row in rows] == list(zoo.MODELS)
    for name, row in zip(zoo.MODELS, rows, strict=True):
        graph = zoo.build(name, ["K80", "V100", "CPU"])
        flops = sum(operation.flops for operation in zoo.operations(name))
        seconds = (graph.forward + graph.backward).sum(axis=1)
        assert row[1:4] == [str(len(graph)), str(len(graph.edges)), str(len(grouped(graph).graph))]
        assert row[4:7] == [
            f"{graph.weights.sum() / 4e6:.1f} M",
            f"{flops / 1e9:.0f}",
            f"{graph.activations.sum() / 2**30:.1f}",
        ]
        assert [cell.strip(" |") for cell in row[7:]] == [f"{time:.2f}" for time in seconds]


def test_the_report_of_a_grouping() -> None:
    assert str(grouped(zoo.build("inception_v3"), at_most=32).report) in DOC.read_text()

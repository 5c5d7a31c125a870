"""docs/device-placement.md says of methods, steps and pipelines what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.bounds import lower_bounds
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods import pipedream
from hpcai.device_placement.methods.registry import METHODS, run
from hpcai.device_placement.pipelining import pipelined
from hpcai.device_placement.simulator import StepSimulator

TEXT = (Path(__file__).parents[2] / "docs" / "device-placement.md").read_text("utf-8")
QUICK = ("single", "chunks", "expert", "pipedream", "heft", "m-etf")


def rows(heading):
    """Return the cells of the table that has a heading, by the first of each row."""
    lines = TEXT[TEXT.index(heading) :].splitlines()[2:]
    table = [line.strip("| ").split(" | ") for line in lines[: lines.index("") if "" in lines else None]]
    return {cells[0].strip("`"): cells[1:] for cells in table}


def test_the_methods_of_the_table_are_those_that_there_are():
    described = list(rows("| method | what it does | source |"))
    assert described == [name for name in METHODS if name in described]
    assert {"single", "expert", "metis", "min-cut", "heft", "m-etf", "m-sct", "milp", "annealing"} <= set(described)


@pytest.mark.parametrize("model", ["resnet50", "inception-v3", "rnnlm", "bert"])
def test_step_times_of_the_quick_methods(model):
    heading = "| method | resnet50 | inception-v3 | rnnlm | nmt | bert | gpt2 |"
    column, table = heading.strip("| ").split(" | ").index(model) - 1, rows(heading)
    graph, devices = zoo.build(model.replace("-", "_")), machine_devices(load_machine("mn-1b"), 4)
    simulator = StepSimulator(graph, devices)
    for name in QUICK:
        found = simulator.time(run(name, graph, devices).placement).seconds
        assert table[name][column] == f"{found * 1e3:.1f}"
    assert table["lower bound"][column] == f"{lower_bounds(graph, simulator).best * 1e3:.1f}"


def test_the_pipelines_of_gpt2():
    graph, devices = zoo.build("gpt2", batch=8), machine_devices(load_machine("mn-1b"), 4)
    placement = pipedream.place(graph, devices)
    simulators = {
        "in one piece": StepSimulator(graph, devices),
        "GPipe, 8 micro-batches": pipelined(graph, devices, placement, 8, "gpipe"),
        "1F1B, 8 micro-batches": pipelined(graph, devices, placement, 8, "1f1b"),
    }
    table = rows("| | step, ms | largest peak, GB |")
    for name, simulator in simulators.items():
        timing = simulator.time(placement)
        assert table[name] == [f"{timing.seconds * 1e3:.0f}", f"{timing.peak.max() / 1e9:.2f}"]

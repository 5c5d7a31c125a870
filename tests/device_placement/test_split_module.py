"""The program that puts a plan to work on a PyTorch module."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "experiments" / "programs" / "split_module.py"


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("split_module", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_split_module_gives_the_same_output(program, capsys):
    program.main(["cpu", "cpu"])
    said = capsys.readouterr().out
    assert "split by operators: same output" in said
    assert "split by modules: same output" in said
    assert "'1.left'" in said or "'1.right'" in said  # the branches of a block are on two devices


def test_every_operator_runs_where_it_is_placed(program):
    block, example = program.Block(4), torch.ones(2, 4)
    exported = torch.export.export(block, (example,))
    operators = [node.name for node in exported.graph.nodes if node.op == "call_function"]
    place = {name: torch.device("cpu", i % 2) for i, name in enumerate(operators)}
    ran = {}

    class Watched(program.OnDevices):
        def call_function(self, target, args, kwargs):
            ran[len(ran)] = self.device
            return super().call_function(target, args, kwargs)

    watched = Watched(exported, place)
    assert torch.equal(watched.run(example), block(example))
    assert list(ran.values()) == list(place.values())


def test_outputs_go_back_to_the_module_around(program):
    moved = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            moved.append(x)
            return x + 1

    outer = torch.nn.Sequential(Spy(), Spy())
    whole = outer(torch.zeros(1))
    places = {"": torch.device("cpu"), "1": torch.device("cpu")}
    assert torch.equal(program.dispatch(outer, places)(torch.zeros(1)), whole)
    assert len(outer[1]._forward_hooks) == 1
    assert len(outer._forward_hooks) == 0

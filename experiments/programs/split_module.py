"""A plan put to work: a PyTorch module split over devices, with the same output as in one piece.

    python experiments/programs/split_module.py                 # both devices are the CPU
    python experiments/programs/split_module.py cuda:0 cuda:1   # a device for each of the plan's

The operators that ``torch.export`` finds are placed by HEFT and run one by one where the plan has them; then whole
modules are put where the map of modules says, and their inputs follow them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_map

from hpcai.cluster.spec import load_machine
from hpcai.device_placement.device_map import device_map
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods.registry import run
from hpcai.device_placement.readers.torch_module import read_module
from hpcai.device_placement.simulator import StepSimulator


class Block(nn.Module):
    """Two branches side by side, which a plan can put on two devices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
        self.right = nn.Sequential(nn.Linear(width, width), nn.Sigmoid(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum both branches."""
        return self.left(x) + self.right(x)


class OnDevices(fx.Interpreter):
    """Runs an exported program with each operator on a device of its own; ``moved`` counts tensors that changed it."""

    def __init__(self, program: torch.export.ExportedProgram, place: Mapping[str, torch.device]) -> None:
        super().__init__(program.module())
        self.place, self.moved = place, 0

    def run_node(self, node: fx.Node) -> Any:
        """Bring the inputs to the node's device first."""
        self.device = self.place.get(node.name)
        return super().run_node(node)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator."""
        return super().call_function(target, *tree_map(self._there, (args, kwargs)))

    def _there(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or self.device is None:
            return value
        self.moved += value.device != self.device
        return value.to(self.device)


def module_paths(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Return the path of the module that each operator is called in."""
    stacks = {node.name: node.meta.get("nn_module_stack") for node in program.graph.nodes}
    return {name: [path for path, _ in stack.values()][-1] for name, stack in stacks.items() if stack}


def dispatch(module: nn.Module, places: Mapping[str, torch.device]) -> nn.Module:
    """Put modules on devices, outer ones first; inputs follow a module, its output goes back to the one around it."""

    def to(device: torch.device, value: Any) -> Any:
        return tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, value)

    for path, device in places.items():
        part = module.get_submodule(path).to(device)
        part.register_forward_pre_hook(lambda _, given, device=device: to(device, given))
        outer = path
        while outer:
            outer = outer.rpartition(".")[0]
            if outer in places:
                part.register_forward_hook(lambda _, given, found, device=places[outer]: to(device, found))
                break
    return module


def main(names: Sequence[str]) -> None:
    """Plan, run in one piece, by operators and by modules, and compare."""
    torch.manual_seed(0)
    module, example = nn.Sequential(nn.Linear(64, 256), Block(256), Block(256), nn.Linear(256, 8)), torch.randn(32, 64)
    graph = read_module(module, (example,), training=False)
    devices = machine_devices(load_machine("mn-1b"), len(names))
    placement = run("heft", graph, devices).placement
    there = [torch.device(name) for name in names]
    program = torch.export.export(module, (example,))
    place = {name: there[device] for name, device in zip(graph.operators, placement, strict=True)}
    paths = module_paths(program)
    seconds = graph.forward.min(axis=0)
    mapped = device_map([paths.get(name) for name in graph.operators], seconds, placement, devices)
    print(f"step {StepSimulator(graph, devices).time(placement).seconds * 1e6:.1f} us by the plan, on {names}")
    print(f"modules: {mapped.devices}, with {mapped.agrees:.0%} of the time as placed")
    with torch.no_grad():
        whole = module(example)
        by_operator = OnDevices(program, place).run(example)
        by_module = dispatch(module, {path: there[int(number)] for path, number in mapped.devices.items()})(example)
    for how, found in (("operators", by_operator), ("modules", by_module)):
        torch.testing.assert_close(found.to("cpu"), whole)
        print(f"split by {how}: same output")


if __name__ == "__main__":
    main(sys.argv[1:] or ["cpu", "cpu"])

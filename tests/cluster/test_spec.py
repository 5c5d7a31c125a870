"""Machines: what ships, and what is said of a file that is wrong."""

from __future__ import annotations

import math

import pytest

from hpcai.cluster import Machine, load_machine
from hpcai.cluster.spec import preset_names
from hpcai.errors import InputError

GROUP = "groups: [{name: n, count: 2, cpus: 4, memory_gib: 8}]"


@pytest.mark.parametrize(("name", "gpus", "kinds"), [
    ("mn-1a", 1024, {"P100": 1024}),
    ("mn-1b", 512, {"V100": 512}),
    ("mn-1", 1536, {"P100": 1024, "V100": 512}),
])  # fmt: skip
def test_presets(name, gpus, kinds):
    machine = load_machine(name)
    assert machine.name == name
    assert machine.by_node
    assert machine.total_gpus == gpus
    assert {group.gpu_kind: group.count * group.gpus for group in machine.groups} == kinds
    assert all(group.gpus == 8 for group in machine.groups)
    assert {"P100": "FDR", "V100": "EDR"}[machine.groups[0].gpu_kind] in machine.groups[0].nic_kind


def test_every_preset_loads():
    assert preset_names() == ["mn-1", "mn-1a", "mn-1b"]
    for name in preset_names():
        assert (
            load_machine(name).total_nodes
            == len(load_machine(name).node_names)
            == len(set(load_machine(name).node_names))
        )


@pytest.mark.parametrize("number", [1, "338", 93312])
def test_a_number_is_a_machine_of_so_many_processors(number):
    machine = load_machine(str(number))
    assert not machine.by_node
    assert (machine.processors, machine.total_cpus, machine.total_nodes) == (int(number), int(number), 0)


def test_a_file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "name: ours\n"
        "groups:\n"
        "  - {name: cpu, count: 3, cpus: 48, memory_gib: 192}\n"
        "  - {name: gpu, count: 10, cpus: 64, memory_gib: 1024, gpus: 4, gpu_kind: A100}\n"
        "partitions: [{name: all, groups: [cpu, gpu], priority: 0.5}]\n"
        "reservations:\n"
        "  - {name: broken, nodes: [gpu-0010]}\n"
        "  - {name: course, start: 86400, end: 90000, nodes: [cpu-0001, cpu-0002]}\n"
        "network: {topology: dragonfly, nodes_per_switch: 4, switches_per_group: 2}\n"
    )
    machine = load_machine(path)
    assert (machine.total_nodes, machine.total_cpus, machine.total_gpus) == (13, 3 * 48 + 10 * 64, 40)
    assert machine.node_names[0] == "cpu-0001"
    assert machine.node_names[-1] == "gpu-0010"
    broken, course = machine.reservations
    assert (broken.start, broken.end) == (-math.inf, math.inf)
    assert (course.start, course.end, course.nodes) == (86400, 90000, ("cpu-0001", "cpu-0002"))


WRONG = {
    "not YAML": ("name: [", "not YAML"),
    "a list": ("- 1\n- 2\n", "expected a mapping, found list"),
    "empty": ("", "expected a mapping, found NoneType"),
    "no name": ("processors: 4", "name: Field required"),
    "unknown key": ("name: m\nprocessors: 4\nspeed: 3", "speed: Extra inputs are not permitted"),
    "unknown key of a group": (
        "name: m\ngroups: [{name: n, count: 1, cpus: 1, memory_gib: 1, gpu: 8}]",
        "groups.0.gpu: Extra inputs are not permitted",
    ),
    "neither": ("name: m", "machine: Value error, give either 'processors' or 'groups', not both or none"),
    "both": (f"name: m\nprocessors: 4\n{GROUP}", "give either 'processors' or 'groups', not both or none"),
    "no processors": ("name: m\nprocessors: 0", "processors: Input should be greater than 0"),
    "a word for a number": ("name: m\nprocessors: many", "processors: Input should be a valid integer"),
    "no nodes": ("name: m\ngroups: [{name: n, count: 0, cpus: 1, memory_gib: 1}]", "groups.0.count: Input should be"),
    "no CPUs": ("name: m\ngroups: [{name: n, count: 1, memory_gib: 1}]", "groups.0.cpus: Field required"),
    "negative power": (
        "name: m\ngroups: [{name: n, count: 1, cpus: 1, memory_gib: 1, gpu_max_w: -1}]",
        "groups.0.gpu_max_w: Input should be greater than or equal to 0",
    ),
    "group twice": (
        "name: m\ngroups: [{name: n, count: 1, cpus: 1, memory_gib: 1}, {name: n, count: 1, cpus: 1, memory_gib: 1}]",
        "node group names repeat: ['n', 'n']",
    ),
    "unknown group": (
        f"name: m\n{GROUP}\npartitions: [{{name: p, groups: [x]}}]",
        "partition 'p' names an unknown node group 'x'",
    ),
    "priority beyond 1": (
        f"name: m\n{GROUP}\npartitions: [{{name: p, groups: [n], priority: 7}}]",
        "partitions.0.priority: Input should be less than or equal to 1",
    ),
    "unknown node": (
        f"name: m\n{GROUP}\nreservations: [{{name: r, nodes: [n-0003]}}]",
        "reservation 'r' names an unknown node 'n-0003'",
    ),
    "nodes of processors": (
        "name: m\nprocessors: 4\nreservations: [{name: r, nodes: [n-0001]}]",
        "reservation 'r' names nodes of a machine counted by processor",
    ),
    "ends before it starts": (
        "name: m\nprocessors: 4\nreservations: [{name: r, start: 5, end: 5, processors: 1}]",
        "reservations.0: Value error, reservation 'r': end 5.0 is not after start 5.0",
    ),
    "unknown network": (
        "name: m\nprocessors: 4\nnetwork: {topology: ring, nodes_per_switch: 4}",
        "network.topology: Input should be 'fat-tree' or 'dragonfly'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_one_line_with_the_file_and_the_key(tmp_path, what):
    text, problem = WRONG[what]
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_machine(path)
    message = str(raised.value)
    assert message.startswith(f"machine {path}: ")
    assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["mn-9", "0", "-3", "4.5", ""])
def test_what_is_no_machine_is_an_input_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match="expected a number of processors, a YAML file, or a preset \\(mn-1, mn-1a, mn-1b\\)"
    ):
        load_machine(name)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        load_machine(path)


def test_a_machine_does_not_change():
    machine = Machine.by_processors(4)
    with pytest.raises(ValueError, match="frozen"):
        machine.processors = 5

"""Machine specifications: presets, YAML, and what is refused in one line."""

import pytest

from hpcai.cluster import Machine, load_machine, preset_names
from hpcai.errors import InputError

GROUP = "groups: [{name: a, count: 2, cpus: 8, memory_gib: 64, gpus: 4}]"


def test_presets_are_the_reference_site():
    assert preset_names() == ["mn-1", "mn-1a", "mn-1b"]
    assert load_machine("mn-1a").total_gpus == 1024
    assert load_machine("mn-1b").total_gpus == 512
    both = load_machine("mn-1")
    assert (both.total_gpus, both.total_nodes, both.by_node) == (1536, 192, True)
    assert {group.gpu_kind for group in both.groups} == {"P100", "V100"}


def test_a_number_is_a_machine_of_so_many_processors():
    machine = load_machine("338")
    assert machine == Machine.by_processors(338)
    assert (machine.by_node, machine.total_cpus, machine.total_gpus, machine.node_names) == (False, 338, 0, ())


def test_node_names_count_within_their_group(tmp_path):
    path = tmp_path / "machine.yaml"
    path.write_text(f"name: m\n{GROUP}\nnetwork: {{topology: dragonfly, nodes_per_switch: 2, switches_per_group: 4}}\n")
    machine = load_machine(path)
    assert machine.node_names == ("a-0001", "a-0002")
    assert machine.network is not None
    assert machine.network.topology == "dragonfly"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("name: m\nprocesors: 4\n", "procesors"),
        ("name: m\n", "processors"),
        (f"name: m\nprocessors: 4\n{GROUP}\n", "not both"),
        ("processors: 4\n", "name"),
        ("name: m\nprocessors: 0\n", "processors"),
        ("name: m\nprocessors: many\n", "processors"),
        (f"name: m\n{GROUP}\npartitions: [{{name: p, groups: [b]}}]\n", "'b'"),
        (f"name: m\n{GROUP}\nreservations: [{{nodes: [a-0009]}}]\n", "'a-0009'"),
        ("name: m\nprocessors: 4\nreservations: [{nodes: [a-0001]}]\n", "counted by processor"),
        ("name: m\nprocessors: 4\nreservations: [{start: 9, end: 3, processors: 1}]\n", "not after start"),
        (f"name: m\n{GROUP[:-1]}, {GROUP[9:]}\n", "repeat"),
        ("- 4\n", "mapping"),
        ("name: [\n", "YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path, content, names):
    path = tmp_path / "machine.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        load_machine(path)
    message = str(caught.value)
    assert str(path) in message
    assert names in message
    assert "\n" not in message


def test_an_unknown_machine_names_what_there_is():
    with pytest.raises(InputError, match=r"mn-9.*mn-1a"):
        load_machine("mn-9")

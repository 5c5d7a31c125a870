from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hpcai import cli
from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.readers.native import write_graph
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from hpcai.evaluation.device_placement.commands import table
from hpcai.evaluation.device_placement.config import place_config
from hpcai.evaluation.device_placement.inputs import load_inputs
from hpcai.evaluation.device_placement.place import place_model
from tests.browser import browse
from tests.device_placement.test_step_by_hand import graph_of

SMALL = {"model": "zoo:rnnlm", "settings": {"steps": 4, "batch": 8}, "gpus": 2, "evaluations": 300}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    out = tmp_path_factory.mktemp("plan")
    config = place_config(SMALL | {"methods": ["single", "heft", "annealing"], "out": str(out)})
    return config, place_model(config, quiet=True), out


def test_the_plan_is_what_the_simulator_says(planned):
    _, plan, out = planned
    written = json.loads((out / "plan.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(plan))
    devices = machine_devices(load_machine("mn-1b"), 2)
    graph = zoo.build("rnnlm", steps=4, batch=8)
    number = {name: i for i, name in enumerate(devices.names)}
    placement = np.array([number[written["placement"][name]] for name in graph.operators])
    timing = StepSimulator(graph, devices).time(placement)
    assert timing.seconds == written["step_seconds"]
    assert timing.peak.tolist() == [device["peak_bytes"] for device in written["devices"]]
    assert written["bound_seconds"] <= written["step_seconds"]
    assert written["method"] == min(plan["methods"], key=lambda name: plan["methods"][name]["step_seconds"])


def test_searches_leave_their_curve(planned):
    curve = planned[1]["methods"]["annealing"]["curve"]
    assert curve["evaluations"][-1] == 300
    assert curve["best"][-1] == planned[1]["methods"]["annealing"]["step_seconds"]
    assert "curve" not in planned[1]["methods"]["heft"]


def test_the_same_seed_gives_the_same_plan(planned, tmp_path):
    config, plan, _ = planned
    again = place_model(config.model_copy(update={"out": str(tmp_path)}), quiet=True)
    assert again["placement"] == plan["placement"]


def test_every_module_has_a_device(planned):
    found = json.loads((planned[2] / "device_map.json").read_text("utf-8"))
    assert set(found.values()) <= {0, 1}
    for name in planned[1]["placement"]:
        path = name.replace("/", ".")
        assert name == "tokens" or any(f"{path}.".startswith(f"{module}." if module else "") for module in found)


def test_the_table_is_sorted(planned):
    lines = table(planned[1])
    steps = [float(line.split("|")[2]) for line in lines[2:]]
    assert steps == sorted(steps)
    assert len(lines) == 2 + 3


def test_the_report_draws_in_a_browser(planned, tmp_path):
    html = (planned[2] / "report.html").read_text("utf-8")
    document, console = browse(html, tmp_path)
    assert not console
    assert 'data-drawn="5"' in document
    assert "The placement of" in document


def test_what_a_name_says_is_not_run(tmp_path):
    bad = graph_of([1.0, 2.0], [(0, 1)])
    object.__setattr__(bad, "operators", ("</script><script>x", "b"))
    write_graph(bad, tmp_path / "bad.json")
    config = {"model": str(tmp_path / "bad.json"), "methods": ["single"], "out": str(tmp_path / "out"), "gpus": 1}
    plan = place_model(place_config(config), quiet=True)
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<script>x" not in html
    assert list(plan["sha256"]) == [str(tmp_path / "bad.json")]


def test_groups_are_placed_and_operators_timed(tmp_path):
    config = place_config(SMALL | {"groups": 6, "methods": ["heft"], "out": str(tmp_path)})
    inputs = load_inputs(config)
    assert len(inputs.placed) <= 6
    plan = place_model(config, quiet=True)
    assert len(plan["placement"]) == len(inputs.graph)
    assert len({plan["placement"][name] for name in inputs.graph.operators}) <= 2


def test_inference_leaves_the_backward_pass_out():
    training, inference = (load_inputs(place_config(SMALL | {"training": flag})) for flag in (None, False))
    assert training.graph.trains
    assert not inference.graph.trains
    assert inference.simulator.weight_copies == 1


def test_profiles_keep_or_drop_their_backward_times(tmp_path):
    write_graph(graph_of([1.0, 2.0], [(0, 1)], backward=1.0, activations=5.0), tmp_path / "graph.json")
    given = {"model": str(tmp_path / "graph.json"), "gpus": 2}
    assert load_inputs(place_config(given)).graph.trains
    without = load_inputs(place_config(given | {"training": False})).graph
    assert not without.trains
    assert not without.activations.any()


def test_hosts_are_devices_when_asked_for():
    inputs = load_inputs(place_config(SMALL | {"host": True}))
    assert inputs.devices.kinds == ("V100", "V100", "CPU")
    assert inputs.where == "2 GPUs and the host of mn-1b"


def run(capsys, *arguments):
    """Return the exit code and what is said on stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hpcai", "place", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    return stopped.value.code, capsys.readouterr()


def test_the_command_writes_a_plan(tmp_path, capsys):
    given = (
        "zoo:rnnlm",
        "--set",
        "steps=3",
        "--set",
        "batch=4",
        "--gpus",
        2,
        "--method",
        "heft",
        "--out",
        tmp_path / "p",
    )
    code, said = run(capsys, *given)
    assert code == 0
    assert "| heft |" in said.out
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"plan.json", "device_map.json", "report.html"}


def test_errors_are_one_line(tmp_path, capsys):
    cyclic = tmp_path / "cyclic.json"
    operators = [{"name": name, "forward": [1.0]} for name in "ab"]
    content = {"format": "hpcai graph 1", "name": "x", "device_kinds": ["V100"], "operators": operators}
    cyclic.write_text(json.dumps(content | {"edges": [["a", "b"], ["b", "a"]]}), "utf-8")
    costless = tmp_path / "costless.json"
    costless.write_text(json.dumps(content | {"operators": [{"name": "a", "forward": [None]}], "edges": []}), "utf-8")
    write_graph(graph_of([1.0], [], weights=1e12), tmp_path / "huge.json")
    write_graph(graph_of([1.0, 1.0], [], activations=0, output=60e9), tmp_path / "large.json")
    for arguments, words in (
        ((cyclic,), "cyclic.json: graph x: expected no cycle, found one around a, b"),
        ((costless,), "operator 'a': expected a kind of device that can run it, found none"),
        ((tmp_path / "huge.json", "--gpus", 2), "weights of 1000.000 GB, found 931.281 GB too little"),
        ((tmp_path / "large.json", "--gpus", 2), "that of single lacks 25.640 GB, 25.640 GB of it on node0/gpu0"),
        ((cyclic, "--machine", "mn-9"), "machine 'mn-9'"),
        ((tmp_path / "huge.json", "--machine", "mn-1a"), "expected a kind that toy has costs for (V100), found P100"),
        ((tmp_path / "huge.json", "--method", "best"), "methods: expected some of single, "),
        (("zoo:rnnlm", "--set", "steps"), "--set: expected KEY=VALUE"),
        ((tmp_path / "huge.json", "--set", "batch=3"), "settings are for models of the zoo and ONNX"),
        ((tmp_path / "large.json", "--training"), "expected costs of a backward pass for a training, found none"),
        ((tmp_path / "none.onnx",), "none.onnx"),
    ):
        code, said = run(capsys, *arguments, "--quiet", "--out", tmp_path / "out")
        assert code == 2, said.err
        assert words in said.err
        assert said.err.count("\n") == 1


def test_dnn_partitioning_brings_its_own_devices(recorded_graph):
    inputs = load_inputs(place_config({"model": recorded_graph("dnnpart_latency_layer_gnmt_inference.json")}))
    assert inputs.devices.kinds == ("accelerator",) * 6 + ("CPU",) * 8
    assert inputs.where == "6 accelerators and 8 CPUs around one DRAM"
    assert inputs.simulator.weight_copies == 1


@pytest.fixture
def recorded_graph():
    folder = Path(__file__).parents[4] / "shared" / "data" / "graphs"

    def path(name):
        if not (folder / name).is_file():
            pytest.skip(f"{name} is not at hand")
        return str(folder / name)

    return path


def test_an_unknown_key_is_an_error():
    with pytest.raises(InputError, match="hpcai place: unknown key 'gpu'; did you mean 'gpus'"):
        place_config({"model": "zoo:rnnlm", "gpu": 3})

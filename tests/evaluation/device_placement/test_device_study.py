"""Comparisons of methods of device placement: what is run, what goes on after an interrupt, and the means."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.device_placement.readers.native import write_graph
from hpcai.device_placement.zoo import build
from hpcai.errors import InputError
from hpcai.evaluation.device_placement import study
from hpcai.evaluation.device_placement.study import evaluate_devices
from hpcai.evaluation.device_placement.study_config import DeviceStudy, load_device_study
from hpcai.evaluation.device_placement.study_summary import ratio, summarise, tables


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.json"
    write_graph(build("rnnlm", ["V100"], steps=3, batch=4), path)
    return DeviceStudy(
        graphs=(str(path), "zoo:inception_v3"),
        devices=(2,),
        methods=("single", "heft", "zero-shot", "learned"),
        evaluations=300,
        seeds=(0, 1),
        out=str(tmp_path / "study"),
    )


def test_every_case_method_and_seed_is_run(config, tmp_path):
    results = evaluate_devices(config)
    cells = {(cell["case"], cell["method"], cell["seed"]): cell for cell in results["cells"]}
    assert len(cells) == len(results["cells"]) == 2 * (2 + 2 * 2)  # what is no search runs once
    assert list(results["cases"]) == ["small on 2", "zoo:inception_v3 on 2"]
    for (case, method, _), cell in cells.items():
        assert cell["excess_bytes"] == 0
        assert cell["step_seconds"] >= results["cases"][case]["bound_seconds"] * (1 - 1e-9)
        if method == "learned":
            assert cell["curve"][-1][2] == cell["step_seconds"]
            assert cell["evaluations"] <= 300 + 2  # a last look at the best
    alone = results["cases"]["small on 2"]["alone"]["V100"]["step_seconds"]
    assert cells["small on 2", "single", 0]["step_seconds"] == alone
    assert json.loads((tmp_path / "study" / "results.json").read_text()) == results
    report = (tmp_path / "study" / "report.html").read_text()
    assert "zoo:inception_v3 on 2" in report
    assert "the network draws and learns on" in report


def test_an_interrupted_comparison_goes_on(config, monkeypatch):
    ran = []
    run = study.run

    def interrupted(method, *arguments):
        ran.append(method)
        if len(ran) == 4:
            raise KeyboardInterrupt
        return run(method, *arguments)

    monkeypatch.setattr(study, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_devices(config)
    results = evaluate_devices(config, resume=True)
    assert len(ran) == 12 + 1  # the fourth, again
    assert len(results["cells"]) == 12
    with pytest.raises(InputError, match="cannot resume: config evaluations was 300, is now 301"):
        evaluate_devices(config.model_copy(update={"evaluations": 301}), resume=True)


def test_networks_go_by_the_name_of_the_graph(config, tmp_path):
    networks = {"zoo:*": "for-the-zoo.npz", "sm?ll": "for-small.npz"}
    chosen = config.model_copy(update={"networks": networks})
    assert chosen.network_of("zoo:inception_v3") == "for-the-zoo.npz"
    assert chosen.network_of(str(tmp_path / "small.json")) == "for-small.npz"
    assert config.network_of("zoo:inception_v3") is None
    with pytest.raises(InputError, match=r"for-the-zoo\.npz: cannot be read"):
        evaluate_devices(chosen)


def test_means_are_geometric_and_intervals_are_over_graphs():
    times, reference = np.array([1.0, 4.0, 2.0, np.nan]), np.array([1.0, 1.0, 2.0, 1.0])
    found = ratio(times, reference, ["a", "a", "b", "b"])
    assert found["ratio"] == pytest.approx(4 ** (1 / 3))
    assert found["low"] == pytest.approx(1.0)  # b alone
    assert found["high"] == pytest.approx(2.0)  # a alone
    assert ratio(np.array([np.nan]), np.array([1.0]), ["a"]) is None


def test_the_best_published_is_taken_case_by_case_and_what_does_not_fit_is_left_out():
    def cell(case, method, seconds, excess=0.0):
        numbers = {"step_seconds": seconds, "excess_bytes": excess, "took_seconds": 1.0}
        return {"case": case, "method": method, "seed": 0} | numbers

    facts = {case: {"graph": case, "bound_seconds": 1.0} for case in ("a", "b")}
    cells = [cell("a", "heft", 2.0), cell("b", "heft", 8.0), cell("a", "annealing", 4.0), cell("b", "annealing", 4.0)]
    cells += [cell("a", "learned", 1.0), cell("b", "learned", 1.0, excess=5.0), cell("a", "halving", 1.0)]
    cells += [cell("b", "halving", 1.0)]
    results = summarise({"inputs": {}}, facts, cells)
    learned = results["methods"]["learned"]
    assert learned["not_feasible"] == 1
    assert learned["to"]["best_published"]["ratio"] == pytest.approx(0.5)  # of a alone; halving is ours
    assert results["methods"]["annealing"]["to"]["best_published"]["ratio"] == pytest.approx(2**0.5)
    assert "| b | 1000.00 | 8000.00 | 4000.00 | – | 1000.00 |" in tables(results)


def test_the_command_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("graphs: zoo:resnet50\ndevices: 2\nmethods: [single, chunks]\n")
    result = CliRunner().invoke(app, ["devices", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "| zoo:resnet50 on 2 |" in result.output
    path.write_text("graphs: zoo:resnet50\nmethods: [heftt]\n")
    with pytest.raises(InputError, match="methods: expected some of single"):
        load_device_study(path)

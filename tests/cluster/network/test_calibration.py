"""The model against published training runs, as the documentation has it; the catalogue; the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.cluster import load_machine
from hpcai.cluster.network.calibration import calibration, table
from hpcai.cluster.network.catalogue import catalogue, model_record, trained_model
from hpcai.cluster.network.fabric import make_fabric
from hpcai.cluster.network.scaling import efficiency, packed, point
from hpcai.errors import InputError
from hpcai.evaluation.network_commands import network_command

DOCS = Path(__file__).parents[3] / "docs" / "network.md"
MN1A = make_fabric(load_machine("mn-1a"))


@pytest.mark.parametrize("row", calibration(), ids=lambda row: f"{row.run.run} {row.run.gpus} {row.unit}")
def test_within_15_percent_of_what_was_published(row):
    assert abs(row.error) < 0.15


def test_a_fit_has_fewer_parameters_than_points():
    bases = [row.run.basis for row in calibration()]
    assert bases.count("predicted") > 10 * bases.count("fitted")


@pytest.mark.parametrize("part", ["runs", "missed"])
def test_documentation_has_the_tables_as_computed(part):
    assert "\n".join(table(calibration(part))) in DOCS.read_text("utf-8")


@pytest.mark.parametrize("name", catalogue())
def test_every_model_has_its_rate_alone_and_scales_below_one(name):
    model = trained_model(name)
    assert model.source
    alone = point(MN1A, model_record(model), 1)
    assert (alone.rate, alone.traffic) == (pytest.approx(model.rate), 0.0)
    assert 0 < efficiency(MN1A, model_record(model), 1024) <= efficiency(MN1A, model_record(model), 8) <= 1


@pytest.mark.parametrize(("gpus", "expected"), [(1, [1]), (8, [8]), (9, [8, 1]), (24, [8, 8, 8])])
def test_gpus_are_packed_onto_the_first_nodes(gpus, expected):
    node, on_each = packed(MN1A, gpus)
    assert node.tolist() == list(range(len(expected)))
    assert on_each.tolist() == expected
    assert on_each.dtype == np.int64


@pytest.mark.parametrize("gpus", [0, -1, 1025])
def test_no_more_gpus_than_there_are(gpus):
    with pytest.raises(InputError, match="expected from 1 to 1024"):
        packed(MN1A, gpus)


def test_command_prints_a_row_for_each_number_of_gpus(capsys):
    network_command("mn-1a", "resnet50", "8,64,1024", False, False)
    rows = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["| 8", "1", "1"], ["| 64", "8", "1"], ["| 1024", "128", "8"]]


def test_command_takes_powers_of_eight_by_default(capsys):
    network_command("mn-1b", "pfdet", "", False, False)
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == ["| 1", "| 8", "| 64", "| 512"]


def test_command_lists_models_and_calibration(capsys):
    network_command("mn-1a", "resnet50", "", True, False)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(catalogue())
    network_command("mn-1a", "resnet50", "", False, True)
    assert "\n".join(table(calibration())) in capsys.readouterr().out


@pytest.mark.parametrize(("machine", "model", "gpus", "said"), [
    ("mn-1a", "resnet51", "", "model 'resnet51': expected one of resnet50, "),
    ("mn-1a", "resnet50", "8,x", "--gpus 8,x: expected numbers from 1 to 1024, the GPUs of mn-1a, found 'x'"),
    ("mn-1a", "resnet50", "2000", "found '2000'"),
    ("64", "resnet50", "8", "expected nodes"),
])  # fmt: skip
def test_command_says_what_is_wrong(machine, model, gpus, said):
    with pytest.raises(InputError) as error:
        network_command(machine, model, gpus, False, False)
    assert said in str(error.value)

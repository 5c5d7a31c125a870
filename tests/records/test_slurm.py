"""Slurm's notations, and the logs written in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcai.errors import FormatError
from hpcai.records import read_trace
from hpcai.records.readers import _slurm

Recorded = Callable[[str], Path]
Sample = Callable[[str], Path]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:07", 7),
        ("1-02:03:04", 93784),
        ("05:30", 330),
        ("00:01.277", 1.277),
        ("2-00", 172800),
        ("2-03:30", 185400),
        ("37-07:20:50", 3223250),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert _slurm.duration(text) == pytest.approx(seconds)


def test_limit() -> None:
    assert _slurm.limit("5") == 300
    assert _slurm.limit("3-00:00:00") == 259200
    assert math.isnan(_slurm.limit("UNLIMITED"))
    assert math.isnan(_slurm.limit("Partition_Limit"))


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("1000M", 1000), ("4Gn", 8192), ("2800Mc", 8400), ("1T", 1048576), ("512", 512), ("4.50G", 4608), ("2048K", 2)],
)
def test_memory(text: str, mebibytes: float) -> None:
    assert _slurm.memory(text, nodes=2, cpus=3) == mebibytes * 2**20


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3,7]", ["n1", "n2", "n3", "n7"]),
        ("b[002-003],login", ["b002", "b003", "login"]),
        ("r[1-2]n[0-1]", ["r1n0", "r1n1", "r2n0", "r2n1"]),
        ("", []),
    ],
)
def test_node_names(text: str, names: list[str]) -> None:
    assert _slurm.node_names(text) == names


@pytest.mark.parametrize("text", ["n[1-", "n[a-b]", "n[1-99999999]", "n]1", "[1-1000]x[1-1000]"])
def test_node_names_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        _slurm.node_names(text)


def test_gpus() -> None:
    assert _slurm.gpus(_slurm.resources("cpu=8,gres/gpu:v100=2,gres/gpu=2")) == (2, "v100")
    assert _slurm.gpus(_slurm.resources("gres/gpu:a100=2,gres/gpu:v100=1")) == (3, "a100|v100")
    assert _slurm.gpus({}) == (0, "")


def test_sacct_fields(sample: Sample) -> None:
    trace = read_trace(sample("sacct"))
    ran, never = trace.jobs.to_dict("records")
    assert (ran["job_id"], ran["submit"], ran["start"], ran["end"], ran["run_time"]) == ("7", 0, 50, 110, 60)
    assert (ran["processors"], ran["nodes"], ran["gpus"], ran["gpu_kind"]) == (16, 2, 4.0, "v100")
    assert (ran["requested_time"], ran["memory"]) == (300.0, 8 * 2**30)
    assert (ran["user"], ran["group"], ran["tenant"], ran["partition"], ran["qos"]) == (
        *("alice", "ml", "ml"),
        *("main", "normal"),
    )
    assert (never["status"], never["processors"], never["submit"]) == ("cancelled", 4, 20.0)
    assert math.isnan(never["run_time"])
    assert math.isnan(never["requested_time"])
    assert never["memory"] == 4 * 2800 * 2**20
    assert trace.bad_rows.total == 0
    assert trace.origin == 1767225610
    assert trace.machine is not None
    assert (trace.machine.total_nodes, trace.machine.total_cpus, trace.machine.total_gpus) == (2, 16, 4)
    assert [(group.name, group.gpu_kind) for group in trace.machine.groups] == [("v100-gpu2", "v100")]


SHORT = "JobID|State|Submit|Start|End|NCPUS|JobName\n"


def sacct(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "sacct.txt"
    path.write_text(SHORT + "\n".join(rows) + "\n")
    return path


def test_sacct_pending_array_is_one_job_per_task(tmp_path: Path) -> None:
    trace = read_trace(sacct(tmp_path, "519_[3-5,9%2]|PENDING|2026-01-01T00:00:00|Unknown|Unknown|1|a"))
    assert trace.jobs["job_id"].tolist() == ["519_3", "519_4", "519_5", "519_9"]
    assert set(trace.jobs["kind"]) == {"array"}
    assert trace.jobs["status"].tolist() == ["pending"] * 4


def test_sacct_requeued_job_counts_once_with_its_last_run(tmp_path: Path) -> None:
    first = "5|NODE_FAIL|2026-01-01T00:00:00|2026-01-01T00:00:10|2026-01-01T00:00:20|1|a"
    last = "5|COMPLETED|2026-01-01T00:00:00|2026-01-01T00:01:10|2026-01-01T00:02:00|1|a"
    trace = read_trace(sacct(tmp_path, first, last))
    assert trace.jobs["run_time"].tolist() == [50.0]
    assert trace.bad_rows.first_lines == {"an earlier run of a job that was requeued": [2]}


def test_sacct_bar_in_the_job_name_is_repaired_and_a_short_row_is_not(tmp_path: Path) -> None:
    good = "1|COMPLETED|2026-01-01T00:00:00|2026-01-01T00:00:10|2026-01-01T00:00:20|1|a|b|c"
    short = "2|COMPLETED|2026-01-01T00:00:00"
    wrong = "3|COMPLETED|yesterday|2026-01-01T00:00:10|2026-01-01T00:00:20|1|a"
    trace = read_trace(sacct(tmp_path, good, short, wrong))
    assert trace.jobs["job_id"].tolist() == ["1"]
    assert trace.bad_rows.first_lines == {
        "number of fields differs from the header": [3],
        "a field is not a number": [4],
    }


def test_sacct_times_that_are_no_times(tmp_path: Path) -> None:
    old = "1|COMPLETED|0001-01-01T00:00:00|2026-01-01T00:00:10|2026-01-01T00:00:20|1|a"
    never = "2|CANCELLED|2026-01-01T00:00:00|1970-01-01T00:00:00|2026-01-01T00:00:20|1|a"
    trace = read_trace(sacct(tmp_path, old, never))
    assert trace.jobs["job_id"].tolist() == ["2"]
    assert math.isnan(trace.jobs["start"][0])
    assert trace.bad_rows.first_lines == {"a field is not a number": [2]}


def test_sacct_running_job(tmp_path: Path) -> None:
    trace = read_trace(sacct(tmp_path, "1|RUNNING|2026-01-01T00:00:00|2026-01-01T00:00:10|Unknown|1|a"))
    assert trace.jobs["status"].tolist() == ["running"]
    assert any("still running" in note for note in trace.notes)


def test_sacct_without_jobs(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found a header but no job"):
        read_trace(sacct(tmp_path))


def test_sacct_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("live/sacct-sample.txt"))
    assert trace.jobs["job_id"].tolist() == ["13", "514", "515", "516", "517", "519_0", "519_1", "519_2"]
    assert trace.jobs["kind"].tolist() == [*[""] * 5, *["array"] * 3]
    assert trace.jobs["gpus"].tolist() == [32, 8, 4, 16, 1, 2, 2, 2]
    assert trace.machine is not None
    assert (trace.machine.total_nodes, trace.machine.total_gpus) == (4, 32)


def test_sacct_of_irregular_width(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/gpu/ubhpc_sacct_simple.log"))
    assert (len(trace.jobs), trace.bad_rows.total) == (4, 0)
    trace = read_trace(recorded("data/gpu/ubhpc_sacct_dump2101.log"))
    assert trace.jobs["job_id"].tolist()[-5:] == [f"48309{i}" for i in (73, 74, 75, 76, 77)]
    assert trace.jobs["run_time"].tolist()[-5:] == [259222.0] * 5
    assert trace.bad_rows.count == {"number of fields differs from the header": 1}


def test_jobcomp_fields(sample: Sample) -> None:
    trace = read_trace(sample("jobcomp"))
    job = trace.jobs.iloc[0]
    assert (job["job_id"], job["user"], job["group"], job["tenant"]) == ("519_2", "alice", "ml", "ml")
    assert job["kind"] == "array"
    assert (job["submit"], job["start"], job["run_time"], job["requested_time"]) == (0, 60, 60, 300)
    assert (job["processors"], job["nodes"], job["gpus"], job["memory"]) == (16, 2, 8, 4 * 2**30)


def test_jobcomp_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("live/jobcomp-sample.txt"))
    assert (trace.format, len(trace.jobs), trace.bad_rows.total) == ("jobcomp", 18, 0)
    cancelled = trace.jobs[trace.jobs["job_id"] == "518"].iloc[0]
    assert math.isnan(cancelled["run_time"])
    assert cancelled["gpus"] == 32


def test_slurm_db_fields(sample: Sample) -> None:
    trace = read_trace(sample("slurm_db"))
    ran, never = trace.jobs.to_dict("records")
    assert (ran["job_id"], ran["processors"], ran["gpus"], ran["memory"]) == ("9", 20, 2, 170000 * 2**20)
    assert (ran["start"], ran["run_time"], ran["requested_time"], ran["user"]) == (272558, 307, 3600, "1000")
    assert (never["job_id"], never["status"], never["nodes"], never["processors"]) == ("10_3", "cancelled", 1, 4)
    assert math.isnan(never["run_time"])
    assert math.isnan(never["requested_time"])


def test_slurm_db_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/gpu/mit_supercloud_slurm_2021_a.csv.gz"))
    assert (len(trace.jobs), trace.bad_rows.total) == (6418, 0)
    assert trace.jobs["status"].value_counts()["completed"] == 3843
    assert trace.machine is not None
    assert max(group.gpus for group in trace.machine.groups) == 2


def test_slurm_events(sample: Sample) -> None:
    job = read_trace(sample("slurm_events")).jobs.iloc[0]
    assert (job["submit"], job["run_time"], job["requested_time"], job["processors"]) == (10.5, 100, 259200, 18)
    assert (job["nodes"], job["gpus"], job["memory"], job["user"]) == (2, 4, 1000 * 2**30, "u1")


def test_slurm_events_recorded(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/gpu/slurm_sim_medium_week.events.gz"))
    assert (len(trace.jobs), trace.bad_rows.total) == (19579, 0)


def test_sacct_energy_is_mean_power_where_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    columns = "JobID|Submit|Start|End|State|NCPUS|ConsumedEnergyRaw"
    times = "2024-01-01T00:00:00|2024-01-01T00:00:00|2024-01-01T01:00:00|COMPLETED|4"
    energies = ("3600000", "0", "", "18446744073709551614")
    path.write_text("\n".join([columns, *(f"{i}|{times}|{energy}" for i, energy in enumerate(energies, 1))]) + "\n")
    assert read_trace(path).jobs["power"].tolist() == pytest.approx([1000, *[math.nan] * 3], nan_ok=True)

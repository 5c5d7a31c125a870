"""What is written is read back the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine, Reservation
from hpcai.errors import FormatError, InputError
from hpcai.records import BadRows, Trace, empty_jobs, read_trace, write_parquet, write_swf, write_trace
from hpcai.records.readers._table import canonical, finish
from hpcai.records.schema import JOB_COLUMNS, JOB_KINDS, PRIORITY_CLASSES

SWF_COLUMNS = (
    *("job_id", "submit", "start", "end", "run_time", "requested_time", "processors", "requested_processors"),
    *("user", "group", "queue", "partition", "status", "preceding_job", "think_time"),
)
seconds = st.integers(0, 10**9).map(float) | st.floats(0, 1e7, allow_nan=False)
parties = st.sampled_from(["", "1", "7", "92605928607567"]) | st.sampled_from(["", "alice", "7", "b c"])


@st.composite
def swf_jobs(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Rows that SWF can carry."""
    rows = []
    submit = 0.0
    for i in range(draw(st.integers(1, 8))):
        submit += draw(st.integers(0, 5000))
        ran = draw(st.booleans())
        wait = draw(st.none() | st.integers(0, 10**6))
        run_time = float(draw(st.integers(0, 10**6))) if ran else math.nan
        left = math.nan if wait is None else submit + wait
        preceding = draw(st.sampled_from(["", *(str(k + 1) for k in range(i))]))
        rows.append(
            {
                "job_id": str(i + 1),
                "submit": submit,
                "start": left if ran else math.nan,
                "end": left + (run_time if ran else 0),
                "run_time": run_time,
                "requested_time": draw(st.just(math.nan) | seconds.filter(lambda t: t > 0)),
                "processors": draw(st.integers(1, 64)),
                "requested_processors": draw(st.integers(0, 64)),
                **{name: draw(parties) for name in ("user", "group", "queue", "partition")},
                "status": draw(st.sampled_from(["completed", "failed", "cancelled", "unknown"])),
                "preceding_job": preceding,
                "think_time": draw(st.just(math.nan) | st.integers(0, 100).map(float)) if preceding else math.nan,
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def trace_of(columns: dict[str, list[Any]]) -> Trace:
    trace = Trace.new("t", "swf", {})
    arrays = {
        name: np.array(values, dtype=object if isinstance(values[0], str) else np.float64)
        for name, values in columns.items()
    }
    trace.jobs = canonical(arrays, np.arange(len(columns["submit"])))
    trace.machine = Machine.by_processors(64)
    trace.origin = 5.0
    return trace


@st.composite
def cluster_jobs(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Rows with all that a GPU cluster under Kubernetes says of a job, or with parts of it unknown."""
    columns = draw(swf_jobs())
    amount = st.just(math.nan) | st.floats(0.25, 1e12)
    choices: dict[str, st.SearchStrategy[Any]] = {
        "qos": st.sampled_from(["", *PRIORITY_CLASSES]),
        "kind": st.sampled_from(["", *JOB_KINDS]),
        "pods": st.integers(0, 300),
        "min_gpus": amount,
        "max_gpus": amount,
        "scaling": st.just(math.nan) | st.floats(0, 1),
        "model": st.sampled_from(["", "resnet50", "bert-large"]),
        "checkpoint_interval": amount | st.just(math.inf),
        "checkpoint_bytes": amount,
        "on_signal": st.integers(0, 1),
        "busy": st.just(math.nan) | st.floats(0, 1),
        "power": amount,
    }
    n = len(columns["submit"])
    return columns | {name: draw(st.lists(each, min_size=n, max_size=n)) for name, each in choices.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(columns=cluster_jobs())
def test_parquet_keeps_what_goes_with_the_kind_of_a_job(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    trace = trace_of(columns)
    write_parquet(trace, tmp_path / "t.parquet")
    back = read_trace(tmp_path / "t.parquet")
    assert back.equals(trace)
    assert back.jobs["checkpoint_interval"].tolist() == pytest.approx(columns["checkpoint_interval"], nan_ok=True)
    assert back.jobs["kind"].tolist() == columns["kind"]


def test_parquet_written_before_there_were_kinds_of_jobs(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("sacct"))
    write_parquet(trace, tmp_path / "t.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    later = [column.name for column in JOB_COLUMNS if column.later]
    pyarrow.parquet.write_table(table.drop_columns(later), tmp_path / "t.parquet")
    jobs = read_trace(tmp_path / "t.parquet").jobs
    assert jobs.equals(trace.jobs.assign(**{name: empty_jobs(len(jobs))[name] for name in later}))
    pyarrow.parquet.write_table(table.drop_columns(["gpus"]), tmp_path / "t.parquet")
    with pytest.raises(FormatError, match="found Parquet with no column 'gpus'"):
        read_trace(tmp_path / "t.parquet")


def test_only_a_checkpoint_interval_may_be_infinite() -> None:
    bad = BadRows()
    numbers = np.array([1.0, math.inf, math.nan])
    columns = {"submit": np.zeros(3), "run_time": np.ones(3), "gpus": np.ones(3), "checkpoint_interval": numbers}
    assert len(finish(columns, lines=np.arange(1, 4), bad=bad)) == 3
    columns["checkpoint_bytes"] = columns.pop("checkpoint_interval")
    assert len(finish(columns, lines=np.arange(1, 4), bad=bad)) == 2
    assert bad.first_lines == {"a field is not a number": [2]}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(columns=swf_jobs(), suffix=st.sampled_from([".swf", ".swf.gz", ".parquet"]))
def test_round_trip(tmp_path: Path, columns: dict[str, list[Any]], suffix: str) -> None:
    trace = trace_of(columns)
    path = tmp_path / f"t{suffix}"
    write_trace(trace, path)
    back = read_trace(path)
    assert back.bad_rows.total == 0
    assert back.jobs.equals(trace.jobs), [c for c in trace.jobs if not back.jobs[c].equals(trace.jobs[c])]
    assert back.machine == trace.machine
    assert back.origin == trace.origin
    if suffix == ".parquet":
        assert back.equals(trace)


def test_recorded_round_trip(recorded: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(recorded("data/swf/SDSC-SP2-1998-first-5k.swf.gz"))
    write_swf(trace, tmp_path / "t.swf")
    back = read_trace(tmp_path / "t.swf")
    assert back.jobs.equals(trace.jobs)
    assert back.origin == trace.origin


def test_swf_numbers_names_and_says_what_it_loses(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("sacct"))
    write_swf(trace, tmp_path / "t.swf")
    text = (tmp_path / "t.swf").read_text()
    assert "; User: 1 alice\n; User: 2 bob\n" in text
    assert "; Conversion: hpcai\n" in text
    assert "; MaxProcs: 16\n" in text
    assert "SWF cannot carry the columns nodes, gpus, gpu_kind, tenant, qos" in text
    back = read_trace(tmp_path / "t.swf").jobs
    for column in ("user", "group", "partition"):
        assert back[column].equals(trace.jobs[column])
    assert back["memory"].tolist() == trace.jobs["memory"].tolist()
    for column in ("submit", "start", "run_time", "processors", "status"):
        assert back[column].equals(trace.jobs[column])


def test_swf_of_gpus_alone(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("philly"))
    write_swf(trace, tmp_path / "t.swf")
    assert "; Note: processors are GPUs\n" in (tmp_path / "t.swf").read_text()
    back = read_trace(tmp_path / "t.swf")
    assert back.jobs["processors"].tolist() == [8]
    assert back.origin == trace.origin


def test_parquet_keeps_a_reservation_without_end(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("swf"))
    trace.machine = Machine(name="m", processors=128, reservations=(Reservation(start=5.0, processors=3),))
    write_parquet(trace, tmp_path / "t.parquet")
    assert read_trace(tmp_path / "t.parquet").equals(trace)


def test_the_same_trace_gives_the_same_bytes(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("swf"))
    for suffix in (".swf.gz", ".parquet"):
        write_trace(trace, tmp_path / f"a{suffix}")
        write_trace(trace, tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_failed_write_leaves_the_old_file(
    sample: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "t.parquet"
    target.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", fail)
    with pytest.raises(InputError, match=r"t\.parquet: cannot be written: No space left on device"):
        write_parquet(read_trace(sample("swf")), target)
    assert target.read_text() == "old"
    assert not list(tmp_path.glob(".t.parquet*"))


def test_where_nothing_can_be_written(sample: Callable[[str], Path], tmp_path: Path) -> None:
    trace = read_trace(sample("swf"))
    with pytest.raises(InputError, match="cannot be written"):
        write_trace(trace, tmp_path / "no" / "t.swf")
    with pytest.raises(InputError, match=r"expected a file name that ends in \.parquet"):
        write_trace(trace, tmp_path / "t.csv")

"""SWF: every field, the quirks of real logs, and what is kept out."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpcai.errors import BadRowsError, FormatError, InputError
from hpcai.records import JOB_COLUMNS, Trace, empty_jobs, read_trace

Recorded = Callable[[str], Path]


def read(tmp_path: Path, text: str, **options: object) -> Trace:
    path = tmp_path / "log.swf"
    path.write_text(text)
    return read_trace(path, format="swf", **options)  # type: ignore[arg-type]


def line(**fields: float) -> str:
    names = (
        *("job", "submit", "wait", "run", "allocated", "cpu", "memory", "requested", "limit", "request_memory"),
        *("status", "user", "group", "app", "queue", "partition", "preceding", "think"),
    )
    return " ".join(str(fields.get(name, -1)) for name in names)


JOB = {"job": 1, "submit": 0, "run": 10, "allocated": 4}


def test_every_field_lands_in_its_column(tmp_path: Path) -> None:
    text = "; MaxProcs: 128\n; UnixStartTime: 42\n" + "7 100 5 60 4 1.5 -1 8 600 2048 1 3 2 -1 9 6 5 30\n"
    trace = read(tmp_path, text)
    not_in_swf = [column.name for column in JOB_COLUMNS if column.later]
    assert trace.jobs[not_in_swf].equals(empty_jobs(1)[not_in_swf])
    assert trace.jobs.drop(columns=not_in_swf).iloc[0].to_dict() == {
        "job_id": "7",
        "submit": 100.0,
        "start": 105.0,
        "end": 165.0,
        "run_time": 60.0,
        "requested_time": 600.0,
        "processors": 4,
        "requested_processors": 8,
        "nodes": 0,
        "gpus": 0.0,
        "gpu_kind": "",
        "memory": 2048 * 1024.0 * 4,
        "user": "3",
        "group": "2",
        "tenant": "",
        "queue": "9",
        "partition": "6",
        "qos": "",
        "status": "completed",
        "preceding_job": "5",
        "think_time": 30.0,
    }
    assert trace.origin == 42
    assert trace.machine is not None
    assert trace.machine.processors == 128


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, "failed"),
        (1, "completed"),
        (2, "unknown"),
        (3, "completed"),
        (4, "failed"),
        (5, "cancelled"),
        (-1, "unknown"),
    ],
)
def test_status(tmp_path: Path, code: int, status: str) -> None:
    assert read(tmp_path, line(**JOB, status=code)).jobs["status"].tolist() == [status]


def test_a_part_of_a_job_listed_whole_is_kept_out(tmp_path: Path) -> None:
    trace = read(tmp_path, "\n".join([line(**JOB, status=1), line(**JOB, status=2), line(**JOB, status=3)]))
    assert len(trace.jobs) == 1
    assert trace.bad_rows.first_lines == {"part of a job that the log also lists whole": [2, 3]}


def test_cancelled_in_the_queue_is_kept_without_run_time(tmp_path: Path) -> None:
    job = read(tmp_path, line(job=1, submit=5, wait=100, requested=64, status=5)).jobs.iloc[0]
    assert np.isnan(job["run_time"])
    assert np.isnan(job["start"])
    assert (job["end"], job["status"], job["processors"]) == (105.0, "cancelled", 64)


def test_run_time_zero_stays_zero(tmp_path: Path) -> None:
    assert read(tmp_path, line(**{**JOB, "run": 0})).jobs["run_time"].tolist() == [0.0]


def test_bad_rows_are_counted_by_reason_and_line(tmp_path: Path) -> None:
    rows = [
        "; MaxProcs: 8",
        line(**JOB),
        "1 2 3",
        line(job=2, submit=1, run="x", allocated=1),  # type: ignore[arg-type]
        "",
        line(job=3, submit=-5, run=1, allocated=1),
        line(job=4, submit=5, run=-7, allocated=1),
        line(job=5, submit=5, run=7, allocated=9),
        line(job=6, submit=5, run=7),
        line(job=1, submit=9, run=7, allocated=1),
        line(job=7, submit=9, run=7, allocated=1.5),
        line(job=8, submit="nan", run=7, allocated=1),  # type: ignore[arg-type]
        line(job=9, submit=3, run=7, allocated=1),
        line(job=7, submit=20, run=7, allocated=1),
    ]
    trace = read(tmp_path, "\n".join(rows))
    assert trace.jobs["job_id"].tolist() == ["1", "9", "7"]  # job 7 is repeated, but only once is it any good
    assert trace.bad_rows.first_lines == {
        "fewer than 18 fields": [3],
        "a field is not a number": [4, 12],
        "negative submit time": [6],
        "negative run time": [7],
        "larger than the machine": [8],
        "size is not a positive whole number": [9, 11],
        "repeated job id": [10],
    }
    assert trace.bad_rows.total == 9


def test_strict_names_the_first_bad_row(tmp_path: Path) -> None:
    with pytest.raises(BadRowsError, match=r"log\.swf: line 2: fewer than 18 fields \(2 bad rows in all\)"):
        read(tmp_path, f"{line(**JOB)}\n1 2\n3 4\n", strict=True)


def test_not_swf_at_all(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"log\.swf: found no line of 18 numbers .* expected SWF"):
        read(tmp_path, "one two three\n")
    with pytest.raises(FormatError, match="no line that is not a comment"):
        read(tmp_path, "; MaxProcs: 3\n")
    with pytest.raises(FormatError, match="empty"):
        read(tmp_path, "\n\n")


def test_numbers_in_every_notation(tmp_path: Path) -> None:
    text = "1 +1.50e1 0 0012.0 4. -1 -1 123456789012345678 .5 -1 1 92605928607567 -1 -1 -1 -1 -1 -1"
    job = read(tmp_path, text).jobs.iloc[:1]
    assert job.empty  # a size of 1.2e17 is nobody's
    job = read(tmp_path, text.replace("123456789012345678", "12")).jobs.iloc[0]
    assert (job["submit"], job["run_time"], job["processors"], job["requested_time"]) == (15.0, 12.0, 4, 0.5)
    assert job["user"] == "92605928607567"


def test_size_option(tmp_path: Path) -> None:
    text = line(**JOB, requested=2)
    assert read(tmp_path, text).jobs["processors"].tolist() == [4]
    trace = read(tmp_path, text, size="requested")
    assert trace.jobs["processors"].tolist() == [2]
    assert any("1 jobs were allocated more" in note for note in trace.notes)
    with pytest.raises(InputError, match="expected 'allocated' or 'requested'"):
        read(tmp_path, text, size="x")


def test_max_nodes_stands_in_only_if_every_job_fits(tmp_path: Path) -> None:
    trace = read(tmp_path, f"; MaxNodes: 4\n{line(**JOB)}")
    assert trace.machine is not None
    assert trace.machine.processors == 4
    assert read(tmp_path, f"; MaxNodes: 3\n{line(**JOB)}").machine is None


def test_unix_times_are_rebased(tmp_path: Path) -> None:
    rows = [line(job=1, submit=1700000100, run=1, allocated=1), line(job=2, submit=1700000000, run=1, allocated=1)]
    trace = read(tmp_path, "\n".join(rows))
    assert trace.jobs["job_id"].tolist() == ["2", "1"]
    assert trace.jobs["submit"].tolist() == [0.0, 100.0]
    assert trace.origin == 1700000000


def test_extra_columns_tabs_and_carriage_returns(tmp_path: Path) -> None:
    row = line(**JOB).replace(" ", "\t")
    trace = read(tmp_path, f"{row}\t{{1241,1241}} q_2w 1:ppn=12\r\n")
    assert len(trace.jobs) == 1
    assert trace.notes[0] == "columns beyond the standard 18 were not used"


def test_truncated_gzip_gives_what_is_there(tmp_path: Path) -> None:
    rows = [line(job=i, submit=i * 7919 % 100003, run=i * 104729 % 9973, allocated=1) for i in range(1, 3000)]
    packed = gzip.compress("\n".join(rows).encode())
    (tmp_path / "cut").write_bytes(packed[: len(packed) // 2])
    trace = read_trace(tmp_path / "cut")
    assert 500 < len(trace.jobs) < 2500
    assert trace.bad_rows.count == {"file is cut short or damaged: the rest is lost": 1}
    assert trace.bad_rows.first_lines["file is cut short or damaged: the rest is lost"] == [len(trace.jobs) + 1]


def test_encoding_of_comments_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_bytes(b"; Installation: Universit\xe9\n; MaxProcs: 9\n" + line(**JOB).encode())
    trace = read_trace(path)
    assert trace.bad_rows.total == 0
    assert trace.machine is not None


@pytest.mark.parametrize(
    ("name", "jobs", "processors", "never_ran"),
    [
        ("CTC-SP2-1996-3.1-cln", 77222, 338, None),
        ("SDSC-BLUE-2000-4.2-cln", 243306, 1152, None),
        ("KTH-SP2-1996-2", 28489, 100, None),
        ("CEA-Curie-sample-30k", 29998, 93312, 0),
        ("SDSC-SP2-1998-first-5k", 4961, 128, None),
        ("NASA-iPSC-1993-3.1-cln", 18239, 128, None),
        ("Theta-2023-alloc", 23387, 4392, 0),
        ("Theta-2023-walltime", 23387, 4392, 0),
        ("lublin_256", 10000, 256, 0),
        ("Theta-2018-CQGym-train", 3000, 4360, 0),
    ],
)
def test_recorded_logs(recorded: Recorded, name: str, jobs: int, processors: int, never_ran: int | None) -> None:
    trace = read_trace(recorded(f"data/swf/{name}.swf.gz"))
    assert len(trace.jobs) == jobs
    assert trace.bad_rows.total == 0
    assert trace.machine is not None
    assert trace.machine.processors == processors
    if never_ran is not None:
        assert trace.jobs["run_time"].isna().sum() == never_ran


def test_metacentrum(recorded: Recorded) -> None:
    trace = read_trace(recorded("data/swf/MetaCentrum-Zewura-2013.swf.gz"))
    assert len(trace.jobs) == 17898
    assert trace.bad_rows.first_lines == {"negative run time": [4186, 4200]}
    assert trace.machine is None
    assert trace.jobs["memory"].isna().all()


def test_theta_alloc_uses_field_6_as_the_limit_and_agrees_with_its_twin(recorded: Recorded) -> None:
    alloc = read_trace(recorded("data/swf/Theta-2023-alloc.swf.gz"))
    twin = read_trace(recorded("data/swf/Theta-2023-walltime.swf.gz"))
    assert any("field 6" in note for note in alloc.notes)
    for column in ("job_id", "submit", "run_time", "requested_time", "processors"):
        assert alloc.jobs[column].equals(twin.jobs[column]), column
    off = read_trace(recorded("data/swf/Theta-2023-alloc.swf.gz"), requested_time_field=9)
    assert off.jobs["requested_time"].isna().all()

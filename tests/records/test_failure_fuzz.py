"""Whatever the bytes, a reader of failures gives a log or an InputError: never another exception, never a warning."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.records.failure_writers import write_failures
from hpcai.records.failures import FAILURE_FORMATS, FailureLog, read_failures
from tests.failure_samples import FAILURE_SAMPLES

SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ", "10")), deadline=None, suppress_health_check=list(HealthCheck)
)
PIECES = [
    *(b"", b"-1", b"nan", b"inf", b"1e999", b"9" * 30, b"0.5", b"\n", b"\r\n", b"|", b",", b'"', b" "),
    *(b"\x00", b"\xff", b"None", b"Unknown", b"9999-99-99", b"0001-01-01T00:00:00", b"{", b"}", b"[", b"]", b"null"),
    *(b"2999-01-01T00:00:00", b"0/0/0000 0:00", b"13-Foo", b"Feb 30 25:61:61", b"true", b"[[[[", b"\xe2\x82\xac"),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Files(dict[str, bytes]):
    """Content by format, without the long repr in the report of a failure."""

    def __repr__(self) -> str:
        return "Files(...)"


@pytest.fixture(scope="module")
def valid(folder: Path) -> Files:
    (folder / "table").write_text(FAILURE_SAMPLES["table"])
    write_failures(read_failures(folder / "table"), folder / "log.parquet")
    files = {name: text.encode() for name, text in FAILURE_SAMPLES.items()}
    return Files(files | {"parquet": (folder / "log.parquet").read_bytes()})


def attempt(folder: Path, data: bytes, format: str | None) -> None:
    path = folder / "fuzzed"
    path.write_bytes(data)
    try:
        log = read_failures(path, format=format)
    except InputError as error:
        message = str(error)
    else:
        check(log)
        return
    assert "\n" not in message
    assert str(path) in message


def check(log: FailureLog) -> None:
    events = log.events
    assert events["start"].is_monotonic_increasing
    assert events["start"].notna().all()
    assert not (events["end"] < events["start"]).any()
    assert set(events["node"]) <= set(log.nodes["node"])
    low, high = log.service
    assert (low <= high).all()


@pytest.mark.parametrize("format", [*FAILURE_FORMATS, None])
@SETTINGS
@given(data=st.binary(max_size=300))
def test_any_bytes(folder: Path, format: str | None, data: bytes) -> None:
    attempt(folder, data, format)


@pytest.mark.parametrize("format", FAILURE_FORMATS)
@SETTINGS
@given(data=st.data())
def test_mutated_failure_logs(folder: Path, valid: Files, format: str, data: st.DataObject) -> None:
    content = bytearray(valid[format])
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 12)))
        content[start:stop] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=6))
    attempt(folder, bytes(content), data.draw(st.sampled_from([format, None])))

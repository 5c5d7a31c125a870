"""Whatever the bytes, a reader gives a trace or an error of hpcai: never another exception, never a warning."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcai.errors import HpcaiError
from hpcai.records import FORMATS, Trace, read_trace, write_parquet
from hpcai.records.summary import describe

SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ", "40")), deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Files(dict[str, bytes]):
    """Content by format, without the long repr in the report of a failure."""

    def __repr__(self) -> str:
        return "Files(...)"


@pytest.fixture(scope="module")
def valid(folder: Path, request: pytest.FixtureRequest) -> Files:
    """A small valid file of every format."""
    conftest = _conftest(request)
    files = {name: text.encode() for name, (_, text) in conftest.SAMPLES.items()}
    for name, text in conftest.COMPANIONS.values():
        (folder / name).write_text(text)
    (folder / "valid").write_bytes(files["swf"])
    write_parquet(read_trace(folder / "valid"), folder / "valid.parquet")
    return Files({**files, "parquet": (folder / "valid.parquet").read_bytes()})


def _conftest(request: pytest.FixtureRequest) -> ModuleType:
    path = str(Path(__file__).with_name("conftest.py"))
    return next(p for p in request.config.pluginmanager.get_plugins() if getattr(p, "__file__", "") == path)


def attempt(folder: Path, data: bytes, format: str | None) -> None:
    path = folder / "fuzzed"
    path.write_bytes(data)
    try:
        trace = read_trace(path, format=format)
    except HpcaiError as error:
        message = str(error)
    else:
        check(trace)
        describe(trace)
        return
    assert "\n" not in message
    assert str(path) in message


def check(trace: Trace) -> None:
    """The promises of the canonical table."""
    jobs = trace.jobs
    assert jobs["submit"].is_monotonic_increasing
    assert jobs["submit"].notna().all()
    assert not (jobs["run_time"] < 0).any()
    assert not (jobs["start"] < jobs["submit"]).any()
    assert not (jobs["end"] < jobs["start"]).any()
    assert list(jobs.index) == list(range(len(jobs)))
    ran = jobs[jobs["run_time"].notna()]
    assert ((ran["processors"] > 0) | (ran["gpus"] > 0) | (ran["nodes"] > 0)).all()


@pytest.mark.parametrize("format", [*FORMATS, None])
@SETTINGS
@given(data=st.binary(max_size=400))
def test_any_bytes(folder: Path, format: str | None, data: bytes) -> None:
    attempt(folder, data, format)


@pytest.mark.parametrize("format", FORMATS)
@SETTINGS
@given(data=st.data())
def test_mutated_files(folder: Path, valid: Files, format: str, data: st.DataObject) -> None:
    content = bytearray(valid[format])
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 12)))
        piece = data.draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        content[start:stop] = piece
    attempt(folder, bytes(content), data.draw(st.sampled_from([format, None])))


PIECES = [
    *(b"", b"-1", b"nan", b"inf", b"1e999", b"9" * 30, b"0.5", b"-", b"\n", b"\r", b"\r\n", b"|", b",", b'"', b" "),
    *(b"\x00", b"\xff", b"None", b"Unknown", b"9999-99-99", b"0001-01-01T00:00:00", b"{", b"}", b"[", b"]", b"null"),
    *(b"[1-99999999]", b"1=", b"=", b"true", b"[[[[", b";", b"\xe2\x82\xac", b"2026-01-01T00:00:00", b"n[3-1]"),
]


@pytest.mark.parametrize("format", FORMATS)
@SETTINGS
@given(cut=st.integers(0, 4000), flip=st.integers(0, 4000))
def test_damaged_gzip(folder: Path, valid: Files, format: str, cut: int, flip: int) -> None:
    packed = bytearray(gzip.compress(valid[format], mtime=0))
    packed[flip % len(packed)] ^= 1 << (flip % 8)
    attempt(folder, bytes(packed[: cut % (len(packed) + 1)]), format)


def test_lines_shuffled_and_repeated(folder: Path, valid: Files) -> None:
    for format, content in valid.items():
        if format in ("parquet", "kubernetes"):
            continue
        lines = io.BytesIO(content).readlines()
        attempt(folder, b"".join([*lines, *reversed(lines), *lines]), format)

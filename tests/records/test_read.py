"""The one way in: guessing, decompression, samples, options."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hpcai.records
from hpcai.errors import FormatError, InputError
from hpcai.records import FORMATS, read_trace, sample_names, write_parquet
from hpcai.records import read as read_module

Sample = Callable[[str], Path]
TEXT_FORMATS = [name for name in FORMATS if name != "parquet"]


@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_the_format_is_guessed_from_the_content(sample: Sample, format: str) -> None:
    path = sample(format)
    other = path.rename(path.with_name("data"))
    trace = read_trace(other)
    assert trace.format == format
    assert len(trace.jobs) > 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_compression_is_seen_through(sample: Sample, format: str, pack: Callable[[bytes], bytes]) -> None:
    path = sample(format)
    plain = read_trace(path)
    path.write_bytes(pack(path.read_bytes()))
    packed = read_trace(path)
    assert packed.jobs.equals(plain.jobs)
    assert packed.sha256 != plain.sha256
    assert packed.name == plain.name


def test_several_gzip_members_are_one_file(sample: Sample) -> None:
    path = sample("swf")
    plain = read_trace(path)
    first, second = path.read_bytes().split(b"\n", 3)[:3], path.read_bytes().split(b"\n", 3)[3]
    path.write_bytes(gzip.compress(b"\n".join(first) + b"\n") + gzip.compress(second))
    assert read_trace(path).jobs.equals(plain.jobs)


def test_lines_that_are_not_text_are_bad_rows(sample: Sample) -> None:
    path = sample("philly")
    path.write_bytes(path.read_bytes() + b"2017-09-05 10:30:41,20.0,8,160.0,\xff\n2017-09-05 10:30:42,20.0,1,20.0,7f\n")
    trace = read_trace(path)
    assert len(trace.jobs) == 2
    assert trace.bad_rows.first_lines == {"not UTF-8 text": [3]}


def test_byte_order_mark_and_blank_lines_do_not_matter(sample: Sample) -> None:
    path = sample("helios")
    plain = read_trace(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    trace = read_trace(path)
    assert trace.jobs.equals(plain.jobs)
    assert trace.bad_rows.total == 0


def test_unbalanced_quotes_spoil_one_line_only(sample: Sample) -> None:
    path = sample("slurm_db")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace('"', "", 1), lines[2], lines[1]]))
    trace = read_trace(path)
    assert len(trace.jobs) == 2
    assert trace.bad_rows.first_lines == {"unbalanced quotes": [2]}


def test_a_file_of_no_known_format(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\nworld\n")
    with pytest.raises(FormatError, match=r"x: found 'hello', expected a log in one of the formats parquet, swf"):
        read_trace(tmp_path / "x")
    (tmp_path / "x").write_bytes(bytes(range(256)))
    with pytest.raises(FormatError, match="found 'binary data'"):
        read_trace(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(FormatError, match="the file is empty"):
        read_trace(tmp_path / "x")


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("openb", "pai", "gavel")])
def test_the_wrong_format_by_name(sample: Sample, format: str) -> None:
    with pytest.raises(FormatError, match=r"pods\.csv: "):
        read_trace(sample("openb"), format=format)


def test_what_does_not_exist(tmp_path: Path, sample: Sample) -> None:
    with pytest.raises(InputError, match="no such file, nor a sample"):
        read_trace(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a directory"):
        read_trace(tmp_path)
    with pytest.raises(InputError, match="sample:nothing: no such sample"):
        read_trace("sample:nothing")
    with pytest.raises(InputError, match="format 'csv': expected one of"):
        read_trace(sample("swf"), format="csv")
    with pytest.raises(InputError, match=r"option 'nodes' is not one of format swf \(it takes: size"):
        read_trace(sample("swf"), nodes="x")


def test_samples_by_name(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sample("swf").parent
    (folder / "README.md").write_text("provenance")
    monkeypatch.setattr(read_module, "samples_folder", lambda: folder)
    assert sample_names() == ["log.swf"]
    monkeypatch.chdir("/")
    for name in ("sample:log", "sample:log.swf", "log.swf", "log"):
        assert len(read_trace(name).jobs) == 3


def test_canonical_parquet_reads_back_equal(sample: Sample) -> None:
    for format in TEXT_FORMATS:
        path = sample(format)
        trace = read_trace(path)
        write_parquet(trace, path.with_suffix(".parquet"))
        assert read_trace(path.with_suffix(".parquet")).equals(trace)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x")
    with pytest.raises(FormatError, match="found Parquet with no column 'job_id'"):
        read_trace(tmp_path / "x")


def test_the_package_imports_nothing_heavy() -> None:
    code = "import hpcai.records, hpcai.records.commands, sys; print({'pandas', 'numba', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there() -> None:
    for name in hpcai.records.__all__:
        assert getattr(hpcai.records, name) is not None
    assert callable(hpcai.records.split)
    with pytest.raises(AttributeError):
        hpcai.records.nothing  # noqa: B018

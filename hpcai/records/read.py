"""One way in: read a trace of any format, from a file or from those that ship with hpcai."""

from __future__ import annotations

import inspect
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from hpcai.errors import BadRowsError, FormatError, InputError
from hpcai.records.schema import Trace

# Name of the format to what it is. The reader is the module of that name; guessing tries them in this order.
FORMATS: Final = {
    "parquet": "hpcai's own canonical Parquet",
    "swf": "Standard Workload Format (Parallel Workloads Archive)",
    "sacct": "Slurm accounting, sacct -P",
    "jobcomp": "Slurm job completion log, jobcomp/filetxt",
    "slurm_db": "Slurm accounting database as CSV (MIT SuperCloud)",
    "slurm_events": "Slurm simulator event list",
    "kubernetes": "kubectl get pods -o json",
    "openb": "openb GPU-sharing pods (Alibaba 2023), CSV",
    "philly": "Microsoft Philly, JSON or CSV",
    "helios": "SenseTime Helios, CSV",
    "acme": "Shanghai AI Laboratory Acme, CSV",
    "tiresias": "Tiresias simulator job list, CSV",
    "gavel": "Gavel simulator job list",
    "pai": "Alibaba PAI 2020, pai_job_table with pai_task_table, CSV",
}
_LOGS: Final = (".swf", ".csv", ".parquet", ".txt", ".log", ".events", ".gz", ".xz", ".bz2")


def read_trace(source: str | Path, *, format: str | None = None, strict: bool = False, **options: Any) -> Trace:
    """Return the trace in a log, whatever its format.

    Args:
        source: a file, plain or compressed; ``sample:NAME`` or the name of a trace that ships with hpcai.
        format: one of :data:`FORMATS`; by default guessed from the content.
        strict: whether a single row that cannot be used is an error; else such rows are counted in
            ``bad_rows`` and left out.
        options: what the format's reader takes besides, such as ``nodes=`` (a companion file) or ``size=``.

    Raises:
        InputError: there is no such file, format or option.
        FormatError: the file is not of the format, or of none that hpcai knows.
        BadRowsError: ``strict``, and a row cannot be used.
    """
    path = find(source)
    name = format or guess_format(path)
    reader = _reader(name)
    known = inspect.signature(reader.read).parameters
    for option in options:
        if option not in known or option == "path":
            others = ", ".join(key for key in known if key != "path") or "none"
            raise InputError(f"{path}: option {option!r} is not one of format {name} (it takes: {others})")
    trace: Trace = reader.read(path, **options)
    if strict and trace.bad_rows.total:
        raise BadRowsError(f"{path}: {_first_bad_row(trace)}")
    return trace


def guess_format(path: Path) -> str:
    """Return the format that the content of ``path`` is in; FormatError if it is none of :data:`FORMATS`."""
    from hpcai.records.readers._not_logs import what_it_is
    from hpcai.records.readers._source import head

    text = head(path)
    for name in FORMATS:
        if _reader(name).matches(text):
            return name
    if not text.strip():
        raise FormatError(f"{path}: the file is empty, expected a log")
    if other := what_it_is(text):
        raise FormatError(f"{path}: found {other}, expected a log of jobs")
    lines = (line.strip() for line in text[:4096].decode("utf-8", "backslashreplace").splitlines())
    first = "binary data" if b"\0" in text else next((line for line in lines if line), "")
    shown = first if len(first) <= 60 else first[:57] + "..."
    raise FormatError(f"{path}: found {shown!r}, expected a log in one of the formats {', '.join(FORMATS)}")


def find(source: str | Path) -> Path:
    """Return the file that ``source`` names: a path, ``sample:NAME``, or the name of a packaged trace."""
    from hpcai.records.readers._source import stem

    text = str(source)
    name = text.removeprefix("sample:")
    if name == text and Path(text).exists():
        if Path(text).is_dir():
            raise InputError(f"{text}: is a directory, expected a file")
        return Path(text)
    for sample in _samples():
        if name in (sample.name, stem(sample)):
            return sample
    if name != text:
        raise InputError(f"{text}: no such sample; there are: {', '.join(sample_names()) or 'none'}")
    raise InputError(f"{text}: no such file, nor a sample that ships with hpcai")


def samples_folder() -> Path | None:
    """Return the folder of the traces that ship with hpcai: the checkout's, else the installed copy."""
    package = Path(str(resources.files("hpcai")))
    folders = (package.parent / "traces", package / "_data" / "traces")
    return next((folder for folder in folders if folder.is_dir()), None)


def sample_names() -> list[str]:
    """Return the file names of the traces that ship with hpcai."""
    return [sample.name for sample in _samples()]


def _samples() -> list[Path]:
    folder = samples_folder()
    return [] if folder is None else sorted(path for path in folder.iterdir() if path.name.endswith(_LOGS))


def _reader(name: str) -> ModuleType:
    if name not in FORMATS:
        raise InputError(f"format {name!r}: expected one of {', '.join(FORMATS)}")
    return import_module(f"hpcai.records.readers.{name}")


def _first_bad_row(trace: Trace) -> str:
    bad = trace.bad_rows
    line, reason = min((lines[0], reason) for reason, lines in bad.first_lines.items())
    more = f" ({bad.total} bad rows in all)" if bad.total > 1 else ""
    return f"line {line}: {reason}{more}"

"""The decision log: what was known, what was decided, what was done; JSON lines that are only ever appended.

Jobs are written once and then only what has changed of them, so that a log of a day stays small and yet says all that
a decision rested on; what lasts, such as the order of the queue, is a field of a record only where it is another than
before. When a file is full the next begins, and everything is said anew, so each file can be read alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hpcai.errors import InputError

Record = dict[str, Any]

LASTING: Final = "lasting"
"""The kind of record that a later file begins with: what lasts, as it was last said."""
_BEGIN: Final = '{"kind":'


class DecisionLog:
    """Writes records; ``job`` records only where something has changed."""

    def __init__(self, path: str | Path, largest: int = 50_000_000, files: int = 14) -> None:
        """Append to ``path``; at ``largest`` bytes it becomes ``path.1``, and so on up to ``files`` of them."""
        self._path, self._largest, self._files = Path(path), largest, files
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._known: dict[tuple[str, str], Record] = {}
        self._lasting: Record = {}
        self._preamble: list[tuple[str, Record]] = []
        self._file = self._open()

    def _open(self) -> Any:
        """Open the file, its user's alone; a last line that a crash cut short is ended, so the next stands alone."""
        file = open(self._path, "a+b", opener=_private)  # noqa: SIM115 (kept open)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file

    def write(self, kind: str, **fields: Any) -> None:
        """Append a record."""
        line = json.dumps({"kind": kind, **fields}, separators=(",", ":"), allow_nan=False)
        self._file.write(line.encode() + b"\n")

    def begin(self, kind: str, **fields: Any) -> None:
        """Append a record that every later file begins with, too."""
        self._preamble.append((kind, fields))
        self.write(kind, **fields)

    def write_changed(self, kind: str, key: str, fields: Mapping[str, Any]) -> None:
        """Append what has changed of the thing called ``key`` since it was last written."""
        before = self._known.get((kind, key), {})
        changed = {name: value for name, value in fields.items() if name not in before or before[name] != value}
        if changed:
            self._known[kind, key] = dict(fields)
            self.write(kind, key=key, **changed)

    def write_lasting(self, kind: str, lasting: Mapping[str, Any], **fields: Any) -> None:
        """Append a record with ``fields``, and of ``lasting`` what has changed; none if it would say nothing.

        What lasts is one for all kinds of records: a name stands for the same thing in each.
        """
        unknown = object()
        changed = {name: value for name, value in lasting.items() if self._lasting.get(name, unknown) != value}
        self._lasting |= changed
        if changed or fields:
            self.write(kind, **fields, **changed)

    def forget(self, kind: str, keep: set[str]) -> None:
        """Forget all things of a kind but those to ``keep``: who has gone is not asked about again."""
        for known in [known for known in self._known if known[0] == kind and known[1] not in keep]:
            del self._known[known]

    def flush(self) -> None:
        """Have all that was written reach the disk; begin a new file if this one is full."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._file.tell() >= self._largest:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._files - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                os.replace(older, self._path.with_name(f"{self._path.name}.{number + 1}"))
        os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
        self._path.with_name(f"{self._path.name}.{self._files}").unlink(missing_ok=True)
        self._known.clear()
        self._file = self._open()
        for kind, fields in self._preamble:
            self.write(kind, **fields)
        if self._lasting:
            self.write(LASTING, **self._lasting)

    def close(self) -> None:
        """End the log."""
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def log_files(path: str | Path) -> list[Path]:
    """Return the files of a log, oldest first. Raises InputError if there is none."""
    path = Path(path)
    older = [file for file in path.parent.glob(f"{path.name}.*") if file.suffix[1:].isdecimal()]
    files = [*sorted(older, key=lambda file: -int(file.suffix[1:])), *([path] if path.is_file() else [])]
    if not files:
        raise InputError(f"decision log {path}: no such file")
    return files


def read_log(path: str | Path) -> Iterator[Record]:
    """Yield the records of a log and its older files, oldest first, and pass over lines that a crash cut short.

    Raises InputError if another line is not a record, or a file cannot be read.
    """
    for file in log_files(path):
        try:
            with open(file, encoding="utf-8", errors="replace") as lines:
                yield from _records(lines, file)
        except OSError as error:
            raise InputError(f"decision log {file}: cannot be read: {error.strerror}") from error


def _records(lines: Iterable[str], file: Path) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        record = _record(line, f"{file}, line {number}")
        if record is not None:
            yield record


def _record(line: str, where: str) -> Record | None:
    if not line.strip():
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        if line.startswith(_BEGIN) or _BEGIN.startswith(line.strip()):  # begun by us, and cut short
            return None
        raise InputError(f"decision log {where}: not a record") from error
    if not isinstance(record, dict) or "kind" not in record:
        raise InputError(f"decision log {where}: not a record")
    return record

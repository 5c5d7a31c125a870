"""What was changed on the live cluster and what stood there before, on disk before it is written.

A change that is not in the ledger has not been made; one that is may have been. So whoever finds a ledger, after a
crash too, can put everything back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from hpcai.errors import InputError
from hpcai.live.slurm.client import Before, How

SCHEMA: Final = "hpcai ledger 1"


class Ledger:
    """What changed jobs had before, in a file that is replaced in whole or not at all."""

    def __init__(self, path: Path, how: How) -> None:
        """Read the ledger at ``path`` if there is one, of changes of the kind ``how``.

        Raises InputError if the file is none, or was kept for changes of another kind that have to be put back first.
        """
        self._path = path
        self.how = how
        self.origin: float | None = None  # Unix time of second 0
        self.before: dict[str, Before] = {}
        if path.is_file():
            self._read()

    def _read(self) -> None:
        try:
            fields = json.loads(self._path.read_text("utf-8"))
            schema, how = fields["schema"], fields["how"]
            before = {str(job): Before(*map(int, earlier)) for job, earlier in fields["before"].items()}
            self.origin = None if fields["origin"] is None else float(fields["origin"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"ledger {self._path}: cannot be read: {error}") from error
        if schema != SCHEMA:
            raise InputError(f"ledger {self._path}: expected schema {SCHEMA!r}, found {schema!r}")
        if before and how != self.how:
            raise InputError(
                f"ledger {self._path}: holds changes of {how}, found {self.how}; put them back first: "
                f"hpcai live slurm --restore --how {how} --state {self._path.parent}"
            )
        self.before = before

    def note(self, changes: Mapping[str, Before]) -> None:
        """Remember what jobs had that are about to be changed, and to what."""
        if any(self.before.get(job) != change for job, change in changes.items()):
            self.before |= changes
            self.save()

    def forget(self, jobs: Iterable[str]) -> None:
        """Forget jobs that have ended or were put back."""
        gone = [job for job in jobs if job in self.before]
        for job in gone:
            del self.before[job]
        if gone:
            self.save()

    def save(self) -> None:
        """Write the file, for its owner alone. Raises OSError if it cannot be: nothing must be changed then."""
        fields = {"schema": SCHEMA, "how": self.how, "origin": self.origin, "before": self.before}
        write_privately(self._path, fields)


def write_privately(path: Path, fields: Mapping[str, Any]) -> None:
    """Write JSON in whole or not at all, for its owner alone, so that a power failure cannot take it back.

    Raises OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(fields, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the new name might not survive a power failure
    finally:
        os.close(folder)

"""A folder that an interrupted run goes on in: whole files, and a record of what its contents depend on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from hpcai.errors import InputError

RUN_FILE: Final = "run.json"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is there in full or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON for people, whole or not at all."""
    write_whole(Path(path), (json.dumps(content, indent=1) + "\n").encode())


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say the first difference of two identities, 'config seed was 0, is now 1'; None if there is none."""
    for part, value in now.items():
        old = before.get(part)
        pairs = [(part, old, value)]
        if isinstance(value, dict) and isinstance(old, dict):
            pairs = [(f"{part} {key}", old.get(key), value.get(key)) for key in {**old, **value}]
        for what, was, is_now in pairs:
            if was != is_now:
                return f"{what} was {json.dumps(was)}, is now {json.dumps(is_now)}"
    return None


class ResumableFolder:
    """A run's folder. ``identity`` is what its results depend on: version, configuration, inputs."""

    kind: ClassVar[str]  # by which its run file is known again
    holds: ClassVar[str]  # in words, such as 'evaluation'

    def __init__(self, path: str | Path, identity: dict[str, Any], resume: bool) -> None:
        """Begin in ``path``, or go on with what lies there if ``resume``.

        Raises InputError if the folder holds something else, or results of another configuration or input.
        """
        self.path = Path(path)
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._started = _now()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{path}: expected a folder, found a file")
        if self.path.is_dir() and any(self.path.iterdir()):
            earlier = self._earlier_run()
            if resume:
                if difference := first_difference(earlier["identity"], self.identity):
                    raise InputError(
                        f"{self.path}: cannot resume: {difference}; "
                        "give another folder, or leave out --resume to begin anew"
                    )
                self._started = earlier["started"]
            else:
                self._clear()
        self._write_run(finished=None)

    def write(self, name: str, text: str) -> None:
        """Write a file in whole or not at all."""
        write_whole(self.path / name, text.encode())

    def finish(self) -> None:
        """Note that everything is written, and when."""
        self._write_run(finished=_now())

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        raise NotImplementedError

    def _circumstances(self) -> dict[str, Any]:
        """Return what the run file tells beside the identity."""
        return {}

    def _earlier_run(self) -> dict[str, Any]:
        try:
            run = json.loads((self.path / RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            run = {}
        if not isinstance(run, dict) or run.get("kind") != self.kind:
            raise InputError(f"{self.path}: expected an empty folder or an earlier {self.holds}, found other files")
        return run

    def _write_run(self, finished: str | None) -> None:
        run = {
            "kind": self.kind,
            "identity": self.identity,
            **self._circumstances(),
            "started": self._started,
            "finished": finished,
        }
        self.write(RUN_FILE, json.dumps(run, indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Which nodes we have drained, on disk before it is done, so that whoever finds it can give every one back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from hpcai.errors import InputError
from hpcai.live.slurm.ledger import write_privately

SCHEMA: Final = "hpcai drains 1"


class Held(NamedTuple):
    """A drain of ours: Unix times from when until when, the risk, and the reason as Slurm has it."""

    at: float
    until: float
    risk: float
    reason: str


class DrainLedger:
    """The drains of ours that still stand, as far as is known.

    ``spared`` are nodes whose drains others have ended or changed, until when (Unix time) we leave them alone.
    """

    def __init__(self, path: Path) -> None:
        """Read the ledger at ``path`` if there is one. Raises InputError if the file is none."""
        self._path = path
        self.held: dict[str, Held] = {}
        self.spared: dict[str, float] = {}
        if not path.is_file():
            return
        try:
            fields = json.loads(path.read_text("utf-8"))
            schema, held = fields["schema"], fields["held"]
            self.held = {
                str(node): Held(float(at), float(until), float(risk), str(reason))
                for node, (at, until, risk, reason) in held.items()
            }
            self.spared = {str(node): float(until) for node, until in fields["spared"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"ledger {path}: cannot be read: {error}") from error
        if schema != SCHEMA:
            raise InputError(f"ledger {path}: expected schema {SCHEMA!r}, found {schema!r}")

    def note(self, node: str, held: Held) -> None:
        """Remember a node that is about to be drained. Raises OSError if that cannot be written."""
        self.held[node] = held
        self._save()

    def forget(self, nodes: Iterable[str]) -> None:
        """Forget nodes that were given back."""
        gone = [node for node in nodes if self.held.pop(node, None) is not None]
        if gone:
            self._save()

    def leave(self, nodes: Iterable[str]) -> None:
        """Leave nodes that others have changed to them, for as long as we would have held them."""
        left = {node: self.held.pop(node).until for node in list(nodes) if node in self.held}
        if left:
            self.spared |= left
            self._save()

    def _save(self) -> None:
        write_privately(self._path, {"schema": SCHEMA, "held": self.held, "spared": self.spared})

"""The folder of a training: its configuration, what it depends on, and a row of curves for each validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import ClassVar, Final

import yaml
from pydantic import BaseModel

from hpcai.arrays import file_hash
from hpcai.evaluation.resumable import ResumableFolder

CURVES: Final = "curves.csv"
CONFIG: Final = "config.yaml"


class TrainingFolder(ResumableFolder):
    """A training's folder, always begun anew; ``results`` are the files in it that are of its kind alone."""

    results: ClassVar[tuple[str, ...]]

    def __init__(self, out: str, config: BaseModel, sources: Sequence[str]) -> None:
        """Begin in ``out``; the run depends on the files ``sources``. Raises InputError if it holds something else."""
        fields = config.model_dump(mode="json")
        inputs = {source: file_hash(source) for source in sources}
        super().__init__(out, {"version": version("hpcai"), "config": fields, "inputs": inputs}, resume=False)
        self.write(CONFIG, yaml.safe_dump(fields, sort_keys=False))
        self._rows: list[Mapping[str, object]] = []

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row to the curves."""
        self._rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, self._rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        self.write(CURVES, text.getvalue())

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for name in (CURVES, CONFIG, *self.results):
            (self.path / name).unlink(missing_ok=True)

"""The folder of a training of who rules a site: usable after an interrupt at any moment.

===========  ==============================================================================
run.json     what the run depends on: configuration, version, SHA-256 of the site's file
config.yaml  the configuration; ``hpcai train site config.yaml`` repeats the run
curves.csv   one row for each validation
policy.npz   the best network so far; ``agent: FOLDER`` lets it rule in ``hpcai twin run``
===========  ==============================================================================
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import pandas as pd
import yaml

from hpcai.arrays import file_hash
from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.learning.site.config import SiteTraining
from hpcai.simulation.site.ruler import RULER_FILE, Learned

CURVES: Final = "curves.csv"
_OWN: Final = (CURVES, RULER_FILE, "config.yaml")


class SiteRunFolder(ResumableFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai site training"
    holds = "site training"

    def __init__(self, config: SiteTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else."""
        fields = config.model_dump(mode="json")
        inputs = {config.site: file_hash(config.site)}
        super().__init__(config.out, {"version": version("hpcai"), "config": fields, "inputs": inputs}, resume=False)
        self.write("config.yaml", yaml.safe_dump(fields, sort_keys=False))
        self._rows: list[dict[str, Any]] = []

    def append(self, row: dict[str, Any]) -> None:
        """Add a row to the curves."""
        self._rows.append(row)
        self.write(CURVES, pd.DataFrame(self._rows).to_csv(index=False))

    def write_ruler(self, ruler: Learned) -> None:
        """Write the best so far."""
        write_whole(self.path / RULER_FILE, ruler.packed())

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for name in _OWN:
            (self.path / name).unlink(missing_ok=True)

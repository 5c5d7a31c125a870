"""The folder of a cooling training: usable after an interrupt at any moment.

===============  =============================================================================
run.json         what the run depends on: configuration, version, SHA-256 of each input
config.yaml      the configuration; ``hpcai train cooling config.yaml`` repeats the run
curves.csv       one row for each validation, or trial of a search
controller.yaml  the result, which ``run: FOLDER`` stands for in ``hpcai cooling``
policy.npz       the network, where the result has one
===============  =============================================================================
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import yaml

from hpcai.arrays import file_hash
from hpcai.cooling.controllers.learned import PolicyNetwork, packed
from hpcai.evaluation.cooling.controllers import CONTROLLER_FILE, NETWORK_FILE
from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.learning.cooling.config import CoolingTraining

CURVES: Final = "curves.csv"
_OWN: Final = (CURVES, CONTROLLER_FILE, NETWORK_FILE, "config.yaml")


class CoolingRunFolder(ResumableFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai cooling training"
    holds = "cooling training"

    def __init__(self, config: CoolingTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else."""
        inputs = {source: file_hash(source) for source in config.files}
        identity = {"version": version("hpcai"), "config": config.model_dump(mode="json"), "inputs": inputs}
        super().__init__(config.out, identity, resume=False)
        self.write("config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        self._rows: list[Mapping[str, object]] = []

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row to the curves."""
        self._rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, self._rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        self.write(CURVES, text.getvalue())

    def write_controller(self, fields: Mapping[str, Any], network: PolicyNetwork | None = None) -> None:
        """Write the result so far."""
        if network is not None:
            write_whole(self.path / NETWORK_FILE, packed(network))
        self.write(CONTROLLER_FILE, yaml.safe_dump(dict(fields), sort_keys=False))

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for name in _OWN:
            (self.path / name).unlink(missing_ok=True)

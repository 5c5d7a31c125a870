"""The folder of a training of device placement: usable after an interrupt at any moment.

============  =====================================================================================
run.json      what the run depends on: configuration, version, SHA-256 of each graph
config.yaml   the configuration; ``hpcai train device-placement config.yaml`` repeats the run
curves.csv    one row for each validation
network.npz   the best network so far, which ``hpcai devices`` takes, and ``begin`` of another training
============  =====================================================================================
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import yaml

from hpcai.arrays import file_hash
from hpcai.device_placement.learned.network import Network, packed
from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.learning.device_placement.config import DeviceTraining

CURVES: Final = "curves.csv"
NETWORK: Final = "network.npz"
_OWN: Final = (CURVES, NETWORK, "config.yaml")


class DeviceRunFolder(ResumableFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai device placement training"
    holds = "device placement training"

    def __init__(self, config: DeviceTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else, or a graph cannot be read."""
        sources = [*config.graphs, *([config.begin] if config.begin else [])]
        inputs = {source: file_hash(source) for source in sources if source != "generated" and source[:4] != "zoo:"}
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

    def write_network(self, network: Network) -> None:
        """Write the result so far."""
        write_whole(self.path / NETWORK, packed(network))

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for name in _OWN:
            (self.path / name).unlink(missing_ok=True)

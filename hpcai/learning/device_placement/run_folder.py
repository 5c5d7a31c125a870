"""The folder of a training of device placement: usable after an interrupt at any moment.

============  =====================================================================================
run.json      what the run depends on: configuration, version, SHA-256 of each graph
config.yaml   the configuration; ``hpcai train device-placement config.yaml`` repeats the run
curves.csv    one row for each validation
network.npz   the best network so far, which ``hpcai devices`` takes, and ``begin`` of another training
============  =====================================================================================
"""

from __future__ import annotations

from typing import Final

from hpcai.device_placement.learned.network import Network, packed
from hpcai.evaluation.resumable import write_whole
from hpcai.learning.device_placement.config import DeviceTraining
from hpcai.learning.training_folder import TrainingFolder

NETWORK: Final = "network.npz"


class DeviceRunFolder(TrainingFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai device placement training"
    holds = "device placement training"
    results = (NETWORK,)

    def __init__(self, config: DeviceTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else, or a graph cannot be read."""
        sources = [*config.graphs, *([config.begin] if config.begin else [])]
        files = [source for source in sources if source != "generated" and source[:4] != "zoo:"]
        super().__init__(config.out, config, files)

    def write_network(self, network: Network) -> None:
        """Write the result so far."""
        write_whole(self.path / NETWORK, packed(network))

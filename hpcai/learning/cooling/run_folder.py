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

from collections.abc import Mapping
from typing import Any

import yaml

from hpcai.cooling.controllers.learned import PolicyNetwork, packed
from hpcai.evaluation.cooling.controllers import CONTROLLER_FILE, NETWORK_FILE
from hpcai.evaluation.resumable import write_whole
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.training_folder import TrainingFolder


class CoolingRunFolder(TrainingFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai cooling training"
    holds = "cooling training"
    results = (CONTROLLER_FILE, NETWORK_FILE)

    def __init__(self, config: CoolingTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else."""
        super().__init__(config.out, config, config.files)

    def write_controller(self, fields: Mapping[str, Any], network: PolicyNetwork | None = None) -> None:
        """Write the result so far."""
        if network is not None:
            write_whole(self.path / NETWORK_FILE, packed(network))
        self.write(CONTROLLER_FILE, yaml.safe_dump(dict(fields), sort_keys=False))

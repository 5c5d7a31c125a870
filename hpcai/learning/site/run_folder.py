"""The folder of a training of who rules a site: usable after an interrupt at any moment.

===========  ==============================================================================
run.json     what the run depends on: configuration, version, SHA-256 of the site's file
config.yaml  the configuration; ``hpcai train site config.yaml`` repeats the run
curves.csv   one row for each validation
policy.npz   the best network so far; ``agent: FOLDER`` lets it rule in ``hpcai twin run``
===========  ==============================================================================
"""

from __future__ import annotations

from hpcai.evaluation.resumable import write_whole
from hpcai.learning.site.config import SiteTraining
from hpcai.learning.training_folder import TrainingFolder
from hpcai.simulation.site.ruler import RULER_FILE, Learned


class SiteRunFolder(TrainingFolder):
    """A run's folder, always begun anew."""

    kind = "hpcai site training"
    holds = "site training"
    results = (RULER_FILE,)

    def __init__(self, config: SiteTraining) -> None:
        """Begin in ``config.out``. Raises InputError if it holds something else."""
        super().__init__(config.out, config, [config.site])

    def write_ruler(self, ruler: Learned) -> None:
        """Write the best so far."""
        write_whole(self.path / RULER_FILE, ruler.packed())

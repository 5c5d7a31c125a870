"""Validates who rules a site as he learns, and keeps the best."""

from __future__ import annotations

from hpcai.learning.clock import Clock
from hpcai.learning.site.config import SiteTraining
from hpcai.learning.site.run_folder import SiteRunFolder
from hpcai.learning.site.scoring import Ground, Score
from hpcai.simulation.site.ruler import Learned


class Keeper:
    """Plays the draws of validation; a row for each time in the curves, and the best network in the folder."""

    def __init__(self, config: SiteTraining, clock: Clock) -> None:
        """Begin the folder. Raises InputError if it or something that the site names cannot be used."""
        self.folder, self.clock = SiteRunFolder(config), clock
        self.ground = Ground(config, config.validations())
        self.best: Score | None = None

    def validate(self, ruler: Learned) -> float:
        """Return the score of a ruler in validation."""
        found = self.ground.score(ruler)
        self.folder.append({"steps": self.clock.steps, "seconds": round(self.clock.seconds, 1), **found.row()})
        if self.best is None or found.value < self.best.value:
            self.best = found
            self.folder.write_ruler(ruler)
        return found.value

    @property
    def state(self) -> str:
        """How good the best is, in words."""
        return "not validated yet" if self.best is None else f"validation {self.best.value:.4f}"

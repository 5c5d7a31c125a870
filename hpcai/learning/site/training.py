"""A training of who rules a site from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass

from hpcai.learning.clock import Clock
from hpcai.learning.site.config import SiteTraining
from hpcai.learning.site.keeper import Keeper
from hpcai.learning.site.scoring import Score


@dataclass(frozen=True)
class SiteTrained:
    """What came out: the best score in validation, None if it was interrupted before the first."""

    best: Score | None
    interrupted: bool = False


def train_site(config: SiteTraining, quiet: bool = True) -> SiteTrained:
    """Teach the policy that a configuration asks for and write it into its folder.

    An interrupt ends it with the best so far. Raises InputError for what cannot be used.
    """
    keeper = Keeper(config, Clock(config.limits))
    interrupted = False
    try:
        if config.method == "evolution":
            from hpcai.learning.site.evolution import evolve_ruler

            evolve_ruler(config, keeper, quiet)
        else:
            from hpcai.learning.site.agent import learn_to_rule

            learn_to_rule(config, keeper, quiet)
    except KeyboardInterrupt:
        interrupted = True
    keeper.folder.finish()
    return SiteTrained(keeper.best, interrupted)

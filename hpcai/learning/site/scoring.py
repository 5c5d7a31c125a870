"""How good whoever rules a site is: draws played with it, and without, and the two compared draw by draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hpcai.cooling.interface import Floats
from hpcai.evaluation.site.config import SiteConfig
from hpcai.evaluation.site.draws import Metrics
from hpcai.evaluation.site.inputs import Prepared, prepare
from hpcai.evaluation.site.measures import Watch, measure
from hpcai.learning.site.config import SiteTraining
from hpcai.simulation.site.costs import COSTS, HOUR, CostSoFar
from hpcai.simulation.site.ruler import Learned
from hpcai.simulation.site.site import Site

_SLOWDOWN: Final = list(COSTS).index("slowdown")


@dataclass(frozen=True)
class Score:
    """``value`` is to be low; the others are means of ratios to the untaught site, ``hot`` K h a day."""

    value: float
    per_work: float
    slowdown: float
    work: float
    energy: float
    hot: float

    def row(self) -> dict[str, float]:
        """Return the numbers by name, rounded."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def play(config: SiteConfig, prepared: Prepared, ruler: Learned | None) -> Metrics:
    """Return the metrics of a draw that is ruled, or untaught, and the slowdown that jobs have ``gathered``.

    Raises InputError if it cannot be ruled.
    """
    setting = prepared.setting if ruler is None else ruler.ruling(prepared.setting)
    watch = Watch(config.heat, setting.tick)
    site = Site(prepared.jobs, setting, sink=watch.see)
    site.run()
    gathered = CostSoFar(site, np.inf).by_now()[_SLOWDOWN]
    return measure(site, watch) | {"gathered": float(gathered)}


class Ground:
    """Draws of a site, on which rulers are judged against the untaught site."""

    def __init__(self, config: SiteTraining, draws: Sequence[SiteConfig]) -> None:
        """Prepare them. Raises InputError if something that they name cannot be had."""
        self._config, self.draws = config, draws
        self._prepared = [prepare(draw) for draw in draws]

    @cached_property
    def untaught(self) -> list[Metrics]:
        """The metrics of each draw without whoever is taught."""
        return self._played(None)

    def score(self, ruler: Learned) -> Score:
        """Return how good a ruler is."""
        found = self._played(ruler)
        of = {key: self._ratio(found, key) for key in ("per_work", "slowdown", "work", "site")}
        days = np.array([draw.days for draw in self.draws])
        hot, before = (
            np.nan_to_num([each["hot_kelvin_hours"] for each in metrics]) / days for metrics in (found, self.untaught)
        )
        weighed = of["per_work"] + self._config.tradeoff * of["slowdown"]
        value = weighed / (1 + self._config.tradeoff) + self._config.hot * np.maximum(hot - before, 0.0)
        parts = [float(each.mean()) for each in (value, of["per_work"], of["slowdown"], of["work"], of["site"], hot)]
        return Score(*parts)

    def weights(self) -> dict[str, float]:
        """Return the weights of Operations-v0's costs with which the untaught site has a reward of -1 a step.

        A share of energy counts as 1 and a share of slowdown as ``tradeoff`` times that, as in a score, but of all
        energy, not of that over work, which is not known before jobs end.
        """
        steps = sum(each.setting.duration / (each.setting.tick * each.setting.control_every) for each in self._prepared)
        energy, slowdown = (sum(each[key] for each in self.untaught) / steps for key in ("site", "gathered"))
        whole = 1 + self._config.tradeoff
        setting = self._prepared[0].setting
        a_day = 24 * HOUR / (setting.tick * setting.control_every)
        return {
            "energy": 1 / energy / whole,
            "slowdown": self._config.tradeoff / slowdown / whole,
            "hot": self._config.hot * a_day,
        }

    def _played(self, ruler: Learned | None) -> list[Metrics]:
        return [play(draw, each, ruler) for draw, each in zip(self.draws, self._prepared, strict=True)]

    def _ratio(self, found: Sequence[Metrics], key: str) -> Floats:
        return np.array([one[key] / other[key] for one, other in zip(found, self.untaught, strict=True)])

"""What a site has cost by now, in the parts that whoever operates it is rewarded by."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.simulation.energy.it_power import KWH
from hpcai.simulation.site.site import Site
from hpcai.simulation.site.timeline import INDEX

Floats = NDArray[np.float64]

COSTS: Final = {
    "energy": "MWh of the site",
    "carbon": "t of CO2 of that energy; 0 where no intensity is known",
    "waiting": "h that jobs were in the queue or held back, of all together",
    "hot": "K h by which the warmer side's inlets were above the limit; 0 where no plant cools",
    "lost": "GPU-h that were lost to repeated work, restarts, changes of size and stopping",
    "slowdown": "bounded slowdown that jobs have gathered: s in the system / max(run time, 10 s), of all together",
}
HOUR: Final = 3600.0
_INLETS: Final = [INDEX["plant_east_inlet"], INDEX["plant_west_inlet"]]


class CostSoFar:
    """The parts of COSTS by now, (len(COSTS),); :meth:`see_tick` is called after each tick."""

    def __init__(self, site: Site, hot_above: float) -> None:
        self._site, self._limit, self._hot = site, hot_above, 0.0

    def see_tick(self) -> None:
        """Count the warmth of the tick that has just ended."""
        inlet = float(self._site.timeline.last[_INLETS].max())
        if np.isfinite(inlet):
            self._hot += max(inlet - self._limit, 0.0) * self._site.setting.tick / HOUR

    def by_now(self) -> Floats:
        """Return the parts in order of COSTS; energy and carbon up to the latest tick."""
        site = self._site
        run = site.cluster.run
        lost = float(run["lost"].sum() + run["overhead"].sum())
        return np.array(
            [
                site.totals.site / KWH / 1e3,
                float(np.nan_to_num(site.totals.carbon)) / 1e3,
                site.flow.waited_by_now() / HOUR,
                self._hot,
                lost / HOUR,
                self._slowdown(),
            ]
        )

    def _slowdown(self) -> float:
        """Sum up the slowdowns of all jobs that have been submitted, as if who has not ended did so now."""
        work, ended, now = self._site.cluster.work, self._site.cluster.run["ended"], self._site.env.now
        until = np.where(np.isnan(ended), now, ended)
        spent = np.maximum(until - work["submit"], 0.0)  # nothing of who is still to come
        return float((spent / np.maximum(work["work"], SLOWDOWN_FLOOR)).sum())

"""What whoever rules a site may say at a control step, as numbers in -1..1, and how it becomes what holds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hpcai.cluster.power.limit import LOWEST
from hpcai.cooling.action import Actions
from hpcai.cooling.interface import Floats
from hpcai.simulation.site.setting import flexible

if TYPE_CHECKING:
    from hpcai.simulation.site.site import Site

Ruled = Literal["power", "cooling", "admission"]

POWER: Final = ("limit", "long_limit")
"""The numbers of ``power``: the limit on all GPUs and that on those of long jobs."""
HELD_FROM: Final = 3600.0
"""Jobs that are estimated to take so long may be held back by ``admission``, s."""
HELD_FOR: Final = 12 * 3600.0
"""For how long after their submission at most, s."""


def apply(site: Site, action: Mapping[str, Any], cooling: Actions) -> None:
    """Rule a site as ``action`` says, from now on; what it has no part for stays as it is.

    ``power`` (2,) are POWER, from LOWEST to 1 of the most that GPUs can draw; ``cooling`` (n,) is an action of the
    scheme ``cooling``; ``admission`` is true to hold back newcomers that may wait.
    """
    if "cooling" in action and site.hall is not None:
        site.hall.setpoints = cooling.setpoints(np.asarray(action["cooling"], dtype=np.float64))
    if "power" in action:
        share = (np.clip(np.asarray(action["power"], dtype=np.float64), -1.0, 1.0) + 1.0) / 2.0
        limit, site.long_limit = (LOWEST + share * (1.0 - LOWEST)).tolist()
        site.set_limit(limit)
    if "admission" in action:
        site.hold(bool(action["admission"]), HELD_FOR, flexible(site.workload.work, HELD_FROM))


def names(decides: Sequence[Ruled], cooling: Actions) -> tuple[str, ...]:
    """Return the names of the numbers of the parts ``decides``, one after another."""
    of = {"power": POWER, "cooling": cooling.names, "admission": ("admission",)}
    return tuple(name for part in decides for name in of[part])


def parted(numbers: Floats, decides: Sequence[Ruled], cooling: Actions) -> dict[str, Any]:
    """Return the action whose numbers, one part after another, are given; admission holds back above 0."""
    sizes = [len(names([part], cooling)) for part in decides]
    parts = dict(zip(decides, np.split(numbers, np.cumsum(sizes)[:-1]), strict=True))
    return {part: int(of[0] > 0) if part == "admission" else of for part, of in parts.items()}


def numbers_of(values: Mapping[str, float], decides: Sequence[Ruled], cooling: Actions) -> Floats:
    """Return the numbers that stand for ``values`` by name, in their units; what is not named limits nothing.

    Of cooling that is the middle of the range. They lie in -1..1 for values in their range; one beyond it stands for
    its end, the more firmly the farther it is. Raises KeyError for a name that is none.
    """
    known = names(decides, cooling)
    result = np.array([1.0 if name in POWER else -0.5 if name == "admission" else 0.0 for name in known])
    ranges = dict.fromkeys(POWER, (LOWEST, 1.0)) | {"admission": (0.0, 1.0)}
    ranges |= dict(zip(cooling.names, zip(cooling.low.tolist(), cooling.high.tolist(), strict=True), strict=True))
    for name, value in values.items():
        if name not in known:
            raise KeyError(name)
        low, high = ranges[name]
        result[known.index(name)] = 2.0 * (value - low) / (high - low) - 1.0
    return result

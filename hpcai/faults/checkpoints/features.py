"""What a learned policy is shown of a job and of past faults: numbers without a unit, alike in training and live."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import OTHER_AGE, OTHER_RATES, OWN_AGE, OWN_RATES, SCALES

Floats = NDArray[np.float64]

_NAMES: Final = ("1 h", "6 h", "1 d", "7 d", "30 d", "120 d")
FEATURES: Final = {
    "own_age": "time since the last fault of the job's nodes, over their mean time between faults: ln(1 + x)",
    "other_age": "the same of the machine's other nodes",
    **{f"own_rate_{name}": f"faults of the job's nodes over about {name}, over the mean: ln" for name in _NAMES},
    **{f"other_rate_{name}": f"faults of other nodes over about {name}, over the mean: ln" for name in _NAMES},
    "write": "time of a checkpoint over the mean time between faults: ln, over 5",
    "nodes": "share of the machine that the job has",
    "left": "share of the episode, or of the job's time limit, that is left",
}
LIMIT: Final = 5.0
"""Features are clipped to -LIMIT..LIMIT."""
_FAINT: Final = 0.02  # of the mean rate: what is less counts as that


def features(job: CheckpointedJob, seen: Floats, mtbf: float, left: float) -> Floats:
    """Return the FEATURES, float64[len(FEATURES)].

    Args:
        job: that decides.
        seen: what is seen of faults, float64[OBSERVED].
        mtbf: of one node, as fitted (s).
        left: share that is left, 0..1.
    """
    own, other = job.nodes / mtbf, max(job.others, 1) / mtbf
    ages = np.log1p([seen[OWN_AGE] * own, seen[OTHER_AGE] * other])
    own_rates = np.log(seen[OWN_RATES:OTHER_RATES] / own + _FAINT)
    other_rates = np.log(seen[OTHER_RATES : OTHER_RATES + len(SCALES)] / other + _FAINT)
    write = np.log(max(job.write, 1.0) * own) / 5.0
    share = job.nodes / (job.nodes + job.others)
    return np.asarray(np.clip(np.concatenate([ages, own_rates, other_rates, [write, share, left]]), -LIMIT, LIMIT))

"""Families of ordering formulas whose weights are tuned: each is a line of data.

Lowest value first. Every range is centred on smallest-area-first, where the search begins: there the value is
log(requested time) + log(size), or close to it. Adding a multiple of ``submit`` is the same as taking it from
the wait, since the time of the decision is common to all jobs; such a formula does not change while a job
waits and replays fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hpcai.scheduling.policy import Policy


@dataclass(frozen=True)
class Family:
    """A formula with named weights, each with the range that is searched."""

    name: str
    formula: str
    ranges: dict[str, tuple[float, float]]

    @property
    def centre(self) -> dict[str, float]:
        """The weights at which the search begins."""
        return {name: (low + high) / 2 for name, (low, high) in self.ranges.items()}

    def policy(self, base: Policy, weights: dict[str, float]) -> Policy:
        """Return ``base`` with this family's ordering."""
        return base.model_copy(update={"ordering": f"expr:{self.formula}", "parameters": weights})


_SHIFT: Final = (-4.0, 4.0)  # log10 of s: requests shorter than this count as alike
_NARROW: Final = (-1.0, 3.0)

FAMILIES: Final = (
    # The area with a free exponent of the size, discounted by a constant factor for each day of waiting.
    Family(
        "area",
        "log(requested_time + 10 ** shift) + narrow * log(size) + aging * submit / 86400",
        {"shift": _SHIFT, "narrow": _NARROW, "aging": (-4.0, 4.0)},
    ),
    # The form of f1 to f4 (Carastan-Santos, de Camargo, SC'17) with free exponents.
    Family(
        "carastan",
        "log(max(requested_time, 1) ** slope * size ** narrow + 10 ** late * log10(max(submit, 1)))",
        {"slope": (0.0, 2.0), "narrow": (0.0, 2.0), "late": (-8.0, 8.0)},
    ),
    # As WFP3 and UNICEP (Tang et al., Cluster 2009): the wait counts in proportion, not by the day.
    Family(
        "patience",
        "log(requested_time + 10 ** shift) + narrow * log(size) - patience * log(wait + 10 ** grace)",
        {"shift": _SHIFT, "narrow": _NARROW, "patience": (-2.0, 2.0), "grace": (0.0, 6.0)},
    ),
    # The area, and whoever has used much of late gives way.
    Family(
        "fair-area",
        "log(requested_time + 10 ** shift) + narrow * log(size) + aging * submit / 86400 + greed * usage",
        {"shift": _SHIFT, "narrow": _NARROW, "aging": (-4.0, 4.0), "greed": (-8.0, 8.0)},
    ),
)

PREDICTED_FAMILIES: Final = (
    # Smith's rule (cmu-predicted at the centre): expected work over what a second of waiting is expected to cost.
    Family(
        "cost",
        "log(predicted_mean + 10 ** shift) + narrow * log(size) - urgency * log(slowdown_rate)"
        " + aging * submit / 86400",
        {"shift": _SHIFT, "narrow": _NARROW, "urgency": (0.0, 2.0), "aging": (-4.0, 4.0)},
    ),
    # The same, the wait counting in proportion.
    Family(
        "patient-cost",
        "log(predicted_mean + 10 ** shift) + narrow * log(size) - urgency * log(slowdown_rate)"
        " - patience * log(wait + 10 ** grace)",
        {"shift": _SHIFT, "narrow": _NARROW, "urgency": (0.0, 2.0), "patience": (-2.0, 2.0), "grace": (0.0, 6.0)},
    ),
)


def families_for(policy: Policy) -> tuple[Family, ...]:
    """Return the families that can be tuned: by predicted run times too, if there is a predictor."""
    return FAMILIES + PREDICTED_FAMILIES if policy.learns else FAMILIES

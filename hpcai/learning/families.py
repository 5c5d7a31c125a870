"""Families of formulas whose weights are tuned: each is a line of data.

Lowest value first. Every search begins at smallest-area-first, where the value is log(requested time) + log(size), or
close to it. Adding a multiple of ``submit`` is the same as taking it from the wait, since the time of the decision is
common to all jobs; such a formula does not change while a job waits and replays fast. A family with headroom also
tunes which share of the machine stays free beside a job when it starts: ``reserve`` beside long jobs, none beside
short ones, half of it beside those of ``10 ** border`` seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.headroom import check_headroom
from hpcai.scheduling.policy import Policy


@dataclass(frozen=True)
class Weight:
    """A weight of a formula: where its search begins, and the range that is searched."""

    begin: float
    low: float
    high: float


@dataclass(frozen=True)
class Family:
    """Formulas with named weights."""

    name: str
    formula: str
    weights: dict[str, Weight]
    headroom: str | None = None
    predicts: bool = False
    asked_for: bool = False  # takes part only where it is named

    @property
    def begin(self) -> dict[str, float]:
        """The weights at which the search begins."""
        return {name: weight.begin for name, weight in self.weights.items()}

    def beginning_at(self, weights: dict[str, float]) -> Family:
        """Return the family whose search begins at ``weights``, where they name its own and lie within their ranges."""
        moved = {
            name: replace(weight, begin=min(max(weights.get(name, weight.begin), weight.low), weight.high))
            for name, weight in self.weights.items()
        }
        return replace(self, weights=moved)

    def policy(self, base: Policy, weights: dict[str, float]) -> Policy:
        """Return ``base`` with this family's ordering and headroom."""
        ordering = {"ordering": f"expr:{self.formula}", "parameters": weights, "headroom": self.headroom}
        return base.model_copy(update=ordering)


_SHIFT: Final = Weight(0.0, -4.0, 4.0)  # log10 of s: requests shorter than this count as alike
_NARROW: Final = Weight(1.0, -1.0, 3.0)
_HURRY: Final = Weight(0.0, -1.5, 1.5)  # its square is taken from the value for each day of waiting

_AREA: Final = "log(requested_time + 10 ** shift) + narrow * log(size) + hurry ** 2 * submit / 86400"
_AREA_WEIGHTS: Final = {"shift": _SHIFT, "narrow": _NARROW, "hurry": _HURRY}
# Smith's rule: expected work over what a second of waiting is expected to cost.
_COST: Final = (
    "log(predicted_mean + 10 ** shift) + narrow * log(size) - urgency * log(slowdown_rate)"
    " + hurry ** 2 * submit / 86400"
)
_COST_WEIGHTS: Final = _AREA_WEIGHTS | {"urgency": Weight(1.0, 0.0, 2.0)}
_HEADROOM: Final = "reserve / (1 + exp(-steep * (log10({time}) - border)))"
_HEADROOM_WEIGHTS: Final = {
    "reserve": Weight(0.08, 0.0, 0.6),
    "border": Weight(4.2, 2.0, 6.0),
    "steep": Weight(4.0, 0.5, 12.0),
}
# The run time if it were certain; less if the job may well be short, since it is the short ones that must not wait.
_CAUTIOUS: Final = "sqrt(predicted_mean / slowdown_rate)"

_UNITS: Final = 6
# What a network sees of a job, each about -1 to 1.
_ASKED: Final = ("(log10(max(requested_time, 1)) - 4)", "(log10(size_fraction) + 1)")
_FORESEEN: Final = (
    "(log10(predicted_low + 1) - 3)",
    "(log10(predicted_mean + 1) - 3)",
    "(log10(predicted_high + 1) - 3)",
    "(log10(slowdown_rate) + 3)",
)


def _network(family: Family, seen: tuple[str, ...]) -> Family:
    """Return a small neural network that corrects a family with headroom: a hidden layer, two outputs.

    Its weights are learned as those of the other families, by evolution (Salimans, Ho, Chen, Sidor, Sutskever:
    Evolution strategies as a scalable alternative to reinforcement learning, 2017): the schedules that all weights
    together make are judged, where a policy gradient would have to find out which of a thousand decisions mattered.
    """
    units = [
        f"tanh(b{k} + {' + '.join(f'w{k}{i} * {column}' for i, column in enumerate(seen))})" for k in range(_UNITS)
    ]
    order = " + ".join(f"o{k} * {unit}" for k, unit in enumerate(units))
    border = " + ".join(f"h{k} * {unit}" for k, unit in enumerate(units))
    # The units begin differently, the outputs at nothing.
    begin = np.random.default_rng(0).normal(0.0, 0.7, (_UNITS, len(seen) + 1)).round(3).tolist()
    weights = dict(family.weights)
    for k in range(_UNITS):
        weights |= {f"w{k}{i}": Weight(begin[k][i], -2.0, 2.0) for i in range(len(seen))}
        weights |= {
            f"b{k}": Weight(begin[k][-1], -2.0, 2.0),
            f"o{k}": Weight(0.0, -0.6, 0.6),
            f"h{k}": Weight(0.0, -0.4, 0.4),
        }
    headroom = (family.headroom or "0").replace("border", f"(border + {border})")
    return replace(
        family,
        name=family.name.replace("headroom", "network"),
        formula=f"{family.formula} + {order}",
        weights=weights,
        headroom=headroom,
        asked_for=True,
    )


_AREA_HEADROOM: Final = Family(
    "area-headroom", _AREA, _AREA_WEIGHTS | _HEADROOM_WEIGHTS, _HEADROOM.format(time="max(requested_time, 1)")
)
_COST_HEADROOM: Final = Family(
    "cost-headroom", _COST, _COST_WEIGHTS | _HEADROOM_WEIGHTS, _HEADROOM.format(time=_CAUTIOUS), predicts=True
)

FAMILIES: Final = (
    # The area with a free exponent of the size, discounted by a constant factor for each day of waiting.
    Family("area", _AREA, _AREA_WEIGHTS),
    _AREA_HEADROOM,
    # The form of f1 to f4 (Carastan-Santos, de Camargo, SC'17) with free exponents.
    Family(
        "carastan",
        "log(max(requested_time, 1) ** slope * size ** narrow + 10 ** late * log10(max(submit, 1)))",
        {"slope": Weight(1.0, 0.0, 2.0), "narrow": Weight(1.0, 0.0, 2.0), "late": Weight(0.0, -8.0, 8.0)},
    ),
    # As WFP3 and UNICEP (Tang et al., Cluster 2009): the wait counts in proportion, not by the day.
    Family(
        "patience",
        "log(requested_time + 10 ** shift) + narrow * log(size) - patience * log(wait + 10 ** grace)",
        {
            "shift": _SHIFT,
            "narrow": _NARROW,
            "patience": Weight(0.0, -2.0, 2.0),
            "grace": Weight(3.0, 0.0, 6.0),
        },
    ),
    Family("cost", _COST, _COST_WEIGHTS, predicts=True),
    _COST_HEADROOM,
    _network(_AREA_HEADROOM, _ASKED),
    _network(_COST_HEADROOM, _ASKED + _FORESEEN),
)


def families_for(policy: Policy, chosen: tuple[str, ...] = (), machines: Sequence[Machine] = ()) -> tuple[Family, ...]:
    """Return the families to tune: those ``chosen``, else all that can be replayed on every one of ``machines``.

    Those by predicted run times need a predictor. Raises InputError if one is chosen that there is not, or that cannot
    be replayed.
    """
    able = {family.name: family for family in FAMILIES if policy.learns or not family.predicts}
    for name in chosen:
        if name not in able:
            raise InputError(f"family {name!r}: expected one of {', '.join(able)}")
    for machine in machines:
        for name in [name for name, family in able.items() if family.headroom]:
            try:
                check_headroom(machine, policy.backfill == "conservative" or bool(machine.reservations))
            except InputError:
                if name in chosen:
                    raise
                del able[name]
    return tuple(able[name] for name in chosen or (name for name in able if not able[name].asked_for))

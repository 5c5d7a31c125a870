"""Short names of policies that respond to power: ``carbon-aware``, ``price-aware``, ``power-limit:0.7:sjf``."""

from __future__ import annotations

from typing import Any, Final

from hpcai.errors import InputError

_SHIFTS: Final = {"carbon-aware": "carbon", "price-aware": "price"}
_SHARES: Final = {"power-limit": "power_limit", "power-budget": "power_budget"}


def responding_policy(item: str) -> dict[str, Any] | None:
    """Return what the policy sets that ``item`` stands for; None if it is no such name.

    ``carbon-aware`` and ``price-aware`` may be followed by an ordering, ``power-limit`` and ``power-budget`` are
    followed by a share and may be by an ordering, by default FCFS. Raises InputError if the share is missing or no
    number.
    """
    word, _, rest = item.partition(":")
    if word in _SHIFTS:
        return {"ordering": rest or "fcfs", "shift": _SHIFTS[word]}
    if word in _SHARES:
        share, _, ordering = rest.partition(":")
        try:
            return {"ordering": ordering or "fcfs", _SHARES[word]: float(share)}
        except ValueError:
            raise InputError(f"policies: found {item!r}, expected a share as in {word}:0.7") from None
    return None

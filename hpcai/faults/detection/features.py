"""What is seen of a node when its risk is asked for; the same in training, in evaluation and live.

Everything is known at the moment of asking: an event counts from its start, a repair once it has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcai.faults.detection.history import Group, History, NodeHistory, template_of
from hpcai.records.failures import COMPONENTS, FailureLog

Floats = npt.NDArray[np.float64]

_DAY: Final = 86400.0
WINDOWS: Final = {"6h": _DAY / 4, "1d": _DAY, "7d": 7 * _DAY, "30d": 30 * _DAY, "180d": 180 * _DAY}
_NEAR: Final = ("1d", "7d", "30d")
_AROUND: Final = ("6h", "1d", "7d")
_OF_COMPONENTS, _OF_TEMPLATES, _OF_REPAIRS = "180d", "30d", "30d"
LEAST_GAPS: Final = 3


class Seen(NamedTuple):
    """A feature: its name, meaning and unit."""

    name: str
    meaning: str
    unit: str = ""


def features_seen(templates: Sequence[str] = ()) -> tuple[Seen, ...]:
    """Return the features of events in their order, those of ``templates`` last."""
    return (
        *(Seen(f"failures_{w}", f"failures in the last {w}") for w in WINDOWS),
        Seen("rate", "failures for each day watched, up to now", "1/d"),
        Seen("since_last", "since the node last came back from a failure, or has been watched", "s"),
        Seen("failed_before", "1 if it has failed since it is watched"),
        Seen("last_gap", "between its last two failures", "s"),
        Seen("burstiness", "(s - m) / (s + m) of the mean m and deviation s of gaps between failures"),
        Seen("age", "since it entered service", "s"),
        Seen(f"repair_{_OF_REPAIRS}", f"time of repairs that ended in the last {_OF_REPAIRS}", "s"),
        *(Seen(f"warnings_{w}", f"other events in the last {w}") for w in WINDOWS),
        Seen("since_warning", "since its last event that was no failure", "s"),
        *(Seen(f"{c}_{_OF_COMPONENTS}", f"failures of {c} in the last {_OF_COMPONENTS}") for c in COMPONENTS),
        *(
            Seen(f"near_{w}", f"failures in the last {w} of a node behind the same switch, or in the rack")
            for w in _NEAR
        ),
        *(Seen(f"around_{w}", f"failures in the last {w} of another node of the system") for w in _AROUND),
        Seen("processors", "processors in the node"),
        Seen("gpus", "GPUs in the node"),
        *(
            Seen(f"told: {text}", f"events in the last {_OF_TEMPLATES} that say so, # being a number")
            for text in templates
        ),
    )


def frequent_templates(log: FailureLog, until: float, most: int) -> tuple[str, ...]:
    """Return the templates of which most events tell that began by ``until`` (s), at most ``most``."""
    causes = log.events.loc[log.events["start"] <= until, "cause"]
    counted = Counter(text for text in map(template_of, causes) if text)
    return tuple(text for text, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:most])


def event_features(history: History, node: int, times: Floats, templates: Sequence[str] = ()) -> Floats:
    """Return what is seen of the node at place ``node`` at ``times`` (s), float64[times, features].

    The columns are those of :func:`features_seen`; nan where nothing can be known.
    """
    own = history.nodes[node]
    before = np.searchsorted(own.failed, times, "right")  # failures up to now
    columns = [_within(own.failed, times, w) for w in WINDOWS.values()]
    columns += _of_failures(own, times, before)
    columns += [_within(own.warned, times, w) for w in WINDOWS.values()]
    columns.append(_since(own.warned, times))
    for i in range(len(COMPONENTS)):
        columns.append(_within(own.failed[own.component == i], times, WINDOWS[_OF_COMPONENTS]))
    columns += [_others(history.near[node], own, times, WINDOWS[w]) for w in _NEAR]
    columns += [_others(history.around[node], own, times, WINDOWS[w]) for w in _AROUND]
    columns += [np.full(len(times), history.processors[node]), np.full(len(times), history.gpus[node])]
    nothing = np.zeros(0)
    columns += [_within(own.told.get(text, nothing), times, WINDOWS[_OF_TEMPLATES]) for text in templates]
    return np.column_stack(columns)


def _within(events: Floats, times: Floats, window: float) -> Floats:
    """Return how many of ``events``, in order, lie in (t - window, t] for each t."""
    if not len(events):
        return np.zeros(len(times))
    until = np.searchsorted(events, times, "right")
    return (until - np.searchsorted(events, times - window, "right")).astype(np.float64)


def _since(events: Floats, times: Floats) -> Floats:
    """Return the time since the last of ``events``, nan before the first."""
    before = np.searchsorted(events, times, "right")
    last = np.concatenate([[np.nan], events])[before]
    return np.asarray(times - last)


def _of_failures(own: NodeHistory, times: Floats, before: npt.NDArray[np.int64]) -> list[Floats]:
    """Return rate, since_last, failed_before, last_gap, burstiness, age and repair of a node."""
    watched = np.maximum(times - own.begin, 1.0)
    last = np.concatenate([[own.begin], own.failed])[before]
    ended = np.searchsorted(own.repaired, times, "right")
    back = np.concatenate([[own.begin], own.repaired])[ended]
    gaps = np.diff(own.failed)
    last_gap = np.concatenate([[np.nan, np.nan], gaps])[before]
    spent = np.concatenate([[0.0], np.cumsum(own.repair)])
    earlier = np.searchsorted(own.repaired, times - WINDOWS[_OF_REPAIRS], "right")
    return [
        before / (watched / _DAY),
        times - np.maximum(last, back),
        (before > 0).astype(np.float64),
        last_gap,
        _burstiness(gaps)[before],
        times - own.in_service,
        spent[ended] - spent[earlier],
    ]


def _burstiness(gaps: Floats) -> Floats:
    """Return the burstiness after 0, 1, 2, ... failures, nan with fewer than LEAST_GAPS gaps between them.

    Goh and Barabási, "Burstiness and memory in complex systems", EPL 81, 2008, equation 1.
    """
    count = np.arange(1, len(gaps) + 1)
    mean = np.cumsum(gaps) / count
    deviation = np.sqrt(np.maximum(np.cumsum(gaps**2) / count - mean**2, 0.0))
    total = deviation + mean
    known = np.divide(
        deviation - mean, total, out=np.full(len(gaps), np.nan), where=(total > 0) & (count >= LEAST_GAPS)
    )
    return np.concatenate([[np.nan, np.nan], known])[: len(gaps) + 2]


def _others(group: Group | None, own: NodeHistory, times: Floats, window: float) -> Floats:
    """Return the failures of the others of a group, for each of them; nan if nobody is known to be in it."""
    if group is None:
        return np.full(len(times), np.nan)
    return (_within(group.failed, times, window) - _within(own.failed, times, window)) / (group.size - 1)

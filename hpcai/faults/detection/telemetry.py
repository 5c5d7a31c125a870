"""What telemetry shows of a node at a moment, from samples up to then: level, trend, and how far it is from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcai.faults.detection.features import Seen
from hpcai.records.telemetry import TELEMETRY_COLUMNS, Telemetry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR: Final = 3600.0
DAY: Final = 86400.0
OF_NORMAL: Final = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_UNITS: Final = {column.name: column.unit for column in TELEMETRY_COLUMNS}


def telemetry_seen(metrics: Sequence[str]) -> tuple[Seen, ...]:
    """Return the features of each of ``metrics``, in their order."""
    return tuple(
        seen
        for name in metrics
        for seen in (
            Seen(f"{name}_1h", f"{name}, mean of the samples of the last hour", _UNITS[name]),
            Seen(f"{name}_1d", f"{name}, mean of the last day", _UNITS[name]),
            Seen(f"{name}_trend", f"{name}, slope of a straight line through the last day", f"{_UNITS[name] or '1'}/d"),
            Seen(f"{name}_apart", f"{name}_1h from the median node, in scaled median absolute deviations"),
        )
    )


class _Sums(NamedTuple):
    """Running sums over the samples of one metric on one node; t in days from the first."""

    time: Floats  # (samples,) s
    of: Floats  # (samples + 1, 5): 1, t, x, t t, t x


def telemetry_features(
    telemetry: Telemetry, names: Sequence[str], node: Ints, time: Floats, metrics: Sequence[str]
) -> Floats:
    """Return what is seen at each row, float64[rows, features of telemetry_seen]; nan where nothing was sampled.

    Args:
        telemetry: samples; times from the same origin as ``time``.
        names: of all nodes.
        node: of each row, a place in ``names``.
        time: of each row, s.
        metrics: those that are looked at.
    """
    groups = dict(iter(telemetry.table.groupby("node", sort=False)))
    columns = []
    for metric in metrics:
        sums = [_sums(groups[name], metric) if name in groups else _NOTHING for name in names]
        columns += _of_metric(sums, node, time)
    return np.column_stack(columns) if columns else np.zeros((len(node), 0))


def _sums(rows: object, metric: str) -> _Sums:
    time = rows["time"].to_numpy(np.float64)  # type: ignore[index]
    value = rows[metric].to_numpy(np.float64)  # type: ignore[index]
    known = ~np.isnan(value)
    time, value = time[known], value[known]
    if not len(time):
        return _NOTHING
    t = (time - time[0]) / DAY
    terms = np.column_stack([np.ones(len(t)), t, value, t * t, t * value])
    return _Sums(time, np.concatenate([np.zeros((1, 5)), np.cumsum(terms, axis=0)]))


_NOTHING: Final = _Sums(np.zeros(0), np.zeros((1, 5)))


def _of_metric(sums: list[_Sums], node: Ints, time: Floats) -> list[Floats]:
    moments, at = np.unique(time, return_inverse=True)
    hour, day, trend = (np.full((len(sums), len(moments)), np.nan) for _ in range(3))
    for i, own in enumerate(sums):
        if len(own.time):
            hour[i] = _mean(_past(own, moments, HOUR))
            past = _past(own, moments, DAY)
            day[i], trend[i] = _mean(past), _slope(past)
    apart = _apart(hour)
    return [table[node, at] for table in (hour, day, trend, apart)]


def _past(own: _Sums, moments: Floats, window: float) -> Floats:
    """Return the sums over the samples in (t - window, t], float64[moments, 5]."""
    until = np.searchsorted(own.time, moments, "right")
    return np.asarray(own.of[until] - own.of[np.searchsorted(own.time, moments - window, "right")])


def _mean(past: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(past[:, 0] > 0, past[:, 2] / past[:, 0], np.nan))


def _slope(past: Floats) -> Floats:
    n, t, x, tt, tx = past.T
    spread = n * tt - t * t
    enough = (n >= 3) & (spread > 1e-9 * np.maximum(n * tt, 1e-12))
    return np.asarray(np.divide(n * tx - t * x, spread, out=np.full(len(n), np.nan), where=enough))


def _apart(values: Floats) -> Floats:
    """Return how far each node is from the median of all at that moment, (nodes, moments); nan among fewer than 4."""
    many = (~np.isnan(values)).sum(axis=0) >= 4
    apart = np.full(values.shape, np.nan)
    if many.any():
        own = values[:, many]
        distance = own - np.nanmedian(own, axis=0)
        spread = OF_NORMAL * np.nanmedian(np.abs(distance), axis=0)
        floor = 1e-3 * np.maximum(np.abs(np.nanmedian(own, axis=0)), 1e-3)
        apart[:, many] = distance / np.maximum(spread, floor)
    return apart

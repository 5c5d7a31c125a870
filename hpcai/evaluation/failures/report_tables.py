"""The tables of a report on failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from hpcai.evaluation.failures.words import YEAR, about, near
from hpcai.evaluation.humanise import duration, number, percent
from hpcai.evaluation.tables import Cell, Row, Table
from hpcai.faults.dependence import dispersion, neighbours
from hpcai.faults.fit_log import QUANTITIES, Fitted, GroupFit
from hpcai.faults.outages import Durations, Mask, Outages
from hpcai.faults.survival import kaplan_meier, log_rank
from hpcai.records.failures import FailureLog

DEFINITIONS: Final = {
    "outage": "A time in which a node was down; failures of a node that overlap are one.",
    "MTBF": "Mean time between failures: time in service over failures, of one node or of all together.",
    "uptime": f"Time {QUANTITIES['uptime']}.",
    "between": f"Time {QUANTITIES['between']}.",
    "repair": f"Time {QUANTITIES['repair']}.",
    "censored": "Only known to be longer: the node was still up, or still down, when it left service or the log ended.",
    "AIC": "Akaike's information criterion: twice the parameters less twice the log-likelihood. Least is best.",
    "KS distance": "Greatest difference between the fitted distribution and that of Kaplan and Meier; p: how often one "
    "so large comes about by chance if the distribution is right (parametric bootstrap, at most 1,000 durations).",
    "index of dispersion": "Variance over mean of the failures in spans of time: 1 for independent failures.",
    "Gini coefficient": "0 where all nodes fail alike, towards 1 where one has all failures.",
}
WIDTHS: Final = {3600.0: "hour", 86400.0: "day", 7 * 86400.0: "week", 30 * 86400.0: "30 days"}
WITHIN: Final = {60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}
MOST_CAUSES: Final = 20


def _table(name: str, headings: Sequence[str], rows: list[Row]) -> Table:
    return Table(name, [(heading, DEFINITIONS.get(heading, "")) for heading in headings], rows)


def rates(fitted: Sequence[GroupFit], by: str) -> Table:
    """Return how often the nodes of each group fail."""
    rows = []
    for group in fitted:
        low, high = group.mtbf_interval
        part, share = max(group.components.items(), key=lambda item: item[1])
        cells = [
            Cell(group.name),
            Cell(number(group.nodes), group.nodes),
            Cell(number(group.failures), group.failures),
            Cell(about(group.mtbf), group.mtbf),
            Cell(f"{about(low)} to {about(high)}" if np.isfinite(low) else "–"),
            Cell(f"{part} {percent(share)}", share),
        ]
        rows.append(Row(cells))
    return _table("rates", [by, "nodes", "outages", "MTBF of a node", "95 % interval", "commonest component"], rows)


def fits(fitted: Sequence[GroupFit], by: str) -> Table:
    """Return the best fit to each time of each group."""
    headings = [by, "time", "known", "censored", "best", "shape", "scale", "mean", "KS distance", "p"]
    return _table(
        "fits", headings, [Row(_fit(group.name, one)) for group in fitted for one in group.quantities.values()]
    )


def _fit(name: str, one: Fitted) -> list[Cell]:
    life, censored, p_value = one.best.lifetime, len(one.data) - one.data.events, one.goodness.p_value
    shape = "–" if life.family == "exponential" else f"{life.shape:.2f} [{one.shape[0]:.2f}, {one.shape[1]:.2f}]"
    return [
        Cell(name),
        Cell(one.quantity),
        Cell(number(one.data.events), one.data.events),
        Cell(number(censored), censored),
        Cell(life.family),
        Cell(shape, life.shape),
        Cell(near(life.scale, one), life.scale),
        Cell(near(life.mean, one), life.mean),
        Cell(f"{one.goodness.distance:.3f}", one.goodness.distance),
        Cell("–" if np.isnan(p_value) else f"{p_value:.2f}", p_value),
    ]


def causes(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the commonest causes as the log has them."""
    rows = []
    for name, row in list(found.items())[:MOST_CAUSES]:
        times = [row[key] for key in ("mean_repair", "median_repair")]
        cells = [Cell(name), Cell(number(row["failures"]), row["failures"]), Cell(percent(row["share"]), row["share"])]
        rows.append(Row([*cells, *(Cell("–" if time is None else duration(time), time) for time in times)]))
    return _table("causes", ["cause", "failures", "share", "mean repair", "median repair"], rows)


def bursts(log: FailureLog, of: Outages) -> Table:
    """Return the index of dispersion of counts by hour, day, week and month."""
    rows = []
    for width, name in WIDTHS.items():
        if (found := dispersion(of.start, *log.observed, width)) is not None:
            cells = [Cell(name), Cell(number(found.bins), found.bins), Cell(f"{found.index:.2f}", found.index)]
            rows.append(Row([*cells, Cell(f"{found.low:.2f} to {found.high:.2f}")]))
    return _table(
        "bursts", ["failures counted by", "spans", "index of dispersion", "95 % of independent failures"], rows
    )


def neighbourhoods(log: FailureLog, of: Outages, seed: int) -> Table | None:
    """Return whether nodes of one switch or rack fail together; None if the log knows neither."""
    rows = []
    for group in ("switch", "rack"):
        for within, words in WITHIN.items():
            if (found := neighbours(log, of, group, within, seed=seed)) is None:
                continue
            mean, low, high = found.by_chance
            ratio = found.pairs / mean if mean else np.nan
            cells = [
                Cell(f"same {group}, within {words}"),
                Cell(number(found.pairs), found.pairs),
                Cell(f"{number(mean)} [{number(low)}, {number(high)}]", mean),
                Cell(f"{ratio:.2f} ×" if mean else "–", ratio),
                Cell(f"{found.p_value:.3f}", found.p_value),
            ]
            rows.append(Row(cells))
    headings = ["pairs of failures of two nodes", "in the log", "by chance [95 %]", "ratio", "p"]
    return _table("neighbours", headings, rows) if rows else None


def first_of_groups(first: Durations, groups: Mapping[str, Mask]) -> Table | None:
    """Return how many nodes of each group have not failed after a year and three, and whether groups differ."""
    rows = []
    together = np.any(list(groups.values()), axis=0) if groups else np.zeros(len(first), dtype=bool)
    for name, mine in groups.items():
        own, others = first.of(mine), first.of(together & ~mine)
        curve = kaplan_meier(own)
        cells = [Cell(name), Cell(number(len(own)), len(own)), Cell(number(own.events), own.events)]
        for years in (1, 3):
            share, low, high = curve.at(years * YEAR)
            watched = own.value.max(initial=0.0) >= years * YEAR
            text = f"{percent(share)} [{100 * low:.1f}, {100 * high:.1f}]" if np.isfinite(low) else percent(share)
            cells.append(Cell(text, share) if watched else Cell("–"))
        p_value = log_rank(own, others) if own.events and others.events else np.nan
        p_text = "–" if np.isnan(p_value) else f"{p_value:.3f}" if p_value >= 0.001 else "below 0.001"
        rows.append(Row([*cells, Cell(p_text, p_value)]))
    headings = [
        "group",
        "nodes",
        "failed",
        "not failed after a year",
        "after three years",
        "differs from the others, p",
    ]
    return _table("first", headings, rows) if len(rows) > 1 else None

"""A part of a failure log: some nodes, some kinds of failure, a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from hpcai.configuration import seconds_in
from hpcai.errors import InputError
from hpcai.records.failures import FailureLog

OF_NODES: Final = ("system", "node_class", "rack", "place", "switch", "node")
OF_EVENTS: Final = ("component", "severity", "cause")


def select(
    log: FailureLog, only: Sequence[str] = (), *, since: str | None = None, until: str | None = None
) -> FailureLog:
    """Return a part of ``log``.

    Args:
        log: the failures.
        only: conditions COLUMN=VALUE, all of which have to hold; VALUE may list several, separated by commas. Of
            causes those are taken that begin so.
        since: date (UTC) from which on to observe, or a time such as 90d after the log's begin.
        until: date or time at which observation ends.

    Raises InputError if a condition is of no known column or no node is left, or a time is none.
    """
    begin, finish = (_instant(log, text, name) for text, name in ((since, "since"), (until, "until")))
    begin, finish = max(log.observed[0], begin), min(log.observed[1], finish)
    if not begin < finish and (since or until):
        raise InputError(
            f"{log.name}: found nothing from {since or 'its begin'} to {until or 'its end'}, expected some time"
        )
    events, nodes = log.events, log.nodes
    if since or until:
        events = events[events["start"].between(begin, finish)]
        events = events.assign(end=events["end"].where(events["end"] <= finish))
    for condition in only:
        column, equals, text = condition.partition("=")
        values = [value.strip() for value in text.split(",")]
        if column in OF_NODES and equals:
            nodes = nodes[nodes[column].isin(values)]
            if nodes.empty:
                known = ", ".join(sorted(set(log.nodes[column]))[:12])
                raise InputError(f"{log.name}: found no node of {condition!r}, expected one of: {known}")
        elif column == "cause" and equals:
            events = events[events["cause"].str.startswith(tuple(values))]
        elif column in OF_EVENTS and equals:
            events = events[events[column].isin(values)]
        else:
            raise InputError(
                f"{log.name}: found condition {condition!r}, expected COLUMN=VALUE of {', '.join(OF_NODES + OF_EVENTS)}"
            )
    events = events[events["node"].isin(nodes["node"])].reset_index(drop=True)
    left = nodes["out_of_service"].where(nodes["out_of_service"] < finish)
    nodes = nodes.assign(out_of_service=left).reset_index(drop=True)
    return replace(log, events=events, nodes=nodes, observed=(begin, finish))


def _instant(log: FailureLog, text: str | None, name: str) -> float:
    """Return when ``text`` is, in s from the log's origin; without bound if it is None."""
    if text is None:
        return -np.inf if name == "since" else np.inf
    seconds = seconds_in(text)
    if seconds is not None:
        return log.observed[0] + seconds
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{name}: found {text!r}, expected a date such as 2024-01-31, or a time such as 90d") from None
    if np.isnan(log.origin):
        raise InputError(f"{name}: found {text!r}, expected a time such as 90d: {log.name} has no dates")
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - log.origin

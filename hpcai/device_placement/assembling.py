"""From operators and edges by name to the canonical graph, with every check that a graph has to pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from hpcai.device_placement.graph import FORWARD, NO_GROUP, Ints, OperatorGraph
from hpcai.errors import InputError

_BYTES: Final = ("weights", "activations", "output")


class Row(NamedTuple):
    """One operator; see the fields of :class:`OperatorGraph`."""

    name: str
    kind: str
    forward: Sequence[float]  # (m,) seconds by kind of device; inf where it cannot run
    backward: Sequence[float]  # (m,) seconds
    weights: float = 0.0  # bytes
    activations: float = 0.0  # bytes
    output: float = 0.0  # bytes
    group: object = None  # any name of the group; None: of none
    phase: int = FORWARD


def assemble(
    where: str, name: str, device_kinds: Sequence[str], rows: Sequence[Row], edges: Iterable[tuple[str, str]]
) -> OperatorGraph:
    """Return the graph of ``rows``, in their order, and ``edges`` between them; doubled edges count once.

    Groups are numbered as they first appear; a group of one operator binds nothing and is none.

    Raises:
        InputError: ``where`` and the operator, if there is no operator or two of a name, a number that is negative or
            not one, an operator that no kind of device can run, an edge to an unknown operator or to itself, a cycle.
    """
    if not rows:
        raise InputError(f"{where}: expected operators, found none")
    if len(set(device_kinds)) < len(device_kinds) or not device_kinds:
        raise InputError(f"{where}: expected kinds of device that differ, found {list(device_kinds)}")
    number = {row.name: i for i, row in enumerate(rows)}
    if len(number) < len(rows):
        twice = next(row.name for i, row in enumerate(rows) if number[row.name] != i)
        raise InputError(f"{where}: operator {twice!r}: expected a name of its own, found it twice")
    for row in rows:
        _check(where, row, len(device_kinds))
    graph = OperatorGraph(
        name=name,
        operators=tuple(number),
        kinds=tuple(row.kind for row in rows),
        device_kinds=tuple(device_kinds),
        forward=np.array([row.forward for row in rows], np.float64).T.copy(),
        backward=np.array([row.backward for row in rows], np.float64).T.copy(),
        weights=np.array([row.weights for row in rows], np.float64),
        activations=np.array([row.activations for row in rows], np.float64),
        output=np.array([row.output for row in rows], np.float64),
        group=numbered([row.group for row in rows]),
        phase=np.array([row.phase for row in rows], np.int64),
        edges=_numbered_edges(where, number, edges),
    )
    try:
        _ = graph.order
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return graph


def numbered(groups: Sequence[object]) -> Ints:
    """Return (n,) groups numbered from 0 as they first appear; NO_GROUP for None, and for those of one operator."""
    counts: dict[object, int] = {}
    for group in groups:
        counts[group] = counts.get(group, 0) + 1
    shared = (group for group, count in counts.items() if group is not None and count > 1)
    number = {group: i for i, group in enumerate(shared)}
    return np.array([number.get(group, NO_GROUP) for group in groups], np.int64)


def _check(where: str, row: Row, m: int) -> None:
    at = f"{where}: operator {row.name!r}"
    for field in ("forward", "backward"):
        seconds = getattr(row, field)
        if len(seconds) != m:
            raise InputError(f"{at}: {field}: expected a time for each of {m} kinds of device, found {len(seconds)}")
        for found in seconds:
            if not found >= 0:  # NaN is not
                raise InputError(f"{at}: {field}: expected seconds of at least 0, found {found}")
    if all(math.isinf(seconds) for seconds in row.forward):
        raise InputError(f"{at}: expected a kind of device that can run it, found none")
    for field in _BYTES:
        found = getattr(row, field)
        if not 0 <= found < math.inf:
            raise InputError(f"{at}: {field}: expected bytes of at least 0, found {found}")


def _numbered_edges(where: str, number: dict[str, int], edges: Iterable[tuple[str, str]]) -> Ints:
    pairs: dict[tuple[int, int], None] = {}
    for source, target in edges:
        for end in (source, target):
            if end not in number:
                raise InputError(f"{where}: edge {source!r} to {target!r}: there is no operator {end!r}")
        if source == target:
            raise InputError(f"{where}: operator {source!r}: expected no edge to itself, found one")
        pairs[number[source], number[target]] = None
    return np.array(list(pairs), np.int64).reshape(-1, 2)

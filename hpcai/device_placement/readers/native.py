"""Graphs in this project's own JSON: every field of the canonical graph, one operator a line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcai.configuration import validated
from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.graph import BACKWARD, FORWARD, NO_GROUP, OperatorGraph
from hpcai.device_placement.readers._json import load_mapping

FORMAT: Final = "hpcai graph 1"

_PHASES: Final = {"forward": FORWARD, "backward": BACKWARD}
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Operator(_Strict):
    name: str
    kind: str = "unknown"
    forward: list[_Amount | None]  # seconds by kind of device; null where it cannot run
    backward: list[_Amount | None] | None = None
    weights: _Amount = 0.0
    activations: _Amount = 0.0
    output: _Amount = 0.0
    group: int | None = None
    phase: Literal["forward", "backward"] = "forward"


class _Graph(_Strict):
    format: Literal["hpcai graph 1"]
    name: str
    device_kinds: list[str]
    operators: list[_Operator]
    edges: list[tuple[str, str]]


def matches(head: bytes) -> bool:
    """Whether it is JSON with our format's name."""
    return head.lstrip().startswith(b"{") and f'"{FORMAT}"'.encode() in head


def read(path: Path) -> OperatorGraph:
    """Return the graph that ``write_graph`` wrote; what an operator leaves out is 0, or none.

    Raises:
        InputError: path and key, if it cannot be read or is no such graph; see ``assemble``.
    """
    given = validated(_Graph, load_mapping(path), str(path))
    rows = [_row(operator, len(given.device_kinds)) for operator in given.operators]
    return assemble(str(path), given.name, given.device_kinds, rows, given.edges)


def write_graph(graph: OperatorGraph, path: str | Path) -> None:
    """Write ``graph`` to ``path``, whole or not at all; ``read`` returns the same graph. Raises InputError."""
    from hpcai.records.writers import atomic

    fields = {"format": FORMAT, "name": graph.name, "device_kinds": list(graph.device_kinds)}
    lines = [f'"{key}": {_text(value)}' for key, value in fields.items()]
    lines.append('"operators": ' + _lines([_fields(graph, i) for i in range(len(graph))]))
    names = graph.operators
    lines.append('"edges": ' + _lines([[names[source], names[target]] for source, target in graph.edges]))
    with atomic(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _lines(items: Sequence[object]) -> str:
    return "[\n" + ",\n".join(map(_text, items)) + "\n]"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _row(given: _Operator, m: int) -> Row:
    return Row(
        given.name,
        given.kind,
        forward=_seconds(given.forward),
        backward=[0.0] * m if given.backward is None else _seconds(given.backward),
        weights=given.weights,
        activations=given.activations,
        output=given.output,
        group=given.group,
        phase=_PHASES[given.phase],
    )


def _seconds(given: list[float | None]) -> list[float]:
    return [math.inf if seconds is None else seconds for seconds in given]


def _fields(graph: OperatorGraph, i: int) -> dict[str, Any]:
    """Return what differs from the defaults of an operator."""
    fields: dict[str, Any] = {"name": graph.operators[i], "kind": graph.kinds[i]}
    fields["forward"] = [None if math.isinf(seconds) else seconds for seconds in graph.forward[:, i].tolist()]
    if graph.backward[:, i].any():
        fields["backward"] = [None if math.isinf(seconds) else seconds for seconds in graph.backward[:, i].tolist()]
    for name in ("weights", "activations", "output"):
        if getattr(graph, name)[i]:
            fields[name] = float(getattr(graph, name)[i])
    if graph.group[i] != NO_GROUP:
        fields["group"] = int(graph.group[i])
    if graph.phase[i] == BACKWARD:
        fields["phase"] = "backward"
    return fields

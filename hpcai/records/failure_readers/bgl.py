"""Events of reliability, availability and serviceability (RAS) of a Blue Gene/L, Lawrence Livermore, 2005.

Raw lines, as in BGL.log of https://github.com/logpai/loghub, or loghub's structured CSV. The first field says what
the machine's operators made of it: "-" for nothing, else a kind of alert (Oliner and Stearley, "What supercomputers
say", DSN 2007). An alert is a fatal failure here; other messages of level ERROR and above are degraded, the rest info.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._lines import fields, looks_like
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import unix_seconds
from hpcai.records.readers._source import load
from hpcai.records.schema import BadRows

_COLUMNS: Final = ("label", "timestamp", "node", "type", "component", "level", "content")
LINE: Final = re.compile(r"(\S+) (\d{9,11}) \d{4}\.\d\d\.\d\d (\S+) \S+ \S+ (\S+) (\S+) (\S+) ?(.*)")
_NOWHERE: Final = ("NULL", "UNKNOWN_LOCATION")
_PLACE: Final = re.compile(r"(R\w\w)(?:-(M\d)(?:-(N\w))?)?")
_COMPONENT: Final = {"APP": "software", "LINKCARD": "network", "BGLMASTER": "software", "CMCS": "software"}


def matches(head: bytes) -> bool:
    """Whether it begins as such a log does."""
    return looks_like(head, LINE, _COLUMNS)


def read(path: Path) -> FailureLog:
    """Return the log; nodes are the places that messages name: chips, node cards, midplanes."""
    source = load(path)
    bad = BadRows()
    columns, lines = fields(source, bad, LINE, _COLUMNS)
    seconds, wrong = unix_seconds(columns["timestamp"])
    names = np.array(["" if name in _NOWHERE else name for name in columns["node"]], dtype=object)
    label, level = columns["label"], columns["level"]
    degraded = np.isin(level, ("ERROR", "SEVERE", "FAILURE", "FATAL"))
    severity = np.where(label != "-", "fatal", np.where(degraded, "degraded", "info"))
    parts = zip(columns["component"], columns["content"], strict=True)
    causes = zip(label, columns["component"], columns["content"], strict=True)
    events = {
        "node": names,
        "component": [_COMPONENT.get(part) or component_of(f"{text} {part}") for part, text in parts],
        "start": seconds,
        "cause": [f"{part if alert == '-' else alert}: {text}" for alert, part, text in causes],
        "severity": severity,
    }
    places = sorted(set(names) - {""})
    notes = ["only nodes that a message names are known; how long a failure lasts is not said"]
    problems = {NOT_A_NUMBER: wrong}
    nodes = _nodes(places)
    return finish(source, "bgl", events, lines=lines, bad=bad, problems=problems, nodes=nodes, notes=notes)


def _nodes(names: list[str]) -> dict[str, Any]:
    """Return rack, midplane and node card of names such as R02-M1-N0-C:J12-U11."""
    found = [_PLACE.match(name) for name in names]
    kinds = ["compute" if "-C:" in name else "io" if "-I:" in name else "card" for name in names]
    return {
        "node": names,
        "node_class": kinds,
        "rack": [match[1] if match else "" for match in found],
        "place": [(match[2] or "") if match else "" for match in found],
        "switch": ["-".join(match.groups()) if match and match[3] else "" for match in found],
    }

"""Events of a cluster of Los Alamos (49 nodes), 2003 to 2006.

Raw lines, as in HPC.log of https://github.com/logpai/loghub, or loghub's structured CSV.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._lines import fields, looks_like
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import unix_seconds
from hpcai.records.readers._source import load
from hpcai.records.schema import BadRows

_COLUMNS: Final = ("logid", "node", "component", "state", "time", "flag", "content")
LINE: Final = re.compile(r"(\d+) (\S+) (\S+) (\S+) (\d{9,11}) (-?\d+) ?(.*)")
_FATAL: Final = re.compile(
    r"not[ -]responding|unavailable state|panic|HALT asserted|power/control problem|psu failure|timed out",
    re.IGNORECASE,
)
_DEGRADED: Final = re.compile(
    r"link errors?\b|linkerror|critical|warning|is full|no server|no longer served|failed network"
    r"|blocked|abort|exceeds",
    re.IGNORECASE,
)


def matches(head: bytes) -> bool:
    """Whether it begins as such a log does."""
    return looks_like(head, LINE, _COLUMNS)


def read(path: Path) -> FailureLog:
    """Return the log; severity follows from the words, since the log has none."""
    source = load(path)
    bad = BadRows()
    columns, lines = fields(source, bad, LINE, _COLUMNS)
    seconds, wrong = unix_seconds(columns["time"])
    words = [f"{state}: {text}" for state, text in zip(columns["state"], columns["content"], strict=True)]
    places = sorted(set(columns["node"]) - {""})
    events = {
        "node": columns["node"],
        "component": [component_of(f"{text} {part}") for text, part in zip(words, columns["component"], strict=True)],
        "start": seconds,
        "cause": words,
        "severity": [_severity(text) for text in words],
    }
    kinds = [re.split(r"[-\d]", name, maxsplit=1)[0] or "other" for name in places]
    return finish(
        source,
        "hpc",
        events,
        lines=lines,
        bad=bad,
        problems={NOT_A_NUMBER: np.asarray(wrong)},
        nodes={"node": places, "node_class": kinds},
        notes=["only nodes that a message names are known; how long a failure lasts is not said"],
    )


def _severity(words: str) -> str:
    if _FATAL.search(words):
        return "fatal"
    return "degraded" if _DEGRADED.search(words) else "info"

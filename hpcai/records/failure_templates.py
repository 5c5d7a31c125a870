"""Templates of raw system logs: messages that differ only in numbers and names are one kind of event.

Mined by Drain (He et al., "Drain: An online log parsing approach with fixed depth tree", ICWS 2017) as the package
drain3 has it; it comes with ``pip install 'hpcai[failures]'``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.failure_readers import bgl, hpc, syslog
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

Whole = npt.NDArray[np.int64]

_MASKS: Final = (  # what varies between messages of one kind, before they are compared
    (r"(?<![A-Za-z0-9])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![A-Za-z0-9])", "IP"),
    (r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]+(?![A-Za-z0-9])", "HEX"),
    (r"core\.\d+", "CORE"),
    (r"(?<![A-Za-z0-9.])[+-]?\d+(?![A-Za-z0-9.])", "NUM"),
)


@dataclass(frozen=True)
class Messages:
    """The messages of a log, without date and host, and what its publisher says that each is, if anything."""

    text: list[str]
    lines: Whole  # (n,) numbers, from 1
    labels: npt.NDArray[np.object_] | None = None


@dataclass(frozen=True)
class Templates:
    """The templates of a log, most frequent first, and which of them each message is."""

    table: pd.DataFrame  # template, count, first_line
    of: Whole  # (n,) row of the table for each message

    def grouping_accuracy(self, labels: Sequence[Any] | npt.NDArray[np.object_]) -> float:
        """Return the share of messages whose group is just that of the ``labels``, no message more or less.

        Zhu et al., "Tools and benchmarks for automated log parsing", ICSE-SEIP 2019, section 3.3.
        """
        truth = pd.factorize(np.asarray(labels, dtype=object))[0]
        both = pd.DataFrame({"truth": truth, "found": self.of})
        together = both.groupby(["truth", "found"]).size()
        whole = (together == both["truth"].value_counts().reindex(together.index, level=0)) & (
            together == both["found"].value_counts().reindex(together.index, level=1)
        )
        return float(together[whole].sum()) / len(both)


def messages(path: Path | str) -> Messages:
    """Return the messages of a system log: Blue Gene/L, HPC, loghub's CSV, syslog, or any lines of text.

    Raises InputError if it cannot be read or is empty.
    """
    source = load(Path(path))
    data = text_lines(source, BadRows())
    if has_columns(data[:65536], ("content",)):
        table = read_table(source.path, data, BadRows(), required=("content",))
        labels = np.asarray(table.text("eventid"), dtype=object) if "eventid" in table else None
        return Messages(list(table.text("content")), table.lines, labels)
    rows = [(number, text) for number, text in enumerate(data.decode("utf-8").split("\n"), 1) if text.strip()]
    pattern = next((line for line in (bgl.LINE, hpc.LINE, syslog.LINE) if _mostly(line, rows)), None)
    found = [(number, _content(pattern, text)) for number, text in rows]
    return Messages([text for _, text in found], np.array([number for number, _ in found], dtype=np.int64))


def _mostly(line: re.Pattern[str], rows: list[tuple[int, str]]) -> bool:
    return 2 * sum(line.match(text) is not None for _, text in rows[:50]) > len(rows[:50])


def _content(line: re.Pattern[str] | None, text: str) -> str:
    """Return the last group of a line that ``line`` matches, else all of it."""
    match = None if line is None else line.match(text)
    return text.strip() if match is None else str(match[match.re.groups])


def mine(found: Messages, *, similarity: float = 0.5, depth: int = 4) -> Templates:
    """Return the templates of messages.

    Args:
        found: the messages, in the order of the log.
        similarity: share of like words above which two messages are of one template, 0 to 1.
        depth: of Drain's tree, from 3: depth - 2 leading words of like messages have to agree.

    Raises InputError if drain3 is not installed or a setting is out of range.
    """
    if not 0 < similarity <= 1 or depth < 3:
        raise InputError(f"templates: found similarity {similarity:g}, depth {depth}; expected 0 to 1, and 3 or more")
    miner = _miner(similarity, depth)
    cluster = np.array([miner.add_log_message(text)["cluster_id"] for text in found.text], dtype=np.int64)
    ids, first, of, count = np.unique(cluster, return_index=True, return_inverse=True, return_counts=True)
    words = {one.cluster_id: one.get_template() for one in miner.drain.clusters}
    table = pd.DataFrame(
        {"template": [words[i] for i in ids], "count": count, "first_line": found.lines[first]}
    ).sort_values("count", ascending=False, kind="stable")
    rank = np.empty(len(table), dtype=np.int64)
    rank[table.index] = np.arange(len(table))
    return Templates(table.reset_index(drop=True), rank[of])


def _miner(similarity: float, depth: int) -> Any:
    try:
        from drain3 import TemplateMiner
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig
    except ImportError as error:
        raise InputError("templates: drain3 is not installed; pip install 'hpcai[failures]'") from error
    settings = TemplateMinerConfig()
    settings.drain_sim_th, settings.drain_depth = similarity, depth
    settings.drain_max_children = 100
    settings.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in _MASKS]
    return TemplateMiner(config=settings)

"""The model card: what was trained, on what, how good it is, and where it should not be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import Log
from hpcai.learning.run_folder import RunFolder
from hpcai.records.splitting import Part

_PARTS: tuple[Part, ...] = ("train", "validation", "test")


def model_card(
    config: TrainingConfig,
    logs: Sequence[Log],
    folder: RunFolder,
    *,
    what: str,
    effort: str,
    judged: str,
    scores: Mapping[str, Sequence[float]],
    learned: str,
    notes: Sequence[str] = (),
) -> str:
    """Return the card as Markdown.

    ``what`` is the trained thing in a sentence, ``effort`` what it took, ``judged`` says what the ``scores`` of
    everything compared are (a ratio; a bound and the mean wait where there are any), ``learned`` is the key of ours
    among them.
    """
    lines = [
        f"# {folder.path.name}",
        "",
        what,
        "",
        f"* hpcai {folder.identity['version']}, seed {config.seed}, {effort}",
        f"* objective: {config.objective.replace('_', ' ')}; backfilling: {config.backfill}",
        "* `config.yaml` and `run.json` in this folder repeat the run",
        "",
        "## Trained on",
        "",
        "| log | part | jobs | from | to |",
        "|---|---|---|---|---|",
        *(_part_row(log, part) for log in logs for part in _PARTS),
        "",
        "The test part was not looked at.",
        "",
        *(f"* `{name}` SHA-256 `{digest}`" for log in logs for name, digest in log.hashes.items()),
        "",
        "## Before the test",
        "",
        judged + (" Geometric means over logs." if len(logs) > 1 else ""),
        "",
        "| policy | relative |",
        "|---|---|",
        *(
            f"| {f'**{name}**' if name == learned else name} | {_score(score)} |"
            for name, score in sorted(scores.items(), key=lambda item: item[1][0])
        ),
        "",
        "## Limits",
        "",
        "* These figures chose the result, so they flatter it; `hpcai evaluate` judges on the test part.",
        "* It knows jobs and machines like those above. On another site compare it with heuristics first.",
        "* Replays know what logs know: users do not change their habits when waits change.",
        *(f"* {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def _score(score: Sequence[float]) -> str:
    text = ("{:.3f}", "at most {:.3f}", "wait {:.2f}")
    return ", ".join(part.format(value) for part, value in zip(text, score, strict=False))


def _part_row(log: Log, part: Part) -> str:
    first, last = log.bounds(part)
    begin, end = (_date(log, instant) for instant in log.instants(part))
    return f"| {log.name} | {part} | {last - first:,} | {begin} | {end} |"


def _date(log: Log, instant: float) -> str:
    """Return an instant as a date if the log says when it began, else as days from its origin."""
    if not math.isfinite(log.trace.origin):
        return f"day {instant / 86400:.1f}"
    return datetime.fromtimestamp(log.trace.origin + instant, UTC).strftime("%Y-%m-%d %H:%M")

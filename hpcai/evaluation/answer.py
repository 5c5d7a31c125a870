"""The answer of an evaluation in a sentence or two, no surer than the intervals allow."""

from __future__ import annotations

from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.humanise import number, quantity, ratio
from hpcai.evaluation.inputs import Input
from hpcai.evaluation.ranking import Ranked, Ranking

PART_PHRASES = {
    "test": "the last 30 % of ",
    "validation": "the validation part (60 to 70 %) of ",
    "train": "the first 60 % of ",
    "all": "",
}
_NAMED_RIVALS = 3


def where_phrase(source: Input, config: EvaluationConfig) -> str:
    """Say what was replayed: 'On the last 30 % of CTC-SP2 (50 windows of 1,024 jobs)'."""
    jobs = number(len(source.windows[0]))
    windows = len(source.windows)
    shape = f"{windows} windows of {jobs} jobs" if windows > 1 else f"one window of {jobs} jobs"
    return f"On {PART_PHRASES[config.part_used]}{source.name} ({shape})"


def answer(ranking: Ranking, source: Input, config: EvaluationConfig) -> str:
    """Return the sentences that a report opens with."""
    best = ranking.best
    value = quantity(best.value, ranking.objective.unit)
    quality = ranking.objective.name.replace("_", " ").replace("p95", "95th percentile")
    competing = [row for row in ranking.rows if row.rank is not None]
    if len(competing) > 1 and all(row.value == best.value for row in competing):
        hint = "" if config.windows == "all" else "; longer windows, or the whole log as one, may"
        return (
            f"{where_phrase(source, config)}, the policies do not differ: each would have given a {quality} of "
            f"{value}. The jobs that are replayed together do not fill the machine{hint}."
        )
    text = f"{where_phrase(source, config)}, {best.entry.label} would have given a {quality} of {value}"
    begun = "the windows" if len(source.windows) > 1 else "the window"
    busy = f" on a machine that was busy when {begun} began" if source.windows[0].first > 0 else ""
    comparisons = _comparisons(ranking, busy)
    text += f", {' and '.join(comparisons)}." if comparisons else "."
    if best.entry == ranking.baseline and len(competing) > 1:
        text += " None of the other policies did better."
    return text + _rivals([row for row in ranking.level_with_best if row.entry != ranking.baseline])


def _comparisons(ranking: Ranking, busy: str) -> list[str]:
    """Compare the best policy with the baseline and with the record, and own up where they are level."""
    best, result = ranking.best, []
    if best.entry != ranking.baseline:
        level = "" if best.to_baseline.clear else " (not distinguishable)"
        result.append(f"{ratio(best.to_baseline)} that of {ranking.baseline.label}{level}")
    if best.to_recorded is not None:
        level = "" if best.to_recorded.clear else " (not distinguishable)"
        result.append(f"{ratio(best.to_recorded)} what was recorded{busy}{level}")
    return result


def _rivals(level: list[Ranked]) -> str:
    if not level:
        return ""
    names = [f"{row.entry.label} ({ratio(row.to_best)})" for row in level[:_NAMED_RIVALS]]
    more = f" and {len(level) - _NAMED_RIVALS} more" if len(level) > _NAMED_RIVALS else ""
    return f" It is not distinguishable from {', '.join(names)}{more}."

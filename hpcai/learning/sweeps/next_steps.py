"""What to try next: advice that follows from what a survey has found, each with its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial

from hpcai.evaluation.humanise import number, percent
from hpcai.learning.sweeps.space import Range
from hpcai.learning.sweeps.survey import ENOUGH, Survey, best_share

NEGLIGIBLE: Final = 0.02  # importance by both methods
AT_THE_EDGE: Final = 0.05  # of a range
NARROW: Final = 0.4  # of a range that the best tenth fills
LATE: Final = 0.8  # of the trials, when the best was found
EARLY: Final = 0.4
FORETELLS: Final = 0.5  # rank correlation
Places = npt.NDArray[np.float64]

FEW_FAILURES: Final = 0.05
MOST: Final = 0.7  # of the failures


@dataclass(frozen=True)
class Advice:
    """What to do, and why."""

    what: str
    why: str


def advise(survey: Survey) -> list[Advice]:
    """Return the advice, most useful first; none while there are too few trials to say anything."""
    if len(survey.complete) < ENOUGH:
        said = f"{len(survey.complete)} complete ones say too little; {ENOUGH} are a start"
        return [Advice("make more trials", said)]
    rules: tuple[Callable[[Survey], Iterator[Advice]], ...] = (
        _failures, _foretelling, _edges, _length, _noise, _negligible, _narrow, _pruning
    )  # fmt: skip
    return [advice for rule in rules for advice in rule(survey)]


def _place(value: float, parameter: Range) -> float:
    """Return where a value lies in a range, 0..1, on a logarithmic scale if the range has one."""
    low, high = parameter.low, parameter.high
    if low == high:
        return 0.5
    if parameter.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _places(survey: Survey) -> Iterator[tuple[str, Range, Places]]:
    """Give where the best tenth lies in each range that matters."""
    for name, parameter in survey.config.space.items():
        if isinstance(parameter, Range) and name in survey.swept:
            best = _best_with(survey, name)
            if len(best) >= 5:
                yield name, parameter, np.array([_place(trial.params[name], parameter) for trial in best])


def _best_with(survey: Survey, name: str) -> list[FrozenTrial]:
    """Return the best tenth of the trials that have a parameter."""
    return best_share([trial for trial in survey.ranked() if name in trial.params])


def _importance(survey: Survey, name: str) -> float:
    """Return the larger of a parameter's importances; 1 where they are not known."""
    found = [shares[name] for shares in survey.importances(0).values() if name in shares]
    return max(found, default=1.0)


def _edges(survey: Survey) -> Iterator[Advice]:
    if survey.several:
        return
    for name, parameter, places in _places(survey):
        if _importance(survey, name) < NEGLIGIBLE:
            continue
        middle, width = float(np.median(places)), parameter.high - parameter.low
        if middle < AT_THE_EDGE:
            low = parameter.low / 10 if parameter.log else parameter.low - width / 2
            yield _widen(places, f"{name} downwards, to {number(low)}", f"its low end {parameter.low:g}")
        elif middle > 1 - AT_THE_EDGE:
            high = parameter.high * 10 if parameter.log else parameter.high + width / 2
            yield _widen(places, f"{name} upwards, to {number(high)}", f"its high end {parameter.high:g}")


def _widen(places: Places, what: str, end: str) -> Advice:
    near = int((np.minimum(places, 1 - places) < AT_THE_EDGE).sum())
    said = f"{near} of the {len(places)} best trials lie within {AT_THE_EDGE:.0%} of the range from {end}"
    return Advice(f"widen {what}, if that makes sense", f"{said}; beyond it may be better ones")


def _narrow(survey: Survey) -> Iterator[Advice]:
    if survey.several:
        return
    for name, _, places in _places(survey):
        low, high = float(places.min()), float(places.max())
        inside = AT_THE_EDGE < (low + high) / 2 < 1 - AT_THE_EDGE
        if inside and high - low < NARROW and _importance(survey, name) >= NEGLIGIBLE:
            best = [trial.params[name] for trial in _best_with(survey, name)]
            yield Advice(
                f"narrow {name} to {number(min(best))} to {number(max(best))}",
                f"the {len(best)} best trials fill {percent(high - low)} of its range",
            )


def _negligible(survey: Survey) -> Iterator[Advice]:
    best = survey.best
    if survey.several or best is None or survey.no_importance():
        return
    for name in survey.always:
        share = _importance(survey, name)
        if share < NEGLIGIBLE:
            value = best.params[name]
            shown = number(value) if isinstance(value, float) else value
            yield Advice(f"fix {name} at {shown}", f"importance at most {percent(share)} by fANOVA and by PED-ANOVA")


def _length(survey: Survey) -> Iterator[Advice]:
    if survey.several or survey.best is None:
        return
    numbers = sorted(trial.number for trial in survey.complete + survey.pruned)
    place = (numbers.index(survey.best.number) + 1) / len(numbers)
    said = f"the best is trial {survey.best.number}, found after {percent(place)} of the trials"
    if place > LATE:
        yield Advice(f"go on: {2 * len(numbers)} trials in all", f"{said}; the search was still getting better")
    elif place < EARLY:
        yield Advice("search another space or judge on more windows, not more trials", f"{said}; none since was better")


def _noise(survey: Survey) -> Iterator[Advice]:
    """Whether the best can be told from those behind it."""
    ranked = survey.ranked()[:5]
    if survey.several or len(ranked) < 2 or len(survey.steps(ranked[0])) < 2:
        return
    first = survey.steps(ranked[0])
    level = 0
    for trial in ranked[1:]:
        difference = (survey.steps(trial) - first) * survey.sign()
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
        level += bool(difference.mean() < 2 * error) if error > 0 else 0
    if level:
        kind = "windows" if survey.config.kind == "evaluate" else "repeats"
        yield Advice(
            f"try the {level + 1} best again on more {kind}",
            f"{level} of the {len(ranked) - 1} trials behind the best lie within two standard errors of it over "
            f"{len(first)} {kind}",
        )


def _foretelling(survey: Survey) -> Iterator[Advice]:
    found = survey.compared
    if found is not None and found.correlation < FORETELLS:
        yield Advice(
            "judge on more or longer windows rather than make more trials",
            f"the rank correlation of validation and test is {found.correlation:.2f} over {len(found.trials)} trials: "
            "what is better on validation is hardly better later",
        )


def _pruning(survey: Survey) -> Iterator[Advice]:
    kind = survey.config.pruner.kind
    if kind == "none":
        steps = max((len(trial.intermediate_values) for trial in survey.complete), default=0)
        if steps > 4 and not survey.several:
            advised = "wilcoxon" if survey.config.kind == "evaluate" or survey.config.repeats > 1 else "median"
            yield Advice(f"set pruner: {advised}", f"trials have {steps} steps, and a bad one shows after a few")
        return
    share = len(survey.pruned) / max(survey.tried, 1)
    if share < 0.05 and survey.tried >= 2 * ENOUGH:
        yield Advice("prune harder, or not at all", f"{percent(share)} of the trials were given up by {kind}")
    run = [len(trial.intermediate_values) / survey.full_steps for trial in survey.pruned if survey.full_steps]
    if len(run) >= 5 and np.median(run) > LATE:
        said = f"half of those given up had run more than {percent(float(np.median(run)))} of their steps"
        yield Advice("give up earlier, with fewer pruner.steps, or not at all", f"{said}, so that little was saved")


def _failures(survey: Survey) -> Iterator[Advice]:
    share = len(survey.failed) / max(survey.tried, 1)
    if share <= FEW_FAILURES:
        return
    message, numbers = survey.errors[0]
    where = _where_it_fails(survey)
    yield Advice(
        f"leave out {where}" if where else "see why trials fail",
        f"{percent(share)} of the trials failed, {len(numbers)} of them with: {message[:120]}",
    )


def _where_it_fails(survey: Survey) -> str:
    """Return the part of one range in which trials only fail and which holds most failures, or ''."""
    fine = survey.complete + survey.pruned
    for name, parameter in survey.config.space.items():
        if not isinstance(parameter, Range):
            continue
        bad = [trial.params[name] for trial in survey.failed if name in trial.params]
        good = [trial.params[name] for trial in fine if name in trial.params]
        if not bad or not good:
            continue
        if np.mean(np.array(bad) > max(good)) > MOST:
            return f"{name} above {number(max(good))}"
        if np.mean(np.array(bad) < min(good)) > MOST:
            return f"{name} below {number(min(good))}"
    return ""

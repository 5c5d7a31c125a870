"""What a study says: the best and how sure that is, what mattered, where the time went."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import spearmanr
from scipy.stats import t as student

from hpcai.configuration import one_or_many
from hpcai.evaluation.figures import escape
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.statistics import Ratio, ratios, resample
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.heartbeat import WORKER
from hpcai.learning.sweeps.proof import Proof
from hpcai.learning.sweeps.study import ERROR, SURPLUS

Floats = npt.NDArray[np.float64]

ENOUGH: Final = 10
"""Complete trials from which importance is worth computing."""

MOST_DRAWN: Final = 500
"""Complete trials that are drawn, and from which importance is computed: more are slow and show no more."""

_RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Compared:
    """How validation foretells the test: Spearman's rank correlation over so many trials."""

    validation: Floats
    test: Floats
    trials: list[int]
    correlation: float


class Survey:
    """A study, read once."""

    def __init__(self, study: optuna.Study, config: SweepConfig, proof: Proof | None) -> None:
        self.study, self.config, self.proof = study, config, proof
        self.trials = [trial for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get(SURPLUS)]
        self.complete = self._in(TrialState.COMPLETE)
        self.pruned = self._in(TrialState.PRUNED)
        self.failed = [trial for trial in self._in(TrialState.FAIL) if ERROR in trial.user_attrs]
        self.lost = [trial for trial in self._in(TrialState.FAIL) if ERROR not in trial.user_attrs]
        self.several = len(config.targets) > 1
        self.importances = cache(self._importances)

    def _in(self, state: TrialState) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state == state]

    @property
    def tried(self) -> int:
        """Trials that ended by themselves."""
        return len(self.complete) + len(self.pruned) + len(self.failed)

    def sign(self, target: int = 0) -> int:
        """1 where less is better, else -1."""
        return self.config.targets[target].sign

    def values(self, target: int = 0) -> Floats:
        """Values of the complete trials (float64[complete])."""
        return np.array([trial.values[target] for trial in self.complete])

    def ranked(self, target: int = 0) -> list[FrozenTrial]:
        """The complete trials, best first."""
        return sorted(self.complete, key=lambda trial: self.sign(target) * trial.values[target])

    @cached_property
    def best(self) -> FrozenTrial | None:
        """The best complete trial by the first objective."""
        return self.ranked()[0] if self.complete else None

    @cached_property
    def front(self) -> list[FrozenTrial]:
        """Of several objectives, the trials that no other betters in all, by the first objective."""
        return sorted(self.study.best_trials, key=lambda trial: trial.values[0]) if self.several else []

    @cached_property
    def baseline(self) -> tuple[str, Floats] | None:
        """The first rival on the windows of the trials: its label, and its values of the first objective."""
        for label, values in self.rivals.items():
            return label, np.array(values[self.config.targets[0].name])
        return None

    @cached_property
    def rivals(self) -> dict[str, dict[str, list[float]]]:
        """Metrics of the rivals on the windows of the trials, by label; the first is the baseline."""
        found: dict[str, dict[str, list[float]]] = self.study.user_attrs.get("rivals") or {}
        return found

    def unit(self, target: int = 0) -> str:
        """The unit of an objective, '' where none is known; on several logs values are relative to a rival's."""
        name = self.config.targets[target].name
        several = len(one_or_many((self.config.evaluate or {}).get("trace", ()))) > 1
        return METRICS[name].unit if self.config.kind == "evaluate" and not several else ""

    def steps(self, trial: FrozenTrial) -> Floats:
        """A complete trial's values of the first objective by window or repeat (float64[steps]), in its order."""
        steps = trial.user_attrs.get("steps", {}).get(self.config.targets[0].name, [])
        return np.array(steps, np.float64)

    def mean(self, trial: FrozenTrial) -> Ratio:
        """The first objective of a trial with a 95 % interval over its windows or repeats, if it has several.

        Over windows by bootstrap; over repeats, which are few, by Student's t.
        """
        steps = self.steps(trial)
        if self.config.kind == "evaluate" or len(steps) < 2:
            return self._against(trial, np.ones(len(steps)))
        value = float(steps.mean())
        half = float(student.ppf(0.975, len(steps) - 1) * steps.std(ddof=1) / math.sqrt(len(steps)))
        return Ratio(value, value - half, value + half)

    def to_baseline(self, trial: FrozenTrial) -> Ratio | None:
        """The ratio to the baseline on the same windows with its 95 % interval, if there is a baseline."""
        return None if self.baseline is None else self._against(trial, self.baseline[1])

    def _against(self, trial: FrozenTrial, reference: Floats) -> Ratio:
        values = self.steps(trial)
        if len(values) < 2:
            value = float(trial.values[0] / reference[0]) if len(reference) else float(trial.values[0])
            return Ratio(value, np.nan, np.nan)
        order = np.argsort(self.study.user_attrs.get("order", range(len(values))))  # neighbours in time side by side
        block = int(self.study.user_attrs.get("overlap", 1))
        weights = resample(len(values), block, _RESAMPLES, np.random.default_rng(self.config.seed))
        return ratios(values[order, None], reference[order], weights, block)[0]

    def _importances(self, target: int = 0) -> dict[str, dict[str, float]]:
        """Share of each parameter in the variance of an objective, by method; empty where that cannot be said.

        fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) explains all values, PED-ANOVA (Watanabe, Bansal and Hutter,
        IJCAI 2023) what tells the better trials from the rest. The share of a parameter that exists only at times is
        that among the trials that have it.
        """
        if self.no_importance(target):
            return {}
        methods = {
            "fANOVA": FanovaImportanceEvaluator(seed=self.config.seed),
            "PED-ANOVA": PedAnovaImportanceEvaluator(),
        }
        found: dict[str, dict[str, float]] = {method: {} for method in methods}
        for names, beside in self._families(target):
            for method, evaluator in methods.items():
                shares = _shares(self.snapshot, evaluator, names, self.sign(target), target)
                found[method] |= {name: share for name, share in shares.items() if name not in beside}
        return found if any(found.values()) else {}

    def _families(self, target: int) -> list[tuple[list[str], list[str]]]:
        """Return parameters that exist together and vary there, and of them those that are judged elsewhere."""
        space = self.config.space
        rest = [name for name in self.swept if name not in self.always]
        groups = [[], *([n for n in rest if space[n].when == when] for when in _distinct(space[n].when for n in rest))]
        families = []
        for group in groups:
            trials = [trial for trial in self.complete if all(name in trial.params for name in group)]
            names = [n for n in [*self.always, *group] if len({trial.params[n] for trial in trials}) > 1]
            values = [trial.values[target] for trial in trials]
            if len(trials) >= ENOUGH and len(names) > 1 and np.ptp(values) > 0:
                families.append((names, self.always if group else []))
        return families

    def no_importance(self, target: int = 0) -> str:
        """Why importance cannot be computed, or ''."""
        if len(self.complete) < ENOUGH:
            return f"{len(self.complete)} complete trials are too few, it takes {ENOUGH}"
        if len(self.swept) < 2:
            return "it takes two parameters that took more than one value"
        return "" if np.ptp(self.values(target)) > 0 else "all trials reach the same"

    @cached_property
    def swept(self) -> list[str]:
        """Parameters with more than one value among the complete trials that have them."""
        values = {name: {t.params[name] for t in self.complete if name in t.params} for name in self.config.space}
        return [name for name, own in values.items() if len(own) > 1]

    @cached_property
    def always(self) -> list[str]:
        """Parameters that every complete trial has, with more than one value among them."""
        return [name for name in self.swept if all(name in trial.params for trial in self.complete)]

    @cached_property
    def leading(self) -> list[str]:
        """Swept parameters by importance for the first objective, the mean of both methods, else as in the space."""
        found = self.importances(0)
        return sorted(self.swept, key=lambda name: -sum(shares.get(name, 0.0) for shares in found.values()))

    @cached_property
    def snapshot(self) -> optuna.Study:
        """The study in memory, for Optuna's analyses and figures."""
        return self.sampled(MOST_DRAWN)

    def sampled(self, most: int) -> optuna.Study:
        """Return the study in memory under the same numbers, with about that many complete trials at most.

        Of many complete trials it has the better half of what is drawn, the front and every so-manieth of the rest.
        Attributes are left out and texts escaped, since Plotly takes them for markup.
        """
        kept = {trial.number for trial in [*self.ranked()[: most // 2], *self.front]}
        rest = [trial.number for trial in self.complete if trial.number not in kept]
        if rest:
            room = min(len(rest), max(0, most - len(kept)))
            kept |= {rest[k] for k in np.linspace(0, len(rest) - 1, room).round().astype(int)}
        with quiet():
            study = optuna.create_study(directions=self.study.directions)
            study.add_trials([_plain(trial, trial.number in kept) for trial in self.study.get_trials(deepcopy=False)])
        return study

    @cached_property
    def compared(self) -> Compared | None:
        """Validation against test, if that was looked at."""
        rows = (self.proof or {}).get("compared") or []
        if len(rows) < 3:
            return None
        validation = np.array([row["validation"] for row in rows])
        test = np.array([row["test"] for row in rows])
        constant = np.ptp(validation) == 0 or np.ptp(test) == 0
        correlation = np.nan if constant else float(spearmanr(validation, test).statistic)
        return Compared(validation, test, [row["trial"] for row in rows], correlation)

    @cached_property
    def seconds(self) -> pd.DataFrame:
        """Where the time went: seconds by trial (rows) and phase (columns), of trials that say so."""
        rows = {t.number: t.user_attrs["seconds"] for t in self.trials if "seconds" in t.user_attrs}
        return pd.DataFrame(rows.values(), index=list(rows), columns=["suggest", "objective", "storage"])

    @cached_property
    def idle(self) -> pd.DataFrame:
        """By worker: trials, seconds from its first to its last trial, and the share of that without one."""
        rows = []
        for worker, spans in self._by_worker().items():
            begun, ended = min(begin for begin, _ in spans), max(end for _, end in spans)
            span, busy = ended - begun, sum(end - begin for begin, end in spans)
            rows.append((worker, len(spans), span, max(0.0, 1 - busy / span) if span > 0 else 0.0))
        return pd.DataFrame(rows, columns=["worker", "trials", "span", "idle"])

    def _by_worker(self) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {}
        for trial in self.trials:
            if trial.datetime_start and trial.datetime_complete and WORKER in trial.user_attrs:
                span = trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()
                found.setdefault(trial.user_attrs[WORKER], []).append(span)
        return found

    @cached_property
    def total_seconds(self) -> float:
        """Seconds of all trials together."""
        return float(sum(_seconds(trial) for trial in self.trials))

    @cached_property
    def full_steps(self) -> int:
        """Steps of a trial that is not given up; 0 if trials tell none."""
        told = [len(trial.intermediate_values) for trial in self.complete if trial.intermediate_values]
        return int(np.median(told)) if told else 0

    @cached_property
    def saved_seconds(self) -> float:
        """About what the steps would have taken that pruned trials were spared, each at its own trial's pace."""
        saved = 0.0
        for trial in self.pruned:
            run = len(trial.intermediate_values)
            spent = trial.user_attrs.get("seconds", {}).get("objective", 0.0)
            saved += spent * (self.full_steps - run) / run if 0 < run < self.full_steps else 0.0
        return saved

    @cached_property
    def errors(self) -> list[tuple[str, list[int]]]:
        """What failed trials said, most frequent first, with their numbers; alike is what differs in numbers only."""
        found: dict[str, tuple[str, list[int]]] = {}
        for trial in self.failed:
            said = str(trial.user_attrs[ERROR]).strip() or "nothing"
            found.setdefault(_NUMBER.sub("#", said), (said, []))[1].append(trial.number)
        return sorted(found.values(), key=lambda item: -len(item[1]))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from saying that it made a study, that a part is experimental, or that trials are few."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def _distinct(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _shares(study: optuna.Study, evaluator: Any, names: list[str], sign: int, target: int) -> dict[str, float]:
    """Return shares that sum to 1 among the trials that have all of ``names``; none where nothing is found."""
    with quiet():
        try:  # PED-ANOVA takes the lower values for the better ones whatever the direction
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, params=names, target=lambda trial: sign * float(trial.values[target])
            )
        except RuntimeError:  # fANOVA's, where no tree finds anything that varies
            return {}
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _plain(trial: FrozenTrial, kept: bool) -> FrozenTrial:
    """Return a trial without attributes, its texts escaped; what is neither kept nor pruned stands as failed."""

    def text(value: Any) -> Any:
        return escape(value) if isinstance(value, str) else value

    shown = kept or trial.state == TrialState.PRUNED
    return optuna.trial.create_trial(
        state=trial.state if shown else TrialState.FAIL,
        values=trial.values if kept else None,
        params={name: text(value) for name, value in trial.params.items()},
        distributions={
            name: CategoricalDistribution([text(choice) for choice in own.choices])
            if isinstance(own, CategoricalDistribution)
            else own
            for name, own in trial.distributions.items()
        },
        intermediate_values=trial.intermediate_values if shown else None,
    )


def _seconds(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0


def best_share(trials: Sequence[FrozenTrial], share: float = 0.1, least: int = 5) -> list[FrozenTrial]:
    """Return the first tenth of trials ranked best first, at least five of them."""
    return list(trials[: max(least, round(share * len(trials)))])

"""What a study says: the best and how sure that is, what mattered, where the time went."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import spearmanr

from hpcai.evaluation.statistics import Ratio, ratios, resample
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.heartbeat import WORKER
from hpcai.learning.sweeps.proof import Proof
from hpcai.learning.sweeps.study import ERROR, SURPLUS

Floats = npt.NDArray[np.float64]

ENOUGH: Final = 10
"""Complete trials from which importance is worth computing."""

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
        self.trials = [trial for trial in study.get_trials() if not trial.user_attrs.get(SURPLUS)]
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
        return 1 if self.config.targets[target].direction == "minimize" else -1

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
        rivals = self.study.user_attrs.get("rivals") or {}
        for label, values in rivals.items():
            return str(label), np.array(values[self.config.targets[0].name])
        return None

    def steps(self, trial: FrozenTrial) -> Floats:
        """A complete trial's values of the first objective by window or repeat (float64[steps]), in its order."""
        steps = trial.user_attrs.get("steps", {}).get(self.config.targets[0].name, [])
        return np.array(steps, np.float64)

    def mean(self, trial: FrozenTrial) -> Ratio:
        """The first objective of a trial with a 95 % interval over its windows or repeats, if it has several."""
        return self._against(trial, np.ones(len(self.steps(trial))))

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
        IJCAI 2023) what tells the better trials from the rest. Parameters that exist only at times are left out.
        """
        if self.no_importance(target):
            return {}
        methods = {
            "fANOVA": FanovaImportanceEvaluator(seed=self.config.seed),
            "PED-ANOVA": PedAnovaImportanceEvaluator(),
        }
        found = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, evaluator in methods.items():
                shares = optuna.importance.get_param_importances(
                    self.study,
                    evaluator=evaluator,
                    params=self.always,
                    target=lambda trial: float(trial.values[target]),
                )
                found[name] = {parameter: float(share) for parameter, share in shares.items()}
        return found

    def no_importance(self, target: int = 0) -> str:
        """Why importance cannot be computed, or ''."""
        if len(self.complete) < ENOUGH:
            return f"{len(self.complete)} complete trials are too few, it takes {ENOUGH}"
        if len(self.always) < 2:
            return "it takes two parameters that every trial has"
        return "" if np.ptp(self.values(target)) > 0 else "all trials reach the same"

    @cached_property
    def always(self) -> list[str]:
        """Parameters that every complete trial has, with more than one value among them."""
        return [
            name
            for name in self.config.space
            if all(name in trial.params for trial in self.complete)
            and len({trial.params[name] for trial in self.complete}) > 1
        ]

    @cached_property
    def leading(self) -> list[str]:
        """Parameters by importance for the first objective, the mean of both methods, else as in the space."""
        found = self.importances(0)
        if not found:
            return self.always
        return sorted(self.always, key=lambda name: -sum(shares.get(name, 0.0) for shares in found.values()))

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
    def saved_seconds(self) -> float:
        """About what pruned trials would have taken in addition, had their other steps been as long as those run."""
        full = max((len(trial.intermediate_values) for trial in self.complete), default=0)
        return float(
            sum(
                _seconds(trial) * (full / len(trial.intermediate_values) - 1)
                for trial in self.pruned
                if 0 < len(trial.intermediate_values) < full
            )
        )

    @cached_property
    def errors(self) -> list[tuple[str, list[int]]]:
        """What failed trials said, most frequent first, with their numbers."""
        found: dict[str, list[int]] = {}
        for trial in self.failed:
            found.setdefault(str(trial.user_attrs[ERROR]), []).append(trial.number)
        return sorted(found.items(), key=lambda item: -len(item[1]))


def _seconds(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0


def best_share(trials: Sequence[FrozenTrial], share: float = 0.1, least: int = 5) -> list[FrozenTrial]:
    """Return the first tenth of trials ranked best first, at least five of them."""
    return list(trials[: max(least, round(share * len(trials)))])

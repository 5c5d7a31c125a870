"""The study of a sweep in its storage: made, found again, checked to be the same, and how far it is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpcai.errors import InputError
from hpcai.evaluation.resumable import first_difference
from hpcai.learning.sweeps.config import SweepConfig, make_config
from hpcai.learning.sweeps.methods import make_pruner, make_sampler
from hpcai.learning.sweeps.objectives import Hashes, Objective, ReplayObjective
from hpcai.learning.sweeps.storage import open_storage, shown

CONFIG: Final = "config"
IDENTITY: Final = "identity"
ERROR: Final = "error"
SURPLUS: Final = "surplus"
"""Attributes of a study and of a trial."""


def open_study(config: SweepConfig, objective: Objective) -> optuna.Study:
    """Return the study of a sweep, made if its storage has none of this name.

    Raises InputError if there is one that is not the same sweep, or if the storage cannot be opened.
    """
    storage = open_storage(config.storage_url, config.patience)
    identity = {
        "version": version("hpcai"),
        "config": json.loads(json.dumps(config.identity())),
        "inputs": objective.inputs,
    }
    directions = [target.direction for target in config.targets]
    try:
        study = optuna.create_study(storage=storage, study_name=config.name, directions=directions)
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=config.name, storage=storage)
    before = study.user_attrs.get(IDENTITY)
    if before is None:
        if study.get_trials(False):
            raise InputError(f"storage {shown(config.storage_url)}: its study {config.name!r} is not of hpcai")
        _lay_out(study, config, objective)
        study.set_user_attr(IDENTITY, identity)
    else:
        if difference := first_difference(before, identity):
            raise InputError(
                f"sweep {config.name}: {shown(config.storage_url)} holds a sweep of this name whose {difference}; "
                "give another name, storage or out"
            )
    study.set_user_attr(CONFIG, config.model_dump(mode="json", exclude={"storage"}))
    return with_methods(study, config)


def with_methods(study: optuna.Study, config: SweepConfig) -> optuna.Study:
    """Return the study with the sampler and the pruner of a sweep."""
    study.sampler, study.pruner = make_sampler(config), make_pruner(config)
    return study


def _lay_out(study: optuna.Study, config: SweepConfig, objective: Objective) -> None:
    """Write what all trials share: objectives by name, points that are tried first, rivals on the same windows."""
    names = [target.name for target in config.targets]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(names)
    if isinstance(objective, ReplayObjective):
        order, block = objective.replays.layout()
        study.set_user_attr("order", order)
        study.set_user_attr("overlap", block)
        study.set_user_attr("rivals", objective.replays.rivals(names))
    for point in config.start:
        study.enqueue_trial(point)


def join_study(url: str, name: str | None, patience: float) -> tuple[optuna.Study, SweepConfig]:
    """Return a study of hpcai in a storage, and its configuration; ``name`` may be left out where it is the only one.

    Raises InputError if there is none, or none of that name, or several.
    """
    storage: BaseStorage = open_storage(url, patience)
    known = optuna.get_all_study_names(storage)
    chosen = name if name is not None else known[0] if len(known) == 1 else None
    if chosen not in known:
        found = ", ".join(known) or "none"
        raise InputError(f"storage {shown(url)}: expected {name or 'one sweep, or --name'}, found {found}")
    study = optuna.load_study(study_name=chosen, storage=storage)
    fields = study.user_attrs.get(CONFIG)
    if fields is None:
        raise InputError(f"storage {shown(url)}: its study {chosen!r} is not of hpcai, or not laid out yet")
    config = make_config(dict(fields) | {"storage": url}, f"sweep {chosen}")
    return with_methods(study, config), config


def check_inputs(study: optuna.Study, inputs: Hashes) -> None:
    """Raise InputError if the logs here are not those that the study was begun with."""
    before = study.user_attrs[IDENTITY]["inputs"]
    for name, hashes in inputs.items():
        if before.get(name) != hashes:
            raise InputError(f"sweep {study.study_name}: {name} is not the file that the sweep was begun with")


@dataclass(frozen=True)
class Standing:
    """How far a sweep is: trials that count against the budget, those that run, and seconds in which some ran."""

    done: int
    running: int
    waiting: int
    seconds: float
    failed: int

    def over(self, config: SweepConfig) -> bool:
        """Whether the budget is spent."""
        return config.limits.spent(self.seconds, self.done) >= 1

    def taken(self, config: SweepConfig) -> bool:
        """Whether the budget is spent, or will be when those that run have ended."""
        return config.limits.spent(self.seconds, self.done + self.running) >= 1


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts against the budget: it ended by itself, well or not."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended or (trial.state == TrialState.FAIL and ERROR in trial.user_attrs)


def standing_of(trials: Sequence[FrozenTrial]) -> Standing:
    """Return how far a sweep with these trials is."""
    done = [trial for trial in trials if counts(trial)]
    return Standing(
        done=len(done),
        running=sum(trial.state == TrialState.RUNNING for trial in trials),
        waiting=sum(trial.state == TrialState.WAITING for trial in trials),
        seconds=_busy_seconds(trials),
        failed=sum(trial.state == TrialState.FAIL for trial in done),
    )


def _busy_seconds(trials: Sequence[FrozenTrial]) -> float:
    """Return for how long at least one trial ran, so that pauses between sittings do not count."""
    spans = sorted(
        (trial.datetime_start, trial.datetime_complete or datetime.now(trial.datetime_start.tzinfo))
        for trial in trials
        if trial.datetime_start is not None and trial.state != TrialState.WAITING
    )
    busy, reached = 0.0, None
    for begin, end in spans:
        begin = begin if reached is None else max(begin, reached)
        busy += max((end - begin).total_seconds(), 0.0)
        reached = end if reached is None else max(reached, end)
    return busy

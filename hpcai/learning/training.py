"""A training run from its configuration to its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcai.errors import InputError
from hpcai.learning.clock import Clock
from hpcai.learning.config import TrainingConfig, make_config
from hpcai.learning.logs import Log, read_logs
from hpcai.learning.model_card import model_card
from hpcai.learning.progress import LearningProgress
from hpcai.learning.run_folder import MODEL_CARD, TRIALS, RunFolder
from hpcai.learning.tuning import Tuned, final, search


@dataclass(frozen=True)
class Trained:
    """A finished run. ``score`` is on the validation windows, relative to ``rival``; lower is better."""

    config: TrainingConfig
    folder: Path
    result: str
    score: float
    rival: str


def train(config: TrainingConfig | None = None, *, resume: bool = False, quiet: bool = False, **fields: Any) -> Trained:
    """Run a training, given as a configuration or as its fields, and write its folder.

    With ``resume`` an interrupted run goes on from where its folder says it was. Raises InputError if an input
    cannot be used, or if the folder to resume was made from something else.
    """
    if (config is None) == (not fields):
        raise InputError("train: give either a configuration or its fields")
    config = config or make_config(fields)
    logs = read_logs(config)
    folder = RunFolder(config, {log.name: log.hashes for log in logs}, resume)
    return _tune(config, logs, folder, quiet)


def _tune(config: TrainingConfig, logs: Sequence[Log], folder: RunFolder, quiet: bool) -> Trained:
    """Tune a formula. An interrupt of the search ends it early: what was found takes part in the final."""
    earlier = folder.rows(TRIALS)
    clock = Clock(config.limits, float(earlier[-1]["seconds"]) if earlier else 0.0, len(earlier))
    with LearningProgress(clock, quiet) as progress:
        trials = search(
            logs, config, folder, clock, lambda best: progress.show(f"best of training {best:.3f} relative to SAF")
        )
    tuned = final(logs, config, trials)
    _write_tuned(config, logs, folder, tuned)
    folder.finish()
    return Trained(config, folder.path, tuned.best.policy.ordering, tuned.best.score, tuned.rival)


def _write_tuned(config: TrainingConfig, logs: Sequence[Log], folder: RunFolder, tuned: Tuned) -> None:
    best = tuned.best
    folder.write_policy(best.policy)
    weights = ", ".join(f"{name} = {value:g}" for name, value in best.policy.parameters.items())
    card = model_card(
        config,
        logs,
        folder,
        what=f"An ordering of the queue, lowest value first: `{best.policy.ordering.removeprefix('expr:')}`"
        + (f" with {weights}." if weights else "."),
        effort=f"{tuned.trials:,} trials of CMA-ES, each on {config.training_windows} windows",
        scores={candidate.name: candidate.score for candidate in tuned.candidates},
        rival=tuned.rival,
        learned=best.name,
        notes=["Weights were tuned with the backfilling above; with another they need not be good."],
    )
    folder.write(MODEL_CARD, card)

"""A training run from its configuration to its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from hpcai.learning.tuning import RIVAL, Competition, Tuned, read_trials


@dataclass(frozen=True)
class Trained:
    """A finished run. ``score`` is relative to ``rival`` on windows before the test part; lower is better."""

    config: TrainingConfig
    folder: Path
    result: str
    score: float
    rival: str


def train(
    config: TrainingConfig | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
    validated: Callable[[int, float], None] | None = None,
    **fields: Any,
) -> Trained:
    """Run a training, given as a configuration or as its fields, and write its folder.

    With ``resume`` an interrupted run goes on from where its folder says it was. After each validation of an
    agent ``validated`` is told how many steps it has learned and its score; what it raises ends the run. Raises
    InputError if an input cannot be used, or if the folder to resume was made from something else.
    """
    if (config is None) == (not fields):
        raise InputError("train: give either a configuration or its fields")
    config = config or make_config(fields)
    logs = read_logs(config)
    folder = RunFolder(config, {log.name: log.hashes for log in logs}, resume)
    if config.algo == "formula":
        trained = _tune(config, logs, folder, quiet)
    else:
        trained = _teach(config, logs, folder, quiet, validated)
    folder.finish()
    return trained


def _tune(config: TrainingConfig, logs: Sequence[Log], folder: RunFolder, quiet: bool) -> Trained:
    """Tune a formula. After an interrupt the best so far is written before it passes on."""
    earlier = folder.rows(TRIALS)
    competition = Competition(logs, config)
    clock = Clock(config.limits, float(earlier[-1]["seconds"]) if earlier else 0.0, len(earlier))
    try:
        with LearningProgress(clock, quiet) as progress:
            competition.search(
                folder, clock, lambda best: progress.show(f"best of the generation {best:.3f} relative to SAF")
            )
    finally:
        trials = read_trials(folder)
        tuned = competition.final(trials)
        _write_tuned(config, logs, folder, tuned, len(trials))
    return Trained(config, folder.path, tuned.best.policy.ordering, tuned.best.score, RIVAL)


def _teach(
    config: TrainingConfig,
    logs: Sequence[Log],
    folder: RunFolder,
    quiet: bool,
    validated: Callable[[int, float], None] | None,
) -> Trained:
    from hpcai.learning.agent_training import teach  # torch takes seconds to import
    from hpcai.learning.environment import Arena

    taught = teach(config, logs, folder, Arena(config, logs), quiet, validated)
    standing = taught.standing
    name = f"{config.algo} agent"
    copied = f", cloned from {config.teacher} ({standing.cloned:.1%} alike)" if standing.cloned is not None else ""
    card = model_card(
        config,
        logs,
        folder,
        what=f"A network ({config.network.kind}, {config.algo}) that chooses which waiting job starts next{copied}.",
        effort=f"{standing.steps:,} decisions, the best network after {standing.best_at:,}",
        judged=f"Mean over windows of the validation part relative to `{taught.rival}`, the best heuristic there; "
        "lower is better. The best network was kept.",
        scores={key: [score] for key, score in (taught.heuristics | {name: standing.best}).items()},
        learned=name,
        notes=["The run was interrupted; more learning may help."] if taught.interrupted else [],
    )
    folder.write(MODEL_CARD, card)
    if taught.interrupted:
        raise KeyboardInterrupt
    return Trained(config, folder.path, name, standing.best, taught.rival)


def _write_tuned(config: TrainingConfig, logs: Sequence[Log], folder: RunFolder, tuned: Tuned, trials: int) -> None:
    best = tuned.best
    served = {"predictor": config.result_policy.predictor} if best.policy.learns else {}
    folder.write_policy(best.policy.model_copy(update=served))
    what = [f"An ordering of the queue, lowest value first: `{best.policy.ordering.removeprefix('expr:')}`"]
    if best.policy.headroom:
        what.append(f"beside a job that starts, this share of the machine stays free: `{best.policy.headroom}`")
    if best.policy.parameters:
        what.append("with " + ", ".join(f"{name} = {value:g}" for name, value in best.policy.parameters.items()))
    card = model_card(
        config,
        logs,
        folder,
        what="; ".join(what) + ".",
        effort=f"{trials:,} trials of CMA-ES, each on {config.training_windows} windows of each log",
        judged=f"Mean over {tuned.windows} windows of the train and validation parts relative to `{RIVAL}`, its "
        f"95 % upper bound, and the mean wait; lower is better. The best whose bound is below 1 was kept, a wait of "
        f"more than {config.wait_bound:g} weighing against it, else `{RIVAL}`.",
        scores={candidate.name: (candidate.score, candidate.bound, candidate.wait) for candidate in tuned.candidates},
        learned=best.name,
        notes=["Weights were tuned with the backfilling above; with another they need not be good."],
    )
    folder.write(MODEL_CARD, card)

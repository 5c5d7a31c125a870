"""What a sweep has found meets its rivals on the test part, once, after the last trial."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.config import make_config as make_evaluation
from hpcai.evaluation.evaluate import Evaluation, evaluate
from hpcai.evaluation.resumable import write_whole
from hpcai.evaluation.runs import PREFIX, policy_of_run
from hpcai.learning.config import TrainingConfig
from hpcai.learning.sweeps.config import SweepConfig, some_point
from hpcai.learning.sweeps.objectives import run_folder
from hpcai.learning.sweeps.replays import Replays, layout_of
from hpcai.learning.sweeps.study import IDENTITY, standing_of

PROOF: Final = "proof.json"
TEST: Final = "test"
_MOST_SHOWN: Final = 8  # of a Pareto front

Proof = dict[str, Any]


def winners_of(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or with several objectives up to eight spread over the Pareto front."""
    if not study.get_trials(False, (TrialState.COMPLETE,)):
        return []
    if len(study.directions) == 1:
        return [study.best_trial]
    front = {tuple(trial.values): trial for trial in reversed(study.best_trials)}
    ordered = [front[values] for values in sorted(front)]
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_SHOWN)).round().astype(int))
    return [ordered[i] for i in chosen]


def read_proof(out: str | Path) -> Proof | None:
    """Return the proof in a sweep's folder, if there is one."""
    try:
        proof: Proof = json.loads((Path(out) / PROOF).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return proof


def prove(study: optuna.Study, config: SweepConfig, quiet: bool) -> Proof | None:
    """Evaluate the winners and their rivals on the test part, and write the proof into the sweep's folder.

    A proof of the same trials stays as it is. Only replays and trainings have a test part; None for other sweeps, and
    where no trial was completed.
    """
    winners = winners_of(study)
    if config.kind not in ("evaluate", "train") or not winners:
        return None
    earlier = read_proof(config.out)
    trials = standing_of(study.get_trials(False)).done
    numbers = [trial.number for trial in winners]
    if earlier is not None and (earlier["winners"], earlier["trials"]) == (numbers, trials):
        return earlier
    tested = _alike(config, winners)
    evaluation = evaluate(_evaluation(config, tested), quiet=quiet)
    proof: Proof = {
        "trials": trials,
        "winners": numbers,
        "points": [
            {"trial": trial.number, "point": config.complete(trial.params), "values": trial.values} for trial in winners
        ],
        "config": config.identity(),
        "inputs": study.user_attrs[IDENTITY]["inputs"],
        "looks": 1 + (earlier["looks"] if earlier else 0),
        "report": f"{TEST}/report.html",
        "answers": list(evaluation.answers.values()),
        "baseline": evaluation.config.baseline_entry.label,
        "rows": _rows(evaluation),
        "compared": _compared(study, config),
    }
    write_whole(Path(config.out) / PROOF, (json.dumps(proof, indent=2) + "\n").encode())
    return proof


def _alike(config: SweepConfig, winners: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return those of the winners that one evaluation can hold: of one machine and load."""
    if config.kind == "train":
        return list(winners)
    layouts = [layout_of(config.evaluation(trial.params)) for trial in winners]
    return [trial for trial, own in zip(winners, layouts, strict=True) if own == layouts[0]]


def _evaluation(config: SweepConfig, winners: Sequence[FrozenTrial]) -> EvaluationConfig:
    """Return the evaluation of winners and rivals on the test part."""
    policies: list[Any] = [policy for trial in winners for policy in _policies(config, trial)]
    rivals = list(config.rivals)
    fields = _settings(config, winners[0]) | {
        "policies": policies + rivals,
        "part": "test",
        "windows": config.test_windows,
        "title": f"{config.name}: what {'trial' if len(policies) == 1 else 'trials'} found, on the test part",
        "out": str(Path(config.out) / TEST),
    }
    if config.kind == "evaluate":
        fields["objective"] = config.targets[0].name
    if rivals:
        fields["baseline"] = rivals[0] if isinstance(rivals[0], str) else rivals[0]["name"]
    return make_evaluation(fields, f"sweep {config.name}: test")


def _settings(config: SweepConfig, trial: FrozenTrial) -> dict[str, Any]:
    if config.kind == "evaluate":
        return config.evaluation(trial.params).as_dict()
    return training_settings(config.training(trial.params, config.seed, config.out))


def training_settings(training: TrainingConfig) -> dict[str, Any]:
    """Return the keys of an evaluation that replays as a training's result is served."""
    served = training.result_policy
    return {
        "trace": list(training.trace),
        "format": training.format,
        "machine": training.machine,
        "backfill": [served.backfill],
        "estimate": served.estimate,
        "predictor": served.predictor,
        "objective": training.objective,
    }


def _policies(config: SweepConfig, trial: FrozenTrial) -> list[dict[str, Any]]:
    """Return the policy of a trial under its name, of a training one for each repeat."""
    name = f"trial {trial.number}"
    if config.kind == "train":
        folders = [run_folder(config, trial.number, repeat) for repeat in range(config.repeats)]
        names = [name] if len(folders) == 1 else [f"{name} seed {config.seed + i}" for i in range(len(folders))]
        return [{"name": n, **policy_of_run(f"{PREFIX}{folder}")} for n, folder in zip(names, folders, strict=True)]
    entry = config.evaluation(trial.params).entries[0]  # with what the evaluation's keys say of it
    assert entry.policy is not None
    return [entry.policy.model_dump() | entry.response.model_dump(exclude_defaults=True) | {"name": name}]


def _rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return what each policy reached on each log, and its ratio to the baseline."""
    rows = []
    for trace, ranking in evaluation.rankings.items():
        for ranked, row in zip(ranking.rows, evaluation.summary["traces"][trace]["ranking"], strict=True):
            if ranked.entry.policy is None:
                continue
            name = ranked.entry.name
            rows.append(
                {
                    "trial": int(name.split()[1]) if name.startswith("trial ") else None,
                    "policy": ranked.entry.label,
                    "trace": trace,
                    "values": row["metrics"],
                    "ratio": row["to_baseline"],
                }
            )
    return rows


def _compared(study: optuna.Study, config: SweepConfig) -> list[dict[str, Any]]:
    """Return the first objective on validation and on test of trials spread evenly over the ranks on validation."""
    sign = config.targets[0].sign
    ranked = sorted(study.get_trials(False, (TrialState.COMPLETE,)), key=lambda trial: sign * trial.values[0])
    if config.compared < 2 or len(ranked) < 2:
        return []
    places = np.unique(np.linspace(0, len(ranked) - 1, min(config.compared, len(ranked))).round().astype(int))
    chosen = [ranked[i] for i in places]
    replayed, points = _as_replays(config, chosen)
    replays = Replays(replayed, "test", config.test_windows)
    metric = replayed.targets[0].name
    return [
        {
            "trial": trial.number,
            "validation": trial.values[0],
            "test": float(np.mean([values[0] for values in replays.play(point, [metric])])),
        }
        for trial, point in zip(chosen, points, strict=True)
    ]


def _as_replays(config: SweepConfig, trials: Sequence[FrozenTrial]) -> tuple[SweepConfig, list[dict[str, Any]]]:
    """Return a sweep whose trials are replays, and the trials as its points: of trainings, their run folders."""
    if config.kind == "evaluate":
        return config, [dict(trial.params) for trial in trials]
    training = config.training(some_point(config), config.seed, config.out)
    folders = [str(run_folder(config, trial.number)) for trial in trials]
    replayed = SweepConfig.model_validate(
        {
            "name": config.name,
            "evaluate": training_settings(training) | {"policies": [f"{PREFIX}{{run}}"]},
            "objectives": [training.objective],
            "space": {"run": {"choices": folders}},
            "rivals": list(config.rivals),
            "out": config.out,
        }
    )
    return replayed, [{"run": folder} for folder in folders]

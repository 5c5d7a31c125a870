"""One run for each of several seeds: how much of a score is luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcai.errors import InputError
from hpcai.evaluation.progress import Progress
from hpcai.launching import HERE, WORKERS, Launch, Task, launch
from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import read_logs
from hpcai.learning.run_folder import RunFolder
from hpcai.learning.training import Trained, train


@dataclass(frozen=True)
class Run(Task):
    """The run of one seed, whose folder is begun."""

    config: TrainingConfig

    def __call__(self) -> Trained:
        """Learn, or go on learning."""
        return train(self.config, resume=True, quiet=True)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds in a text such as '0,1,2'. Raises InputError."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds: expected different numbers such as '0,1,2', found {text!r}")
    return seeds


def seed_config(config: TrainingConfig, seed: int) -> TrainingConfig:
    """Return the configuration of one seed's run, in a folder below that of all."""
    return config.model_copy(update={"seed": seed, "out": str(Path(config.out) / f"seed-{seed}")})


def train_seeds(
    config: TrainingConfig, seeds: Sequence[int], how: Launch = HERE, *, resume: bool = False, quiet: bool = False
) -> list[Trained]:
    """Train once with each seed, into OUT/seed-0, OUT/seed-1 and so on, on the workers that ``how`` says.

    With ``resume`` interrupted runs go on from where their folders say they were. Raises InputError as ``train``
    does, WorkerError if a run failed on its worker.
    """
    configs = [seed_config(config, seed) for seed in seeds]
    inputs = {log.name: log.hashes for log in read_logs(config)}
    for own in configs:  # here, so that what cannot be used is said at once and a worker can always go on
        RunFolder(own, inputs, resume)
    if how.here:
        return [train(own, resume=True, quiet=quiet) for own in configs]
    with Progress(len(configs), "runs", quiet) as progress:
        return launch([Run(own) for own in configs], how, Path(config.out) / WORKERS, watch=progress.reach)

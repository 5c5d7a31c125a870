"""The folder of a training run: usable after an interrupt at any moment, and read without ever unpickling.

=================  =========================================================================
run.json           what the run depends on: configuration, version, SHA-256 of each input
config.yaml        the configuration; ``hpcai train scheduling config.yaml`` repeats the run
curves.csv         one row for each validation
trials.csv         one row for each trial of a formula
checkpoint/        where an interrupted run goes on
best/              the network that was best on validation: weights.pt, architecture.json
policy.yaml        the result, which ``run:FOLDER`` stands for
network.npz        the best network in plain arrays, where the result has one
predictor.npz      the run-time predictor, where the result has one
model_card.md      what was trained, on what, how good, and its limits
tensorboard/       the learner's own logs
=================  =========================================================================
"""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from hpcai.evaluation.resumable import ResumableFolder, write_whole
from hpcai.evaluation.runs import NETWORK_FILE, POLICY_FILE, PREDICTOR_FILE
from hpcai.learning.config import TrainingConfig
from hpcai.scheduling.network import Network, save_network
from hpcai.scheduling.policy import Policy

CURVES: Final = "curves.csv"
TRIALS: Final = "trials.csv"
CHECKPOINT: Final = "checkpoint"
BEST: Final = "best"
TENSORBOARD: Final = "tensorboard"
MODEL_CARD: Final = "model_card.md"

_OWN: Final = (
    CURVES, TRIALS, POLICY_FILE, NETWORK_FILE, PREDICTOR_FILE, MODEL_CARD,
    f"{CHECKPOINT}/*", f"{BEST}/*", f"{TENSORBOARD}/*/events.out.*"
)  # fmt: skip
_LIBRARIES: Final = ("numpy", "pandas", "numba", "optuna", "cmaes", "torch", "stable-baselines3", "sb3-contrib")


class RunFolder(ResumableFolder):
    """A run's folder, begun anew or gone on with."""

    kind = "hpcai training"
    holds = "training run"

    def __init__(self, config: TrainingConfig, inputs: Mapping[str, dict[str, str]], resume: bool) -> None:
        """Begin in ``config.out``, or go on with what lies there if ``resume``; ``inputs`` are hashes by log.

        Raises InputError if the folder holds something else, or a run of another configuration or input.
        """
        identity = {"version": version("hpcai"), "config": config.identity(), "inputs": dict(inputs)}
        super().__init__(config.out, identity, resume)
        self.write("config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))

    def write_policy(self, policy: Policy, network: Network | None = None) -> None:
        """Write the result that ``run:FOLDER`` stands for, with the files that it needs."""
        if policy.predictor_is_file:
            write_whole(self.path / PREDICTOR_FILE, Path(policy.predictor).read_bytes())
            policy = policy.model_copy(update={"predictor": PREDICTOR_FILE})
        if network is not None:
            save_network(network, self.path / NETWORK_FILE)
            policy = policy.model_copy(update={"network": NETWORK_FILE})
        keys = {"ordering", "headroom", "parameters", "backfill", "predictor", "estimate", "network"}
        given = policy.model_dump(mode="json", include=keys, exclude_none=True)
        self.write(POLICY_FILE, yaml.safe_dump(given, sort_keys=False))

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Add a row to a table; the first row writes the heading."""
        path = self.path / name
        text = io.StringIO()
        writer = csv.DictWriter(text, row.keys(), lineterminator="\n")
        if not path.is_file():
            writer.writeheader()
        writer.writerow(row)
        with open(path, "a", encoding="utf-8") as file:
            file.write(text.getvalue())

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a table, less a last one that an interrupt cut short; none if there is no table."""
        path = self.path / name
        if not path.is_file():
            return []
        text = path.read_text("utf-8")
        whole = text.rpartition("\n")[0]
        if text != f"{whole}\n":
            write_whole(path, f"{whole}\n".encode())
        return list(csv.DictReader(io.StringIO(whole)))

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for pattern in _OWN:
            for path in self.path.glob(pattern):
                path.unlink()

    def _circumstances(self) -> dict[str, Any]:
        return {"libraries": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}}

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
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from hpcai.errors import InputError
from hpcai.evaluation.runs import NETWORK_FILE, POLICY_FILE, PREDICTOR_FILE
from hpcai.evaluation.store import check_same, write_whole
from hpcai.learning.config import TrainingConfig
from hpcai.scheduling.network import Network, save_network
from hpcai.scheduling.policy import Policy

KIND: Final = "hpcai training"
RUN_FILE: Final = "run.json"
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


class RunFolder:
    """A run's folder, begun anew or gone on with."""

    def __init__(self, config: TrainingConfig, inputs: Mapping[str, dict[str, str]], resume: bool) -> None:
        """Begin in ``config.out``, or go on with what lies there if ``resume``; ``inputs`` are hashes by log.

        Raises InputError if the folder holds something else, or a run of another configuration or input.
        """
        self.path = Path(config.out)
        identity = {"version": version("hpcai"), "config": config.identity(), "inputs": dict(inputs)}
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._started = _now()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: expected a folder, found a file")
        if self.path.is_dir() and any(self.path.iterdir()):
            earlier = self._earlier_run()
            if resume:
                check_same(self.path, earlier["identity"], self.identity)
                self._started = earlier["started"]
            else:
                self._clear()
        self._write_run(finished=None)
        self.write("config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))

    def write(self, name: str, text: str) -> None:
        """Write a file in whole or not at all."""
        write_whole(self.path / name, text.encode())

    def write_policy(self, policy: Policy, network: Network | None = None) -> None:
        """Write the result that ``run:FOLDER`` stands for, with the files that it needs."""
        if policy.predictor_is_file:
            write_whole(self.path / PREDICTOR_FILE, Path(policy.predictor).read_bytes())
            policy = policy.model_copy(update={"predictor": PREDICTOR_FILE})
        if network is not None:
            save_network(network, self.path / NETWORK_FILE)
            policy = policy.model_copy(update={"network": NETWORK_FILE})
        keys = {"ordering", "parameters", "backfill", "predictor", "estimate", "network"}
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
        whole = path.read_text("utf-8").rpartition("\n")[0]
        if path.read_text("utf-8") != f"{whole}\n":
            write_whole(path, f"{whole}\n".encode())
        return list(csv.DictReader(io.StringIO(whole)))

    def finish(self) -> None:
        """Note that the run came to its end, and when."""
        self._write_run(finished=_now())

    def _earlier_run(self) -> dict[str, Any]:
        try:
            run = json.loads((self.path / RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            run = {}
        if not isinstance(run, dict) or run.get("kind") != KIND:
            raise InputError(f"{self.path}: expected an empty folder or an earlier training run, found other files")
        return run

    def _clear(self) -> None:
        """Remove an earlier run's files and nothing else."""
        for pattern in _OWN:
            for path in self.path.glob(pattern):
                path.unlink()

    def _write_run(self, finished: str | None) -> None:
        run = {
            "kind": KIND,
            "identity": self.identity,
            "libraries": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
            "started": self._started,
            "finished": finished,
        }
        self.write(RUN_FILE, json.dumps(run, indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

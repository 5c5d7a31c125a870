"""What is exported: the result of a training run, a named ordering, or a formula."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.runs import PREFIX, policy_of_run
from hpcai.learning.config import TrainingConfig, make_config
from hpcai.learning.logs import Log
from hpcai.learning.run_folder import BEST
from hpcai.live.ranking import Arrays, Floats
from hpcai.scheduling.formula import FIRST_PREDICTED, PREDICTED_VARIABLES, Formula, evaluate, operations
from hpcai.scheduling.network import Network, load_network
from hpcai.scheduling.orderings import formulas_of
from hpcai.scheduling.outlook import VARIABLES
from hpcai.scheduling.policy import Policy


@dataclass(frozen=True)
class Exportable:
    """A policy, what its logs are, and how to ask it by the library that it was learned with."""

    name: str
    item: str  # as a policy of an evaluation
    policy: Policy
    config: TrainingConfig  # of which only the logs, the machine and the seed matter to an export
    hashes: dict[str, dict[str, str]] | None = None  # of the logs of its run
    folder: Path | None = None
    network: Network | None = None

    @property
    def formula(self) -> Formula:
        """Its ordering."""
        return formulas_of(self.policy)[0]

    def check_logs(self, logs: Sequence[Log]) -> None:
        """Raise InputError if a log is not the one that the run learned from."""
        for log in logs:
            if self.hashes is not None and self.hashes.get(log.name) not in (None, log.hashes):
                raise InputError(f"{self.item}: {log.name} is not the file that it learned from")

    def reference(self) -> Callable[[Arrays], Floats]:
        """Return what gives the policy's output without ONNX: PyTorch for a network, else the compiled formula."""
        if self.network is None:
            return _by_formula(self.formula, variables_of(self.formula))
        assert self.folder is not None
        return _by_torch(self.folder / BEST)


def exportable(source: str, given: dict[str, Any]) -> Exportable:
    """Return what ``source`` names: a run folder, an ordering, or ``expr:FORMULA``; ``given`` are options by key.

    Raises InputError if it names none of these, or if a policy cannot be followed by a live scheduler.
    """
    folder = Path(source.removeprefix(PREFIX))
    found = _learned(folder, given) if folder.is_dir() else _heuristic(source, given)
    if found.network is None and found.formula.needs_usage:
        raise InputError(
            f"export {source}: it names usage or fairshare, which a live adapter cannot know as a replay does; "
            "fair shares are the site's own scheduler's"
        )
    return found


def _learned(folder: Path, given: dict[str, Any]) -> Exportable:
    """Return the result of a training run."""
    item = f"{PREFIX}{folder}"
    policy = validated(Policy, policy_of_run(item), item)
    config = make_config(read_mapping(folder / "config.yaml") | _about_logs(given), str(folder / "config.yaml"))
    network = load_network(policy.network) if policy.network is not None else None
    if network is not None and network.meta.decide == "backfill":
        raise InputError(f"{item}: it decides only who is backfilled; a live scheduler takes an order from who is next")
    return Exportable(folder.name, item, policy, config, _hashes(folder), folder, network)


def _about_logs(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key in ("trace", "format", "machine")}


def _heuristic(source: str, given: dict[str, Any]) -> Exportable:
    """Return a named ordering or a formula."""
    if not given.get("trace"):
        raise InputError(f"export {source}: expected a run folder, or --trace beside an ordering, to record queues on")
    fields = {key: given[key] for key in ("backfill", "estimate", "predictor") if key in given}
    policy = validated(Policy, {"ordering": source} | fields, f"export {source}")
    formulas_of(policy)
    config = make_config(_about_logs(given) | fields | {"seed": given.get("seed", 0)}, "export")
    name = "formula" if source.startswith("expr:") else source
    return Exportable(name, source, policy, config)


def _hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Return the hashes of a run's logs. Raises InputError if its record cannot be read."""
    try:
        hashes: dict[str, dict[str, str]] = json.loads((folder / "run.json").read_text("utf-8"))["identity"]["inputs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/run.json: cannot be read: {error}") from error
    return hashes


def variables_of(formula: Formula) -> list[str]:
    """Return the variables that a formula names; a constant is given the submit time, to know how many jobs there are.

    In the order of VARIABLES.
    """
    named = {int(operand) for operation, operand in operations(formula) if operation == "variable"}
    return [name for k, name in enumerate(VARIABLES) if k in named] or ["submit"]


def _by_formula(formula: Formula, names: Sequence[str]) -> Callable[[Arrays], Floats]:
    """Return what evaluates a formula in compiled code, as a replay does."""
    first_dynamic = FIRST_PREDICTED + len(PREDICTED_VARIABLES)

    def priority(inputs: Arrays) -> Floats:
        given = dict(zip(names, inputs["variables"], strict=True))
        n = inputs["variables"].shape[1]
        nothing = np.full(n, np.nan)
        full = np.array([given.get(name, nothing) for name in VARIABLES])
        now = float(given["now"][0]) if "now" in given else 0.0
        submit = now - given.get("wait", nothing)
        usage = np.stack((given.get("usage", nothing), -np.log2(given.get("fairshare", nothing))))
        stack = np.empty((formula.depth, n))
        features = np.ascontiguousarray(full[:first_dynamic])
        evaluate(formula.program, formula.constants, features, np.arange(n), n, now, submit, usage, stack)
        value: NDArray[np.float64] = stack[0].copy()
        return value

    return priority


def _by_torch(folder: Path) -> Callable[[Arrays], Floats]:
    """Return what scores jobs by PyTorch, with the weights as they were learned."""
    import torch

    from hpcai.learning.agents import load_policy, scores_of

    policy = load_policy(folder)
    slots = policy.observation_space["jobs"].shape[0]  # type: ignore[index]

    def score(inputs: Arrays) -> Floats:
        jobs = inputs["jobs"]
        padded = np.zeros((1, slots, jobs.shape[1]), np.float32)
        padded[0, : len(jobs)] = jobs
        with torch.no_grad():
            tensors = {"jobs": torch.as_tensor(padded), "machine": torch.as_tensor(inputs["machine"][None])}
            scores: Floats = scores_of(policy, tensors)[0].numpy()
        return np.concatenate((scores[: len(jobs)], scores[slots:]))

    return score

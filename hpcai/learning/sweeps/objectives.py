"""What a trial does: replays of windows, trainings, a program or a Python function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpcai.arrays import file_hash
from hpcai.errors import InputError
from hpcai.learning.logs import read_logs
from hpcai.learning.sweeps.config import SweepConfig, some_point
from hpcai.learning.sweeps.program import run_program
from hpcai.learning.sweeps.replays import Replays
from hpcai.learning.sweeps.space import Point

Hashes = dict[str, dict[str, str]]
Level = Callable[[float], None]


class Told(Protocol):
    """Takes what a trial knows before its end; raises Pruned when it should be given up."""

    def one(self, value: float) -> None:
        """Tell the value in one window, or of one repeat."""

    def level(self, value: float) -> None:
        """Tell how good a trial is by now, such as a training's last validation."""


@dataclass(frozen=True)
class Outcome:
    """What a trial reached: a value for each objective, and what they are means of, by objective."""

    values: tuple[float, ...]
    steps: dict[str, list[float]]


class Objective(Protocol):
    """A trial as a function of a point; ``inputs`` are hashes of what it reads, by name."""

    inputs: Hashes

    def __call__(self, point: Point, number: int, told: Told) -> Outcome:
        """Return what the point reaches as trial ``number``. Raises HpcaiError where it fails."""


def make_objective(config: SweepConfig, function: Callable[..., Any] | None = None) -> Objective:
    """Return the objective of a sweep; reads its logs. Raises InputError if an input cannot be used."""
    if config.kind == "evaluate":
        return ReplayObjective(config)
    if config.kind == "train":
        return TrainingObjective(config)
    if config.kind == "command":
        return CommandObjective(config)
    if function is None:
        raise InputError(
            f"sweep {config.name}: its objective is a Python function; only the program that has it can work"
        )
    return FunctionObjective(config, function)


class ReplayObjective:
    """Replays a policy on validation windows and measures."""

    def __init__(self, config: SweepConfig) -> None:
        self._config, self._names = config, [target.name for target in config.targets]
        self.replays = Replays(config, config.part)
        self.inputs = self.replays.inputs

    def __call__(self, point: Point, number: int, told: Told) -> Outcome:
        """Return the means over windows."""
        steps: dict[str, list[float]] = {name: [] for name in self._names}
        for values in self.replays.play(point, self._names):
            for name, value in zip(self._names, values, strict=True):
                steps[name].append(value)
            told.one(values[0])
        return _means(steps)


class TrainingObjective:
    """Trains, once for each repeat, and takes the best validation score."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        logs = read_logs(config.training(some_point(config), config.seed, config.out))
        self.inputs: Hashes = {log.name: log.hashes for log in logs}

    def __call__(self, point: Point, number: int, told: Told) -> Outcome:
        """Return the mean score over repeats; each run stays in a folder of its own."""
        from hpcai.learning.training import train

        def once(repeat: int, seed: int, level: Level) -> dict[str, float]:
            training = self._config.training(point, seed, run_folder(self._config, number, repeat))
            return {self._config.targets[0].name: train(training, quiet=True, validated=_best_so_far(level)).score}

        return _repeated(self._config, told, once)


def _best_so_far(level: Level) -> Callable[[int, float], None]:
    """Return what tells the best score of a run so far: the network of that moment is what it will give."""
    best = math.inf

    def validated(_: int, score: float) -> None:
        nonlocal best
        best = min(best, score)
        level(best)

    return validated


def run_folder(config: SweepConfig, number: int, repeat: int = 0) -> Path:
    """Return where a repeat of a training trial lies."""
    return Path(config.out) / "trials" / (f"{number:04d}" if config.repeats == 1 else f"{number:04d}-{repeat}")


class CommandObjective:
    """Runs a program and reads the JSON that it prints."""

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        words = config.command or ()
        files = [Path(word) for word in words if "{" not in word and Path(word).is_file()]
        self.inputs: Hashes = {"command": {str(path): file_hash(path) for path in files}}

    def __call__(self, point: Point, number: int, told: Told) -> Outcome:
        """Return the mean of what the program prints over repeats."""

        def once(_: int, seed: int, level: Level) -> dict[str, float]:
            return run_program(self._config, point, number, seed, level)

        return _repeated(self._config, told, once)


class FunctionObjective:
    """Calls a Python function of a point: ``f(point)``, or ``f(point, report)`` where it takes two arguments."""

    def __init__(self, config: SweepConfig, function: Callable[..., Any]) -> None:
        self._config, self._function = config, function
        self._reports = len(inspect.signature(function).parameters) > 1
        self.inputs: Hashes = {}

    def __call__(self, point: Point, number: int, told: Told) -> Outcome:
        """Return the mean of what the function gives over repeats."""

        def once(_: int, seed: int, level: Level) -> dict[str, float]:
            given = self._config.complete(point) | ({"seed": seed} if self._config.repeats > 1 else {})
            return self._named(self._function(given, level) if self._reports else self._function(given))

        return _repeated(self._config, told, once)

    def _named(self, found: Any) -> dict[str, float]:
        """Return what a function gave, a number, several, or a mapping, by objective."""
        names = [target.name for target in self._config.targets]
        if isinstance(found, Mapping):
            found = [found.get(name) for name in names]
        values = list(found) if isinstance(found, Sequence) else [found]
        if len(values) != len(names) or not all(hasattr(value, "__float__") for value in values):
            raise InputError(f"objective: expected {len(names)} numbers ({', '.join(names)}), found {found!r}")
        return {name: float(value) for name, value in zip(names, values, strict=True)}


def _repeated(config: SweepConfig, told: Told, once: Callable[[int, int, Level], dict[str, float]]) -> Outcome:
    """Return the means of what ``once`` gives for each repeat, its seed, and where to tell values on the way.

    Steps are the repeats; only where there is but one are they what comes on the way.
    """
    alone = config.repeats == 1
    steps: dict[str, list[float]] = {target.name: [] for target in config.targets}
    for repeat in range(config.repeats):
        found = once(repeat, config.seed + repeat, told.level if alone else lambda _: None)
        for name, values in steps.items():
            values.append(found[name])
        if not alone:
            told.one(found[config.targets[0].name])
    return _means(steps)


def _means(steps: dict[str, list[float]]) -> Outcome:
    """Return the means. Raises InputError if one is no number."""
    for name, values in steps.items():
        bad = next((i for i, value in enumerate(values) if not math.isfinite(value)), None)
        if bad is not None:
            raise InputError(f"{name} is {values[bad]} in step {bad}, expected a finite number")
    return Outcome(tuple(math.fsum(values) / len(values) for values in steps.values()), steps)

"""What a sweep is asked to do, as data; the command line, a YAML file and Python give one object."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.config import make_config as make_evaluation
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.metrics import METRICS
from hpcai.learning.budget import Budget, BudgetText, parse_budget
from hpcai.learning.config import TrainingConfig
from hpcai.learning.config import make_config as make_training
from hpcai.learning.sweeps.space import RESERVED, Point, Space, check_point, check_space
from hpcai.learning.sweeps.template import fill, names

Sampler = Literal["tpe", "gp", "cma-es", "nsga-ii", "nsga-iii", "qmc", "random", "grid"]
Direction = Literal["minimize", "maximize"]
Kind = Literal["evaluate", "train", "command", "function"]

SEVERAL_OBJECTIVES: Final = ("tpe", "gp", "nsga-ii", "nsga-iii", "qmc", "random", "grid")
"""Samplers that can search for a Pareto front."""

NOT_RESULTS: Final = {"budget", "storage", "out", "heartbeat", "retries", "patience", "test_windows", "compared"}
"""Keys that may differ when a sweep goes on, since no trial's value depends on them."""

Positive = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Objective(_Section):
    """A number to better: a metric of replays, a training's score, or a key of a program's JSON."""

    name: Annotated[str, Field(min_length=1)]
    direction: Direction = "minimize"

    @property
    def sign(self) -> int:
        """1 where less is better, else -1."""
        return 1 if self.direction == "minimize" else -1


def _objectives(value: Any) -> Any:
    return [{"name": item} if isinstance(item, str) else item for item in one_or_many(value)]


class PrunerConfig(_Section):
    """When a trial is given up.

    ``median``, ``percentile``, ``halving`` (asynchronous successive halving) and ``hyperband`` compare a trial's mean
    so far, or a training's best validation, with that of others at the same step; ``percentile`` goes on with the
    share ``keep``. ``wilcoxon`` compares a trial with the best one
    window by window (or repeat by repeat) and gives it up where it is worse with probability above 1 - ``p``. Every
    trial runs for ``steps``; with ``median`` and ``percentile`` the first ``trials`` run to the end.
    """

    kind: Literal["none", "median", "percentile", "halving", "hyperband", "wilcoxon"] = "none"
    trials: Annotated[int, Field(ge=0)] = 5
    steps: Annotated[int, Field(ge=0)] = 2
    p: Annotated[float, Field(gt=0, lt=1)] = 0.1
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.25
    reduction: Annotated[int, Field(ge=2)] = 3


def _pruner(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class SweepConfig(_Section):
    """A sweep: what a trial is, what is searched, for how long, and how what was found is judged.

    One of ``evaluate`` (keys of an evaluation with one policy), ``train`` (keys of a training) and ``command`` (words
    of a program that prints JSON) says what a trial is; ``{name}`` in it stands for a parameter of ``space``.
    Replays are judged on windows of ``part``, never of the test part; the winner is compared with ``rivals`` on
    ``test_windows`` once the ``budget`` (a time or a number of trials) is spent, and ``compared`` further trials are
    replayed there to see whether validation foretells the test.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    evaluate: dict[str, Any] | None = None
    train: dict[str, Any] | None = None
    command: tuple[str, ...] | None = None
    function: str | None = None  # name of a Python function; only hpcai.sweep sets it
    space: Space
    objectives: Annotated[tuple[Objective, ...], BeforeValidator(_objectives)] = ()
    sampler: Sampler = "tpe"
    pruner: Annotated[PrunerConfig, BeforeValidator(_pruner)] = PrunerConfig()
    seed: Annotated[int, Field(ge=0)] = 0
    repeats: Positive = 1  # with other seeds, of a training or a command; a trial's value is their mean
    budget: BudgetText = "100 trials"
    start: tuple[dict[str, Any], ...] = ()  # points that are tried first
    part: Literal["validation", "train"] = "validation"
    rivals: Annotated[tuple[Any, ...], BeforeValidator(one_or_many)] = ()  # policies; the first is the baseline
    test_windows: Annotated[str, Field(pattern=r"^(all|[1-9]\d*x[1-9]\d*)$")] = "50x1024"
    compared: Annotated[int, Field(ge=0)] = 12
    timeout: Annotated[float, Field(gt=0)] | None = None  # s, of a command
    storage: Source | None = None  # URL or path of a journal; by default a journal in ``out``
    heartbeat: Positive = 10  # s between two signs of life of a trial; six without one, and it is tried again
    retries: Annotated[int, Field(ge=0)] = 3  # of a trial whose worker died
    patience: Annotated[float, Field(ge=0)] = 600.0  # s that workers wait for a storage that has gone away
    out: Source = "runs/sweep"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        given = [kind for kind in ("evaluate", "train", "command", "function") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of evaluate, train and command, found {' and '.join(given) or 'none'}")
        check_space(self.space)
        self._check_placeholders()
        self._check_method()
        for number, point in enumerate(self.start):
            try:
                check_point(self.space, point)
            except ValueError as error:
                raise ValueError(f"start.{number}: {error}") from error
        return self

    def _check_placeholders(self) -> None:
        if self.kind == "function":
            return
        template = getattr(self, self.kind)
        found = names(template)
        unknown = sorted(found - self.space.keys() - set(RESERVED))
        if unknown:
            raise ValueError(f"{self.kind}: the placeholder {{{unknown[0]}}} is not in the space")
        unused = [name for name in self.space if name not in found]
        if unused:
            raise ValueError(f"space.{unused[0]}: no {{{unused[0]}}} in {self.kind} takes it, it would change nothing")

    def _check_method(self) -> None:
        several = len(self.objectives) > 1
        if several and self.sampler not in SEVERAL_OBJECTIVES:
            raise ValueError(f"sampler {self.sampler!r}: takes one objective, found {len(self.objectives)}")
        if several and self.pruner.kind != "none":
            raise ValueError(f"pruner {self.pruner.kind!r}: takes one objective, found {len(self.objectives)}")
        if self.sampler == "grid":
            for name, parameter in self.space.items():
                if parameter.values is None or parameter.when:
                    raise ValueError(f"space.{name}: a grid takes choices and ranges with a step, without 'when'")
        if self.kind == "evaluate" and self.repeats > 1:
            raise ValueError("repeats: a replay with the same windows gives the same again; give more windows")
        if self.kind == "train" and self.objectives:
            raise ValueError("objectives: a training's is its validation score, set 'objective' in train")

    @property
    def kind(self) -> Kind:
        """What a trial is."""
        if self.evaluate is not None:
            return "evaluate"
        if self.train is not None:
            return "train"
        return "command" if self.command is not None else "function"

    @property
    def limits(self) -> Budget:
        """The budget in numbers; its steps are trials, of a grid no more than it has points."""
        budget = parse_budget(self.budget)
        if self.sampler != "grid":
            return budget
        points = math.prod(len(parameter.values or ()) for parameter in self.space.values())
        return Budget(budget.seconds, min(budget.steps, points))

    @cached_property
    def targets(self) -> tuple[Objective, ...]:
        """The objectives with their directions, those of replays from the registry of metrics."""
        if self.kind == "train":
            return (Objective(name="validation score"),)
        if self.kind == "evaluate":
            chosen = self.objectives or (Objective(name="mean_bounded_slowdown"),)
            return tuple(
                Objective(name=one.name, direction="maximize" if METRICS[one.name].better == "higher" else "minimize")
                for one in chosen
            )
        return self.objectives or (Objective(name="value"),)

    @property
    def storage_url(self) -> str:
        """Where the study lies: an URL, or the path of a journal."""
        return self.storage or str(Path(self.out) / "study.journal")

    def complete(self, point: Point) -> dict[str, Any]:
        """Return a point with what takes the place of parameters that do not exist there."""
        absent = {
            name: parameter.otherwise
            for name, parameter in self.space.items()
            if name not in point and parameter.otherwise is not None
        }
        return absent | dict(point)

    def evaluation(self, point: Point, **fixed: Any) -> EvaluationConfig:
        """Return the evaluation that a point makes of the template; ``fixed`` keys are laid over it.

        Raises InputError if the template has more than one policy or says something that is not understood.
        """
        template = self.evaluate or {}
        fields = fill(template, self.complete(point)) | {"part": self.part} | fixed
        if len(one_or_many(template.get("policies", ()))) != 1:
            raise InputError(f"sweep {self.name}: evaluate.policies: expected one policy, whose parameters are swept")
        return make_evaluation(fields, f"sweep {self.name}: evaluate")

    def training(self, point: Point, seed: int, out: str | Path) -> TrainingConfig:
        """Return the training that a point makes of the template. Raises InputError as make_config does."""
        fields = fill(self.train, self.complete(point) | {"seed": seed}) | {"out": str(out)}
        return make_training({"seed": seed} | fields, f"sweep {self.name}: train")

    def identity(self) -> dict[str, Any]:
        """Return the part of the configuration on which the values of trials depend."""
        return self.model_dump(mode="json", exclude=NOT_RESULTS)

    @property
    def hash(self) -> str:
        """Sixteen digits that stand for the identity."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:16]


def make_config(fields: Mapping[str, Any], where: str = "sweep") -> SweepConfig:
    """Return the configuration that ``fields`` describe; ``where`` names their origin in errors.

    The template is tried on a point of the space, so that what could never run is told before a study is made.
    Raises InputError, one line with the key, what was found and what was expected.
    """
    config = validated(SweepConfig, fields, where)
    for objective in config.objectives if config.kind == "evaluate" else ():
        if objective.name not in METRICS or not METRICS[objective.name].better:
            raise InputError(f"{where}: objective {objective.name!r}: expected a metric that has a better side")
        if objective.name in ENERGY_NAMES and not (config.evaluate or {}).get("power"):
            raise InputError(f"{where}: objective {objective.name!r}: expected power: true in evaluate, found none")
    point = some_point(config)
    if config.kind == "evaluate":
        evaluation = config.evaluation(point)
        if evaluation.windows == "all" and config.pruner.kind == "wilcoxon":
            raise InputError(f"{where}: pruner wilcoxon: needs several windows such as '20x1024', found 'all'")
        if config.rivals:
            config.evaluation(point, policies=list(config.rivals))
    elif config.kind == "train":
        config.training(point, config.seed, config.out)
    return config


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> SweepConfig:
    """Return the configuration in a YAML file, with ``overrides`` laid over it.

    Raises InputError if the file cannot be read, is not YAML, or says something that is not understood.
    """
    return make_config(with_overrides(read_mapping(path), overrides or {}), str(path))


def with_overrides(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``fields`` with others laid over them; ``trace`` goes into what a trial is."""
    given = dict(overrides)
    result = dict(fields)
    trace = given.pop("trace", None)
    for kind in ("evaluate", "train"):
        if trace and isinstance(result.get(kind), Mapping):
            result[kind] = dict(result[kind]) | {"trace": trace}
    return result | given


def some_point(config: SweepConfig) -> dict[str, Any]:
    """Return the point of lowest numbers and first choices."""
    point: dict[str, Any] = {}
    for name, parameter in config.space.items():
        if parameter.exists(point):
            point[name] = parameter.first
    return point

"""What a training run is asked to do, as data; the command line, a YAML file and Python give one object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.metrics import JOB_MEANS, METRICS
from hpcai.learning.budget import Budget, BudgetText, parse_budget
from hpcai.scheduling.decisions import Decide
from hpcai.scheduling.policy import Backfill, Estimate, Policy
from hpcai.simulation.episode import Setting
from hpcai.simulation.rewards import Reward

Algo = Literal["maskable-ppo", "ppo", "dqn", "formula"]

NOT_RESULTS: Final = {"out", "budget", "threads"}
"""Keys that may differ when an interrupted run is resumed."""

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(_Section):
    """The policy network: ``mlp`` is Stable-Baselines3's own, the others score each job (network.py)."""

    kind: Literal["deep-sets", "attention", "mlp"] = "deep-sets"
    hidden: Positive = 48
    heads: Positive = 4  # of the attention

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.kind == "attention" and self.hidden % self.heads:
            raise ValueError(f"network: hidden {self.hidden} is no multiple of heads {self.heads}")
        return self


class PpoConfig(_Section):
    """Hyperparameters of PPO and its maskable form; names are Stable-Baselines3's.

    ``gamma`` is 1: an episode is a window of jobs, and a wait late in it is as bad as an early one.
    """

    learning_rate: Rate = 3e-4
    n_steps: Positive = 64
    batch_size: Positive = 512
    n_epochs: Positive = 4
    gamma: Share = 1.0
    gae_lambda: Share = 0.97
    clip_range: Rate = 0.2
    ent_coef: Annotated[float, Field(ge=0)] = 0.002
    vf_coef: Annotated[float, Field(ge=0)] = 0.5
    max_grad_norm: Rate = 0.5
    target_kl: Rate | None = 0.03


class DqnConfig(_Section):
    """Hyperparameters of DQN; names are Stable-Baselines3's."""

    learning_rate: Rate = 3e-4
    buffer_size: Positive = 50_000
    learning_starts: Annotated[int, Field(ge=0)] = 2_000
    batch_size: Positive = 128
    gamma: Share = 1.0
    train_freq: Positive = 8
    target_update_interval: Positive = 2_000
    exploration_fraction: Share = 0.2
    exploration_final_eps: Share = 0.02


class CloningConfig(_Section):
    """Behaviour cloning before reinforcement learning (cloning.py)."""

    decisions: Positive = 20_000
    learning_rate: Rate = 1e-3
    batch_size: Positive = 512
    max_epochs: Positive = 30
    enough: Share = 0.99  # agreement at which copying ends: the rest of the budget is for doing better
    patience: Positive = 3


class TrainingConfig(_Section):
    """A training run: which logs, which learner, for how long, how it is judged on the way.

    Learning uses the first 60 % of each log, validation the next 10 %; the last 30 % are not looked at.
    ``window`` is the number of jobs in a training window. ``budget`` is a time or a number of steps:
    decisions of an agent, trials of a formula.
    """

    trace: Annotated[tuple[Source, ...], BeforeValidator(one_or_many), Field(min_length=1)]
    format: str | None = None
    machine: Source | None = None
    algo: Algo = "maskable-ppo"
    network: NetworkConfig = NetworkConfig()
    backfill: Backfill = "easy"
    predictor: Annotated[str, Field(min_length=1)] = "none"
    skip: Share = 0.0  # of the training part, its beginning: the jobs that the predictor was fitted to
    serving_predictor: Annotated[str, Field(min_length=1)] | None = None  # of the result; the same where not given
    estimate: Estimate = "requested"
    objective: str = "mean_bounded_slowdown"
    families: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()  # of formulas to tune; all
    begin: Source | None = None  # run folder of a formula whose weights the search begins at
    wait_bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.25  # of a formula's mean wait, in that of SAF
    window: Positive | None = None
    training_windows: Positive = 40  # of each log for a trial of a formula; drawn anew for each generation
    final_windows: Positive = 200  # of the training part of each log, on which the best formulas meet
    validation_windows: Positive = 20
    validation_length: Positive = 1024
    budget: BudgetText = "20m"
    patience: Positive | None = None  # validations without improvement before the run ends
    validate_every: Positive = 20_000  # decisions
    checkpoint_every: Rate = 60.0  # s
    seed: Annotated[int, Field(ge=0)] = 0
    n_envs: Positive = 64
    threads: Positive = 1  # of PyTorch; more of them wait for one another where cores are shared
    slots: Positive = 128
    defer: bool = False
    decide: Decide | None = None  # both, where backfilling allows it
    classes: tuple[str, ...] = ()  # of jobs, that are told apart (features.py)
    rewards: Reward = Reward()
    teacher: str | None = "saf"
    cloning: CloningConfig = CloningConfig()
    ppo: PpoConfig = PpoConfig()
    dqn: DqnConfig = DqnConfig()
    out: Source = "runs/training"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        metric = METRICS.get(self.objective)
        if metric is None or not metric.better:
            raise ValueError(f"objective {self.objective!r}: expected a metric that has a better side")
        if self.objective in ENERGY_NAMES:
            raise ValueError(f"objective {self.objective!r}: training measures no energy; a sweep of evaluations does")
        if self.algo == "formula" and self.objective not in JOB_MEANS:
            raise ValueError(f"objective {self.objective!r}: formulas are tuned for one of {', '.join(JOB_MEANS)}")
        return self

    @property
    def limits(self) -> Budget:
        """The budget in numbers."""
        return parse_budget(self.budget)

    @property
    def window_length(self) -> int:
        """Jobs in a training window: what agents and formulas take where nothing is set.

        An agent's episodes are of 256 jobs as in RLScheduler (Zhang et al., SC'20); a formula is tuned on
        windows as long as those that it is judged on.
        """
        return self.window or (self.validation_length if self.algo == "formula" else 256)

    @property
    def base_policy(self) -> Policy:
        """What learning starts from and is combined with: the teacher's ordering, backfilling, beliefs."""
        return Policy(
            ordering=self.teacher or "saf",
            backfill=self.backfill,
            predictor=self.predictor,
            estimate=self.estimate,
        )

    @property
    def result_policy(self) -> Policy:
        """What the result is combined with: as learned, but with the predictor that is to serve it."""
        return self.base_policy.model_copy(update={"predictor": self.serving_predictor or self.predictor})

    @property
    def setting(self) -> Setting:
        """How an agent's episodes are played."""
        return Setting(
            self.base_policy,
            self.slots,
            self.decide or ("both" if self.backfill == "easy" else "next"),
            self.defer,
            self.rewards,
            self.classes,
        )

    def identity(self) -> dict[str, Any]:
        """Return the part of the configuration that a resumed run must share."""
        return self.model_dump(mode="json", exclude=NOT_RESULTS)


def make_config(fields: Mapping[str, Any], where: str = "training") -> TrainingConfig:
    """Return the configuration that ``fields`` describe; ``where`` names their origin in errors.

    Raises InputError, one line with the key, what was found and what was expected.
    """
    from hpcai.scheduling.orderings import parse_ordering

    config = validated(TrainingConfig, fields, where)
    if config.teacher is not None:
        try:
            parse_ordering(config.teacher, {})
        except InputError as error:
            raise InputError(f"{where}: teacher: {error}") from error
    return config


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Return the configuration in a YAML file, with ``overrides`` laid over it.

    Raises InputError if the file cannot be read, is not YAML, or says something that is not understood.
    """
    return make_config(read_mapping(path) | dict(overrides or {}), str(path))

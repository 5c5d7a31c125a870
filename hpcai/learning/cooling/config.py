"""A training of a cooling controller, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.cooling.action import Scheme
from hpcai.cooling.energyplus.building import ItCurve
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import controller_config
from hpcai.learning.budget import Budget, BudgetText, parse_budget
from hpcai.simulation.cooling.case import CoolingCase, PlantKind
from hpcai.simulation.cooling.reward import CoolingReward, reward_settings

Algo = Literal["ddpg", "td3", "sac", "ppo"]
Method = Literal["ddpg", "td3", "sac", "ppo", "td3-bc", "evolution", "fixed", "rules", "pid"]
SEARCHED: Final = ("fixed", "rules", "pid")


class Learner(BaseModel):
    """Settings of an agent, in Stable-Baselines3's words; of PPO only the first four count, and ``n_steps``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.8  # a step of 15 min soon forgets its setpoints
    hidden: tuple[int, ...] = (64, 64)
    batch_size: Annotated[int, Field(ge=1)] = 256
    buffer_size: Annotated[int, Field(ge=1)] = 300_000
    learning_starts: Annotated[int, Field(ge=1)] = 2_000
    train_freq: Annotated[int, Field(ge=1)] = 1
    gradient_steps: Annotated[int, Field(ge=1)] = 1
    noise: Annotated[float, Field(ge=0)] = 0.1  # of DDPG's and TD3's actions
    n_steps: Annotated[int, Field(ge=1)] = 512


class Evolution(BaseModel):
    """Settings of the method ``evolution``; days are drawn in stretches of ``length``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generations: Annotated[int, Field(ge=1)] = 200
    population: Annotated[int, Field(ge=4)] = 32
    sigma: Annotated[float, Field(gt=0)] = 0.1
    length: Annotated[int, Field(ge=1, le=30)] = 2
    days: Annotated[int, Field(ge=1)] = 16  # stretches in a generation
    validation_days: Annotated[int, Field(ge=1)] = 60  # stretches of validation
    validate_every: Annotated[int, Field(ge=1)] = 10
    imitate: Annotated[int, Field(ge=0)] = 0  # days of each weather under predictive control, to begin with
    workers: Annotated[int, Field(ge=1)] = 1


class CoolingTraining(BaseModel):
    """What is learned, on which plant and weathers, for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = "sac"
    weather: Annotated[tuple[Source, ...], BeforeValidator(one_or_many), Field(min_length=1)]
    plant: PlantKind = "fast"
    preset: str | None = None
    model: Source | None = None
    it_curve: ItCurve = "flat"
    it_load: Annotated[float, Field(ge=0, le=1)] | Source = "daily"
    step_minutes: Annotated[int, Field(ge=1, le=60)] = 15
    rate: Source | None = None
    actions: Scheme = "simple"
    reward: CoolingReward = CoolingReward()
    episode_days: Annotated[int, Field(ge=1)] = 4
    learner: Learner = Learner()
    evolution: Evolution = Evolution()
    begin: dict[str, float] | Source = {}  # setpoints by name, or the folder of a search, to begin with
    logs: Annotated[tuple[Source, ...], BeforeValidator(one_or_many)] = ()  # of td3-bc: records to learn from
    log_days: Annotated[int, Field(ge=1)] | None = None  # of each log, spread evenly over it; None: all
    behaviour: Annotated[float, Field(gt=0)] = 2.5  # alpha of TD3+BC
    days: Literal["train", "all"] = "train"  # all: the test is on another weather
    budget: BudgetText = "20000 steps"  # or trials of a search
    validate_every: Annotated[int, Field(ge=1)] = 4_000  # steps
    validation_episodes: Annotated[int, Field(ge=1, le=12)] = 6  # for each weather
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/cooling"

    @model_validator(mode="before")
    @classmethod
    def _limits_of_the_plant(cls, data: Any) -> Any:
        reward = data.get("reward") or {}
        if not isinstance(reward, Mapping):
            return data
        return data | {"reward": reward_settings(data.get("plant"), reward)}

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.method == "td3-bc") != bool(self.logs):
            raise ValueError("logs: expected records to learn from for the method td3-bc, and for no other")
        if self.plant == "liquid" and self.method in ("rules", "pid"):
            raise ValueError(f"method: found {self.method}, which knows air alone, for a liquid-cooled plant")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """Weather, logs, load and rate, as far as they are files."""
        load = [self.it_load] if isinstance(self.it_load, str) and self.it_load != "daily" else []
        return (*self.weather, *self.logs, *load, *([self.rate] if self.rate else []))

    @property
    def limits(self) -> Budget:
        """The budget."""
        return parse_budget(self.budget)

    @property
    def beginning(self) -> dict[str, float]:
        """Setpoints by name that it begins with; raises InputError if they are to come from a folder that has none."""
        if isinstance(self.begin, dict):
            return self.begin
        found = controller_config(self.begin, "begin")
        if found.kind != "fixed":
            raise InputError(f"begin {self.begin}: expected fixed setpoints, found a controller of kind {found.kind}")
        return found.points

    def case(self, weather: str) -> CoolingCase:
        """Return the case with one of the weathers."""
        fields = {name: getattr(self, name) for name in CoolingCase.model_fields if name != "weather"}
        return CoolingCase(weather=weather, **fields)

    def env_settings(self, weather: str, days: str) -> dict[str, Any]:
        """Return the arguments of the environment with one of the weathers and a part of its days."""
        of_case = self.case(weather).model_dump()
        return of_case | {
            "actions": self.actions,
            "reward": self.reward,
            "days": days,
            "episode_days": self.episode_days,
        }


def load_cooling_training(path: str | Path, given: Mapping[str, Any] | None = None) -> CoolingTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(CoolingTraining, read_mapping(path) | dict(given or {}), str(path))

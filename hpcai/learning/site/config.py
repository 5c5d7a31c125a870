"""A training of who rules a site, as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.controllers.learned import Layers
from hpcai.cooling.interface import Floats
from hpcai.errors import InputError
from hpcai.evaluation.site.config import Count, Date, Positive, SiteConfig, merged, site_config
from hpcai.learning.budget import Budget, BudgetText, parse_budget
from hpcai.learning.cooling.config import Learner
from hpcai.simulation.site.action import Ruled, names, numbers_of
from hpcai.simulation.site.observation import seen_names
from hpcai.simulation.site.ruler import Learned, RulerMeta

Method = Literal["evolution", "ppo", "sac", "td3"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evolution(_Part):
    """Settings of the method ``evolution``; all candidates of a generation play the same ``draws`` episodes."""

    features: tuple[str, ...] = ()  # what the linear policy looks at; none: all that is seen
    population: Annotated[int, Field(ge=4)] = 8
    sigma: Positive = 0.3
    draws: Count = 1
    generations: Count = 1000
    validate_every: Count = 5  # generations


class Validation(_Part):
    """The draws on which the best is chosen, one seed after another."""

    seed: Annotated[int, Field(ge=0)] = 200
    draws: Count = 4
    days: Positive = 7.0
    starts: tuple[Date, ...] = ()  # of the weather; none: those of the site


class SiteTraining(_Part):
    """What is learned, on which site, for how long.

    A score is the mean over draws of the energy per work, over that of the site without whoever is taught, and
    ``tradeoff`` times the same of the mean bounded slowdown, over 1 + ``tradeoff``; and ``hot`` times the K h a day by
    which inlets were longer too warm than without. So the untaught site has 1, and less is better.
    """

    method: Method = "evolution"
    site: Source
    changes: dict[str, Any] = {}
    decides: Annotated[tuple[Ruled, ...], Field(min_length=1)] = ("power",)
    actions: Scheme = "simple"
    tradeoff: Annotated[float, Field(ge=0)] = 4.0  # per cent of energy that a per cent of slowdown is worth
    hot: Annotated[float, Field(ge=0)] = 1.0
    begin: dict[str, float] = {}  # what it says at first, by name and in its units: limit, long_limit, east_supply ...
    episode_days: Positive = 2.0
    starts: tuple[Date, ...] = ()  # of the weather of episodes; none: those of the site
    seeds: tuple[int, int] = (300, 999)  # first and last of episodes
    validation: Validation = Validation()
    evolution: Evolution = Evolution()
    learner: Learner = Learner(gamma=0.97)  # 8 h: jobs remember longer than setpoints do
    validate_every: Count = 2_000  # steps of an agent
    budget: BudgetText = "20m"
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/site-agent"

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        first, last = self.seeds
        chosen = range(self.validation.seed, self.validation.seed + self.validation.draws)
        if not 0 <= first <= last:
            raise ValueError(f"seeds: expected a first and a last, found {first} and {last}")
        if any(first <= seed <= last for seed in chosen):
            raise ValueError(f"seeds: found {first} to {last}, in which lie seeds of validation from {chosen[0]} on")
        if len(set(self.decides)) < len(self.decides):
            raise ValueError(f"decides: expected each part once, found {', '.join(self.decides)}")
        return self

    @cached_property
    def base(self) -> SiteConfig:
        """The site with its changes, untaught. Raises InputError if it cannot be learned on."""
        base = site_config(merged(read_mapping(self.site), self.changes), self.site)
        if base.jobs.generator is None:
            raise InputError(f"{self.site}: jobs: expected a generator, which can be drawn anew, found a log")
        if "cooling" in self.decides and base.cooling is None:
            raise InputError(f"{self.site}: decides: found 'cooling', expected a 'cooling' to rule")
        if unknown := sorted(set(self.evolution.features) - set(self.observed(base))):
            raise InputError(f"evolution.features: found {unknown[0]!r}, expected some of what is seen of the site")
        return base.model_copy(update={"agent": None})

    def observed(self, base: SiteConfig | None = None) -> tuple[str, ...]:
        """Return the names of what is seen."""
        return seen_names((base or self.base).cooling is not None)

    @property
    def told(self) -> tuple[str, ...]:
        """The names of the numbers that are told."""
        return names(self.decides, Actions(self.actions))

    @property
    def beginning(self) -> Floats:
        """The numbers that it says at first. Raises InputError if ``begin`` names others."""
        try:
            return numbers_of(self.begin, self.decides, Actions(self.actions))
        except KeyError as error:
            raise InputError(f"begin: found {error.args[0]!r}, expected some of {', '.join(self.told)}") from error

    def ruler(self, weights: Layers, squash: Literal["tanh", "clip"]) -> Learned:
        """Return the policy of a network with these layers, which decides on what is taught."""
        meta = RulerMeta(
            squash=squash,
            layers=len(weights),
            decides=self.decides,
            actions=self.actions,
            observed=self.observed(),
        )
        return Learned(meta, weights)

    @property
    def limits(self) -> Budget:
        """The budget."""
        return parse_budget(self.budget)

    @property
    def episode_starts(self) -> tuple[str, ...]:
        """When episodes begin in the weather; none where no plant cools."""
        base = self.base
        if base.cooling is None:
            return ()
        return self.starts or base.starts or ((base.cooling.start,) if base.cooling.start else ("01-01",))

    def episode(self, seed: int, start: str | None) -> SiteConfig:
        """Return the site of an episode."""
        changes: dict[str, Any] = {"seed": seed, "days": self.episode_days, "draws": 1, "starts": ()}
        if start is not None:
            changes["cooling"] = {"start": start}
        return site_config(merged(self.base.model_dump(exclude_defaults=True), changes), self.site)

    def validations(self) -> list[SiteConfig]:
        """Return the sites of validation."""
        given = self.validation
        changes: dict[str, Any] = {"seed": given.seed, "draws": given.draws, "days": given.days}
        if given.starts:
            changes["starts"] = given.starts
        whole = site_config(merged(self.base.model_dump(exclude_defaults=True), changes), self.site)
        return [whole.draw(k) for k in range(given.draws)]


def load_site_training(path: str | Path, given: Mapping[str, Any] | None = None) -> SiteTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    config = validated(SiteTraining, read_mapping(path) | dict(given or {}), str(path))
    _ = config.base, config.beginning
    return config

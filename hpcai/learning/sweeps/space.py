"""What a sweep searches: ranges and choices by name, some of which exist only where another has a certain value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from hpcai.configuration import one_or_many

if TYPE_CHECKING:
    import optuna

Scalar = bool | int | float | str | None
Point = Mapping[str, Any]
"""A value for each parameter that exists there."""

RESERVED: Final = ("seed", "trial", "folder")
"""Placeholders that a sweep fills in itself."""


class _Parameter(BaseModel):
    """What ranges and choices share.

    ``when`` says for which values of earlier parameters this one exists, such as ``{kind: attention}``; elsewhere
    ``otherwise`` takes its place, and without that the key or argument that names it is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: dict[str, Annotated[tuple[Scalar, ...], BeforeValidator(one_or_many)]] = Field(default_factory=dict)
    otherwise: Scalar = None

    def exists(self, point: Point) -> bool:
        """Whether the parameter exists beside the values in ``point``."""
        return all(name in point and point[name] in values for name, values in self.when.items())

    def holds(self, value: Any) -> bool:
        """Whether the parameter can take ``value``."""
        raise NotImplementedError

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """The same for Optuna."""
        raise NotImplementedError

    @property
    def values(self) -> list[Any] | None:
        """All values, or None where they are not countable."""
        raise NotImplementedError

    @property
    def first(self) -> Any:
        """The lowest number or the first choice."""
        raise NotImplementedError


class Range(_Parameter):
    """Numbers from ``low`` to ``high``, both included; ``step`` makes them a lattice from ``low`` on."""

    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    type: Literal["float", "int"] = "float"
    log: bool = False
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range needs low above 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step cannot be had together")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step {self.step:g} is wider than the range {self.low:g} to {self.high:g}")
        if self.type == "int" and any(not float(x).is_integer() for x in (self.low, self.high, self.step or 1)):
            raise ValueError(f"type int needs whole numbers, found {self.low:g} to {self.high:g}")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a number lies in the range; a lattice takes any, since Optuna rounds to it."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and (self.type == "float" or float(value).is_integer())

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.type == "int":
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    @property
    def values(self) -> list[Any] | None:
        """The lattice, or None of a continuous range."""
        step = self.step or (1.0 if self.type == "int" and not self.log else None)
        if self.low == self.high:
            step = 1.0
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        lattice = [self.low + step * i for i in range(count)]
        return [int(value) for value in lattice] if self.type == "int" else lattice

    @property
    def first(self) -> Any:
        """The lowest number."""
        return int(self.low) if self.type == "int" else self.low


class Choice(_Parameter):
    """One of several values."""

    choices: Annotated[tuple[Scalar, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len({(type(value), value) for value in self.choices}) < len(self.choices):
            raise ValueError(f"choices {list(self.choices)}: one is given twice")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a value is among the choices."""
        return value in self.choices

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    @property
    def values(self) -> list[Any] | None:
        """The choices."""
        return list(self.choices)

    @property
    def first(self) -> Any:
        """The first choice."""
        return self.choices[0]


def _kind(value: Any) -> str:
    given = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    return "choice" if "choices" in given else "range"


Parameter = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choice, Tag("choice")],
    Discriminator(_kind),
]
Space = dict[str, Parameter]


def check_space(space: Mapping[str, Range | Choice]) -> None:
    """Raise ValueError, naming the parameter, if a space is empty or contradicts itself."""
    if not space:
        raise ValueError("space: empty, expected at least one parameter")
    if all(parameter.values is not None and len(parameter.values) == 1 for parameter in space.values()):
        raise ValueError("space: every parameter has one value only, there is nothing to search")
    earlier: dict[str, Range | Choice] = {}
    for name, parameter in space.items():
        if not name.isidentifier() or name in RESERVED:
            raise ValueError(f"space.{name}: expected a name of letters, digits and _, other than {RESERVED}")
        for condition, values in parameter.when.items():
            if condition not in earlier:
                where = "itself" if condition == name else "a later one" if condition in space else "none of the space"
                raise ValueError(f"space.{name}.when: {condition!r} must be an earlier parameter, it is {where}")
            impossible = [value for value in values if not earlier[condition].holds(value)]
            if impossible:
                raise ValueError(f"space.{name}.when: {condition!r} is never {impossible[0]!r}")
        earlier[name] = parameter


def suggest(space: Mapping[str, Range | Choice], trial: optuna.Trial) -> dict[str, Any]:
    """Return the point that Optuna suggests, in the order of the space."""
    point: dict[str, Any] = {}
    for name, parameter in space.items():
        if not parameter.exists(point):
            continue
        if isinstance(parameter, Choice):
            point[name] = trial.suggest_categorical(name, parameter.choices)
        elif parameter.type == "int":
            step = int(parameter.step or 1)
            point[name] = trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
        else:
            point[name] = trial.suggest_float(
                name, parameter.low, parameter.high, step=parameter.step, log=parameter.log
            )
    return point


def check_point(space: Mapping[str, Range | Choice], point: Point) -> None:
    """Raise ValueError if a point names a parameter that the space has not, or a value that it cannot take."""
    for name, value in point.items():
        if name not in space:
            raise ValueError(f"{name!r} is not in the space")
        if not space[name].holds(value):
            raise ValueError(f"{name} = {value!r} lies outside the space")

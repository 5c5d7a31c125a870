"""What is placed, where, and by which methods, as data."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, validated
from hpcai.device_placement.methods.problem import DEFAULTS, Options
from hpcai.device_placement.methods.registry import METHODS

USUAL: Final = ("single", "expert", "heft", "m-etf", "m-sct", "local-search")
UNLIMITED: Final = 10**9  # evaluations, where seconds limit a search


class PlaceConfig(BaseModel):
    """One model on the first GPUs of a machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Source  # a file, or zoo:NAME
    machine: Source | None = None  # mn-1b, or of dnn-partitioning the devices that the file asks for
    gpus: Annotated[int, Field(ge=1)] = 4
    host: bool = False  # whether the CPUs of the nodes are devices too
    training: bool | None = None  # None: as the file has it; of ONNX inference, of the zoo training
    settings: dict[str, int | bool] = {}  # of a model of the zoo, such as batch; of ONNX its open dimensions
    groups: Annotated[int, Field(ge=1)] | None = None  # fuse the operators into so many at most, and place these
    weight_copies: Annotated[float, Field(ge=1)] | None = None
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = USUAL
    evaluations: Annotated[int, Field(ge=1)] | None = None  # of each search
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # of each search
    seed: int = 0
    out: Source = "plan"

    @model_validator(mode="after")
    def _methods_are_known(self) -> Self:
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"methods: expected some of {', '.join(METHODS)}, or all, found {name!r}")
        return self

    @property
    def options(self) -> Options:
        """What methods are told, but for the copies of the weights."""
        usual = DEFAULTS.evaluations if self.seconds is None else UNLIMITED
        return Options(
            seed=self.seed,
            evaluations=self.evaluations or usual,
            seconds=float("inf") if self.seconds is None else self.seconds,
        )


def place_config(given: Mapping[str, Any]) -> PlaceConfig:
    """Return the configuration that ``given`` describes; 'all' stands for every method that is installed.

    Raises InputError if something is wrong.
    """
    fields = dict(given)
    if "all" in fields.get("methods", ()):
        fields["methods"] = [name for name in METHODS if name != "metis" or find_spec("pymetis")]
    return validated(PlaceConfig, fields, "hpcai place")

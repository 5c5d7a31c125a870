"""Models that are trained: a small catalogue with sources, and anyone's own, as records for the compiled code."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from hpcai.cluster.network.collectives import ALGORITHMS
from hpcai.cluster.network.training import MODEL
from hpcai.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Algorithm = Literal["ring", "tree", "hierarchical", "best"]


class TrainedModel(BaseModel):
    """A model in data-parallel training; ``source`` says where its figures are from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    bytes_each: Positive  # of a gradient as it is sent
    samples: Positive  # per GPU and step
    rate: Positive  # samples/s of one P100 alone
    overlap: Annotated[float, Field(ge=0, le=1)] = 0.0  # part of the compute that the allreduce can hide behind
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0  # coefficient of variation of the compute between GPUs
    messages: Positive = 1  # allreduce calls per step
    algorithm: Algorithm = "best"
    source: str = ""


def trained_model(name: str) -> TrainedModel:
    """Return a model of the catalogue. Raises InputError if there is none of that name."""
    if name not in catalogue():
        raise InputError(f"model {name!r}: expected one of {', '.join(catalogue())}")
    return catalogue()[name]


@cache
def catalogue() -> dict[str, TrainedModel]:
    """Return the models that ship with hpcai by name."""
    return {name: TrainedModel.model_validate(fields) for name, fields in data("models.yaml").items()}


def model_record(model: TrainedModel) -> Any:
    """Return ``model`` as a record of MODEL."""
    record = np.zeros(1, MODEL)
    record["samples"] = model.samples
    record["compute"] = model.samples / model.rate
    record["jitter"] = model.jitter
    record["overlap"] = model.overlap
    record["size"] = model.parameters * model.bytes_each
    record["messages"] = model.messages
    record["algorithm"] = ALGORITHMS[model.algorithm]
    return record[0]


def data(file: str) -> dict[str, Any]:
    """Return what a YAML file of this package holds; numbers such as 1e6, which YAML 1.1 has as text, as text."""
    content: dict[str, Any] = yaml.safe_load((resources.files(__package__) / file).read_text("utf-8"))
    return content

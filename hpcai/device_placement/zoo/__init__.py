"""Models built from code, with costs from the table: those that device placement is compared on, and transformers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

from hpcai.device_placement.costs import VALUE_BYTES, CostTable
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.operations import Operation, priced
from hpcai.device_placement.zoo._layers import Layers
from hpcai.device_placement.zoo.bert import bert
from hpcai.device_placement.zoo.gpt import gpt2
from hpcai.device_placement.zoo.inception import inception_v3
from hpcai.device_placement.zoo.nmt import nmt
from hpcai.device_placement.zoo.resnet import resnet50
from hpcai.device_placement.zoo.rnnlm import rnnlm
from hpcai.errors import InputError

MODELS: Final[dict[str, Callable[..., None]]] = {
    "resnet50": resnet50,
    "inception_v3": inception_v3,
    "rnnlm": rnnlm,
    "nmt": nmt,
    "bert": bert,
    "gpt2": gpt2,
}


def build(
    name: str,
    device_kinds: Sequence[str] = ("V100",),
    *,
    precision: str = "float32",
    training: bool = True,
    table: CostTable | None = None,
    **options: Any,
) -> OperatorGraph:
    """Return the graph of a model.

    Args:
        name: one of :data:`MODELS`.
        device_kinds: kinds of device of the ``table`` to give costs for.
        precision: of all values and products; each of the devices must have it.
        training: whether there is a backward pass.
        table: costs; by default those that ship with the package.
        options: what the model takes besides, such as ``batch``.

    Raises:
        InputError: there is no such model, option, device or precision, or an option is not positive.
    """
    return priced(
        name, operations(name, precision, **options), device_kinds, precision=precision, training=training, table=table
    )


def operations(name: str, precision: str = "float32", **options: Any) -> list[Operation]:
    """Return the operators of a model's forward pass, without times; see :func:`build`."""
    if name not in MODELS:
        raise InputError(f"model {name!r}: expected one of {', '.join(MODELS)}")
    if precision not in VALUE_BYTES:
        raise InputError(f"precision {precision!r}: expected one of {', '.join(VALUE_BYTES)}")
    known = inspect.signature(MODELS[name]).parameters
    for option, value in options.items():
        if option not in known or option == "layers":
            others = ", ".join(key for key in known if key != "layers")
            raise InputError(f"model {name}: option {option!r} is not one of it (it takes: {others})")
        wanted = type(known[option].default)
        if type(value) is not wanted or (wanted is int and value < 1):
            raise InputError(f"model {name}: {option}: expected {_WORDS[wanted]}, found {value!r}")
    layers = Layers(VALUE_BYTES[precision])
    MODELS[name](layers, **options)
    return layers.operations


_WORDS: Final = {int: "a whole number of at least 1", bool: "true or false"}

"""The models of the zoo have the parameters and the multiply-adds that are published of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpcai.device_placement import zoo
from hpcai.errors import InputError

PARAMETERS = {  # exact, of torchvision and of Hugging Face's classes, which have the layers of the papers
    ("resnet50", ()): 25_557_032,
    ("inception_v3", ()): 27_161_264,
    ("inception_v3", (("auxiliary", False),)): 23_834_568,
    ("bert", ()): 110_106_428,  # BertForPreTraining
    ("gpt2", ()): 124_439_808,
    ("gpt2", (("depth", 48), ("hidden", 1600), ("heads", 25))): 1_557_611_200,  # GPT-2 XL
}
MULTIPLY_ADDS = {"resnet50": 4.09e9, "inception_v3": 5.71e9}  # an image, of convolutions and classifier; torchvision


def multiply_adds(name: str, **options: Any) -> float:
    products = ("conv", "matmul", "recurrent", "attention")
    return sum(operation.flops for operation in zoo.operations(name, **options) if operation.kind in products) / 2


@pytest.mark.parametrize(("model", "options"), PARAMETERS)
def test_parameters(model: str, options: tuple[tuple[str, Any], ...]) -> None:
    weights = sum(operation.weights for operation in zoo.operations(model, **dict(options)))
    assert weights / 4 == PARAMETERS[model, options]


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds(name: str) -> None:
    options = {"auxiliary": False} if name == "inception_v3" else {}
    assert multiply_adds(name, batch=8, **options) / 8 == pytest.approx(MULTIPLY_ADDS[name], rel=0.005)


def test_multiply_adds_of_a_transformer() -> None:
    hidden, length, depth = 768, 1024, 12
    block = 12 * hidden**2 * length + 2 * length**2 * hidden
    assert multiply_adds("gpt2", batch=1) == depth * block + 50_257 * hidden * length


def test_the_language_model_has_the_parameters_of_its_cells() -> None:
    cell = 4 * 8 * (8 + 8 + 1)
    weights = sum(operation.weights for operation in zoo.operations("rnnlm", batch=2, steps=3, hidden=8, words=50))
    assert weights / 4 == 2 * cell + 2 * 50 * 8
    products = 2 * 2 * (8 + 8 + 1) * 32 + 20 * 2 * 8  # batch x inputs x gates, and the gates' own work
    assert multiply_adds("rnnlm", batch=2, steps=3, hidden=8, words=50) == 3 * (2 * products / 2 + 2 * 8 * 50)


def test_cells_wait_for_the_step_before_and_the_layer_below() -> None:
    graph = zoo.build("rnnlm", batch=2, steps=3, hidden=8, words=50)
    edges = {(graph.operators[source], graph.operators[target]) for source, target in graph.edges}
    assert {source for source, target in edges if target == "layer1/step2"} == {
        "layer0/step2",
        "layer1/step1",
        "layer1/weights",
    }
    output = graph.output[graph.operators.index("layer0/step0")]
    assert output == 4 * 2 * 2 * 8  # state and cell


@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_model_in_training(name: str) -> None:
    graph = zoo.build(name, ["V100", "CPU"], precision="float32")
    assert graph.device_kinds == ("V100", "CPU")
    assert len(graph.order) == len(graph)
    assert graph.trains
    assert (graph.forward[1] >= graph.forward[0]).sum() > 0.9 * len(graph)
    ratio = graph.backward[0].sum() / graph.forward[0].sum()
    assert 1.4 < ratio < 2.1
    ends = np.setdiff1d(np.arange(len(graph)), graph.edges[:, 0])
    assert all(graph.operators[end].endswith("loss") for end in ends)


@pytest.mark.parametrize("name", zoo.MODELS)
def test_twice_the_batch_is_twice_the_work_and_the_same_parameters(name: str) -> None:
    one, two = zoo.operations(name, batch=4), zoo.operations(name, batch=8)
    for field in ("flops", "output", "saved"):
        small, large = (math.fsum(getattr(o, field) for o in ops if o.kind != "variable") for ops in (one, two))
        assert large == pytest.approx(2 * small, rel=1e-3)  # of a loss, one value
    assert sum(o.weights for o in one) == sum(o.weights for o in two)


def test_half_precision_is_half_the_bytes() -> None:
    half, full = (zoo.build("resnet50", precision=precision) for precision in ("float16", "float32"))
    assert half.weights.sum() * 2 == full.weights.sum()
    assert half.output.sum() * 2 == full.output.sum()
    assert half.forward.sum() < full.forward.sum()


def test_inference_has_no_backward_pass() -> None:
    assert not zoo.build("bert", training=False).trains


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alexnet", {}, "model 'alexnet': expected one of resnet50, inception_v3, rnnlm, nmt, bert, gpt2"),
        (
            "rnnlm",
            {"layers": 3},
            "model rnnlm: option 'layers' is not one of it (it takes: batch, steps, depth, hidden, ",
        ),
        ("rnnlm", {"batch": 0}, "model rnnlm: batch: expected a whole number of at least 1, found 0"),
        ("rnnlm", {"batch": 1.5}, "model rnnlm: batch: expected a whole number of at least 1, found 1.5"),
        ("inception_v3", {"auxiliary": 1}, "model inception_v3: auxiliary: expected true or false, found 1"),
        ("inception_v3", {"image": 30}, "b/3x3/conv: expected a larger image: 3 values a side here, found 1"),
        ("bert", {"heads": 7}, "block0/attention: expected heads that divide the hidden size 768, found 7"),
        ("bert", {"precision": "int8"}, "precision 'int8': expected one of float32, tfloat32, float16, bfloat16"),
        ("bert", {"device_kinds": ["TPU"]}, "device 'TPU': expected one of K80, P100, V100, A100, H100, CPU"),
    ],
)
def test_what_cannot_be_built(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        zoo.build(name, **options)
    assert str(caught.value).startswith(message)

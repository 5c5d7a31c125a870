"""ONNX graphs give what formulas and networks give, on one machine of arithmetic and on the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.learning.bundling.graph import formula_graph, network_graph
from hpcai.learning.bundling.source import _by_formula, variables_of
from hpcai.live.manifest import OPSET
from hpcai.scheduling.formula import parse_formula
from hpcai.scheduling.orderings import ORDERINGS, parse_ordering
from hpcai.scheduling.outlook import VARIABLES
from tests.learning.conftest import JOB_FEATURES, MACHINE_FEATURES
from tests.learning.test_export import AGENTS, SLOTS, agent_and_network, observe

OPERATIONS = [
    "log2(size) + log10(size)",
    "-wait ** 3 % 7",
    "size % -3",
    "where(size > 3, floor(size / 2), ceil(size / 3))",
    "min(size, wait, 3)",
    "max(size, 2)",
    "abs(-size) != 3",
    "(size == 4) + (size <= 2) + (size < 2) + (size >= 2)",
    "tanh(size) * exp(-size)",
    "sqrt(size - 2)",
    "log(size - 2)",
    "1 if size else 2",
    "3",
    "fairshare * usage",
    "now - submit",
    "1 / (size - 3)",
]


def run(graph: bytes, **inputs):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def same_priorities(formula, seed: int = 0, jobs: int = 40) -> None:
    names = variables_of(formula)
    rng = np.random.default_rng(seed)
    variables = rng.integers(0, 7, (len(names), jobs)).astype(float)
    for name in ("usage", "fairshare"):
        if name in names:
            variables[names.index(name)] = rng.uniform(0.1, 1, jobs)
    if "now" in names:
        variables[names.index("now")] = 100.0
    ours = _by_formula(formula, names)({"variables": variables})
    theirs = run(formula_graph(formula, names), variables=variables)
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("text", OPERATIONS)
def test_every_operation(text):
    same_priorities(parse_formula(text))


@pytest.mark.parametrize("name", ORDERINGS)
def test_every_ordering(name):
    same_priorities(parse_ordering(name, {}))


LEAVES = st.sampled_from(["size", "wait", "requested_time", "submit", "2.5", "-1", "0"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "<", ">="]), inner).map(lambda t: f"({' '.join(t)})"),
        st.tuples(st.sampled_from(["sqrt", "abs", "tanh", "floor"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"where({', '.join(t)})"),
        st.tuples(inner, inner).map(lambda t: f"max({', '.join(t)})"),
    ),
    max_leaves=8,
)


@given(TREES)
def test_any_formula(text):
    same_priorities(parse_formula(text), jobs=8)


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize(("algo", "kind"), AGENTS)
def test_every_network(shortest_first, algo, kind, defer):
    _, network = agent_and_network(shortest_first, algo, kind, defer)
    meta = {"job_features": tuple(map(str, range(JOB_FEATURES))), "machine_features": ("a",) * MACHINE_FEATURES}
    network = replace(network, meta=network.meta.model_copy(update=meta))
    graph = network_graph(network)
    (opset,) = onnx.load_from_string(graph).opset_import
    assert (opset.domain, opset.version) == ("", OPSET)
    observations, present = observe(20)
    for jobs, machine, here in zip(observations["jobs"], observations["machine"], present, strict=True):
        ours = network.scores(jobs, machine)
        given = jobs if kind == "mlp" else jobs[here]
        theirs = run(graph, jobs=given, machine=machine)
        counted = ours if kind == "mlp" else ours[np.append(here, [True] * defer).astype(bool)]
        np.testing.assert_allclose(theirs, counted, rtol=1e-5, atol=1e-5)
    assert len(here) == SLOTS


def test_variables_are_named_in_one_order():
    assert variables_of(parse_formula("wait * size")) == ["size", "wait"]
    assert variables_of(parse_formula("1")) == ["submit"]
    assert next(iter(VARIABLES)) == "submit"

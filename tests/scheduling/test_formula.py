"""The formula language: right on every operator, closed to everything else."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.scheduling.formula import SIZE, STATIC_VARIABLES, evaluate, evaluate_static, parse_formula

ROW = {name: i for i, name in enumerate(STATIC_VARIABLES)}


def value(text: str, **variables: float) -> float:
    """The formula's value for one job."""
    features = np.zeros((len(STATIC_VARIABLES), 1))
    for name, given_value in variables.items():
        features[ROW[name], 0] = given_value
    return float(evaluate_static(parse_formula(text), features)[0])


def close(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-300)


numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
positive = st.floats(1e-6, 1e6)

UNARY = {
    "-size": (numbers, lambda a: -a),
    "+size": (numbers, lambda a: a),
    "log(size)": (positive, math.log),
    "log2(size)": (positive, math.log2),
    "log10(size)": (positive, math.log10),
    "sqrt(size)": (positive, math.sqrt),
    "exp(size)": (st.floats(-700, 700), math.exp),
    "abs(size)": (numbers, abs),
    "floor(size)": (numbers, math.floor),
    "ceil(size)": (numbers, math.ceil),
    "tanh(size)": (numbers, math.tanh),
}
BINARY = {
    "size + nodes": lambda a, b: a + b,
    "size - nodes": lambda a, b: a - b,
    "size * nodes": lambda a, b: a * b,
    "min(size, nodes)": min,
    "max(size, nodes)": max,
    "max(size, nodes, 7)": lambda a, b: max(a, b, 7),
    "min(size, nodes, 7, 5)": lambda a, b: min(a, b, 7, 5),
    "size < nodes": lambda a, b: a < b,
    "size <= nodes": lambda a, b: a <= b,
    "size > nodes": lambda a, b: a > b,
    "size >= nodes": lambda a, b: a >= b,
    "size == nodes": lambda a, b: a == b,
    "size != nodes": lambda a, b: a != b,
    "1 if size < nodes else 2": lambda a, b: 1 if a < b else 2,
    "where(size < nodes, nodes, -size)": lambda a, b: b if a < b else -a,
}


@pytest.mark.parametrize("text", UNARY)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_unary(text, data):
    domain, meaning = UNARY[text]
    a = data.draw(domain)
    assert close(value(text, size=a), float(meaning(a)))


@pytest.mark.parametrize("text", BINARY)
@settings(deadline=None, max_examples=50)
@given(a=numbers, b=st.one_of(numbers, st.integers(-3, 3).map(float)), same=st.booleans())
def test_binary(text, a, b, same):
    b = a if same else b
    assert close(value(text, size=a, nodes=b), float(BINARY[text](a, b)))


@settings(deadline=None, max_examples=50)
@given(a=numbers, b=positive | positive.map(lambda b: -b))
def test_division_and_remainder(a, b):
    assert close(value("size / nodes", size=a, nodes=b), a / b)
    assert close(value("size % nodes", size=a, nodes=b), a % b)


@settings(deadline=None, max_examples=50)
@given(a=positive, b=st.floats(-20, 20))
def test_power(a, b):
    assert close(value("size ** nodes", size=a, nodes=b), a**b)


# Random formulas are compared with what Python makes of the same text.
leaves = st.sampled_from(["size", "nodes", "gpus", "1", "2.5", "0.125"])
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"-{t}"),
        inner.map(lambda t: f"abs({t})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} > 0 else {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
        st.tuples(inner, st.sampled_from(["<", ">=", "=="]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(text=formulas, size=st.integers(-9, 9), nodes=st.integers(-9, 9), gpus=st.integers(-9, 9))
def test_precedence_and_nesting_are_those_of_python(text, size, nodes, gpus):
    names = {"size": float(size), "nodes": float(nodes), "gpus": float(gpus)}
    expected = float(eval(text, {"abs": abs, "max": max}, dict(names)))
    assert close(value(text, **names), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("7 - 2 - 1", 4),
        ("12 / 3 / 2", 2),
        ("2 + 3 * 4 % 5", 4),
        ("True + True", 2),
        ("1e3", 1000),
        ("9 ** 9 ** 9", math.inf),  # numbers are floats: no time is spent on a huge integer
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("0 / 0", math.inf),  # not a number: last
        ("log(0)", -math.inf),
        ("log(-1)", math.inf),
        ("(-8) ** (1 / 3)", math.inf),
        ("sqrt(-1)", math.inf),
        ("7 % 0", math.inf),
        ("  \n size ", 3),
    ],
)
def test_values(text, expected):
    assert value(text, size=3) == expected


def test_what_is_not_a_number_sorts_last():
    features = np.zeros((len(STATIC_VARIABLES), 4))
    features[ROW["size"]] = [0, -1, 4, np.nan]
    got = evaluate_static(parse_formula("log2(size)"), features)
    assert got.tolist() == [-math.inf, math.inf, 2, math.inf]


def test_two_formulas_in_one_program_keep_their_values():
    first, second = parse_formula("2 * size + 3"), parse_formula("tanh(size / 7) + 5")
    both = first.followed_by(second)
    steps = len(first.program)
    features = np.zeros((len(STATIC_VARIABLES), 1))
    features[SIZE] = 4.0
    for program, alone in ((both.program[:steps], first), (both.program[steps:], second)):
        part = dataclasses.replace(both, program=program)
        assert evaluate_static(part, features).tolist() == evaluate_static(alone, features).tolist()


def test_each_job_has_its_own_value():
    rng = np.random.default_rng(0)
    features = rng.random((len(STATIC_VARIABLES), 1000))
    got = evaluate_static(parse_formula("size * submit - where(gpus < nodes, memory, 3)"), features)
    f = {name: features[i] for name, i in ROW.items()}
    assert np.array_equal(got, f["size"] * f["submit"] - np.where(f["gpus"] < f["nodes"], f["memory"], 3))


def test_time_dependent_variables():
    """Two waiting jobs, rows 2 and 0 of the trace, at time 100."""
    submit = np.array([10.0, 20.0, 40.0])
    usage = np.array([[0.25, 0.5], [1.0, 2.0]])
    features = np.arange(3.0 * len(STATIC_VARIABLES)).reshape(-1, 3)
    for text, expected in {
        "now": [100, 100],
        "wait": [60, 90],
        "usage": [0.25, 0.5],
        "fairshare": [0.5, 0.25],
        "submit": [features[0, 2], features[0, 0]],
        "wait * 2 + usage": [120.25, 180.5],
    }.items():
        formula = parse_formula(text)
        stack = np.empty((formula.depth, 3))
        evaluate(formula.program, formula.constants, features, np.array([2, 0]), 2, 100.0, submit, usage, stack)
        assert stack[0, :2].tolist() == expected, text


@pytest.mark.parametrize(
    ("text", "dynamic", "usage"),
    [
        ("submit", False, False),
        ("requested_time * size", False, False),
        ("now", True, False),
        ("-wait", True, False),
        ("where(size > 1, 0, wait)", True, False),
        ("usage", True, True),
        ("1 - fairshare", True, True),
    ],
)
def test_what_changes_with_time_is_known(text, dynamic, usage):
    formula = parse_formula(text)
    assert (formula.dynamic, formula.needs_usage) == (dynamic, usage)


def test_parameters_stand_for_their_values():
    features = np.ones((len(STATIC_VARIABLES), 1))
    formula = parse_formula("weight * size + wait", {"weight": 2.5, "wait": 1.0})
    assert evaluate_static(formula, features).tolist() == [3.5]
    assert not formula.dynamic  # a parameter goes before a variable of its name
    with pytest.raises(InputError, match=r"unknown name 'weigth'; expected one of submit, .*, fairshare, weight"):
        parse_formula("weigth", {"weight": 1.0})


REFUSED = [
    "",
    "   ",
    "size +",
    "size size",
    "(size",
    "size; nodes",
    "size = 1",
    "x",
    "__import__('os').system('true')",
    "__builtins__",
    "size.real",
    "size.__class__.__mro__",
    "().__class__",
    "lambda: size",
    "(lambda: 1)()",
    "(size := 3)",
    "[size]",
    "{size}",
    "{size: 1}",
    "(size, nodes)",
    "[s for s in (1, 2)]",
    "size[0]",
    "'text'",
    "f'{size}'",
    "b'1'",
    "1j",
    "None",
    "...",
    "not size",
    "size and nodes",
    "size or nodes",
    "~size",
    "size // nodes",
    "size << 2",
    "size @ nodes",
    "size & 1",
    "1 < size < 3",
    "size in nodes",
    "size is nodes",
    "eval('1')",
    "open('x')",
    "pow(size, 2)",
    "neg(size)",
    "log()",
    "log(size, 2)",
    "min(size)",
    "max()",
    "max(*nodes)",
    "log(x=1)",
    "min(1, 2, **nodes)",
    "where(size, 1)",
    "where(1, 2, 3, 4)",
    "await size",
    "yield",
    "size if nodes",
    "import os",
    "size\nnodes",
    "1" + "0" * 400,
    "9" * 5000,
    "(" * 300 + "1" + ")" * 300,
    "-" * 100_000 + "1",
    "+".join(["size"] * 100_000),
    "\x00",
    "size \ud800",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:30]))
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_refused_in_one_line(text):
    with pytest.raises(InputError) as raised:
        parse_formula(text)
    message = str(raised.value)
    assert message.startswith("formula ")
    assert "\n" not in message


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30) | st.text("size()+-*/%<>=!.,1e'\"\\:[]{} \n", max_size=30))
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_a_formula_or_an_input_error(text):
    try:
        formula = parse_formula(text)
    except InputError:
        return
    assert evaluate_static(formula, np.ones((len(STATIC_VARIABLES), 2))).shape == (2,)


def test_a_deep_formula_has_room():
    text = "1" + "".join(f" + (size * {k}" for k in range(60)) + ")" * 60
    assert value(text, size=1) == eval(text, {"size": 1})

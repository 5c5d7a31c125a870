from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.scheduling.formula import (
    DYNAMIC_VARIABLES,
    STATIC_VARIABLES,
    Formula,
    evaluate,
    evaluate_static,
    parse_formula,
)

STATIC = list(STATIC_VARIABLES)
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
moderate = settings(max_examples=60, deadline=None)


def value(text: str, parameters: dict[str, float] | None = None, **variables: float) -> float:
    """The value of a formula for one job with these static variables, 0 the others."""
    features = np.zeros((len(STATIC), 1))
    for name, number in variables.items():
        features[STATIC.index(name), 0] = number
    return float(evaluate_static(parse_formula(text, parameters), features)[0])


def value_at(formula: Formula, now: float, submit: list[float], share: list[float], over: list[float]) -> list[float]:
    """The value of a time-dependent formula for some jobs, all static variables 0 but the row as size."""
    n = len(submit)
    features = np.zeros((len(STATIC), n))
    features[STATIC.index("size")] = np.arange(n)
    stack = np.empty((formula.depth, n))
    rows, usage = np.arange(n), np.array([share, over])
    evaluate(formula.program, formula.constants, features, rows, n, now, np.array(submit), usage, stack)
    return stack[0].tolist()


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-300)


BINARY: dict[str, Callable[[float, float], float]] = {
    "size + submit": operator.add,
    "size - submit": operator.sub,
    "size * submit": operator.mul,
    "size / submit": operator.truediv,
    "size % submit": operator.mod,
    "size < submit": operator.lt,
    "size <= submit": operator.le,
    "size > submit": operator.gt,
    "size >= submit": operator.ge,
    "size == submit": operator.eq,
    "size != submit": operator.ne,
    "min(size, submit)": min,
    "max(size, submit)": max,
}
UNARY: dict[str, Callable[[float], float]] = {
    "-size": operator.neg,
    "+size": operator.pos,
    "abs(size)": abs,
    "floor(size)": math.floor,
    "ceil(size)": math.ceil,
}
OF_POSITIVE: dict[str, Callable[[float], float]] = {
    "log(size)": math.log,
    "log2(size)": math.log2,
    "log10(size)": math.log10,
    "sqrt(size)": math.sqrt,
}


@pytest.mark.parametrize("text", BINARY)
@given(a=numbers, b=numbers, equal=st.booleans())
@moderate
def test_binary_operators(text: str, a: float, b: float, equal: bool) -> None:
    b = a if equal else b
    assume(b != 0.0 or not any(symbol in text for symbol in "/%"))
    assert close(value(text, size=a, submit=b), float(BINARY[text](a, b)))


@pytest.mark.parametrize("text", UNARY)
@given(a=numbers)
@moderate
def test_unary_operators(text: str, a: float) -> None:
    assert value(text, size=a) == float(UNARY[text](a))


@pytest.mark.parametrize("text", OF_POSITIVE)
@given(a=st.floats(1e-9, 1e12))
@moderate
def test_functions_of_positive_numbers(text: str, a: float) -> None:
    assert math.isclose(value(text, size=a), OF_POSITIVE[text](a), rel_tol=1e-12, abs_tol=1e-15)


@given(a=st.floats(-700, 700))
@moderate
def test_exp(a: float) -> None:
    assert math.isclose(value("exp(size)", size=a), math.exp(a), rel_tol=1e-12)


@given(a=st.floats(1e-3, 1e3), b=st.floats(-20, 20))
@moderate
def test_power(a: float, b: float) -> None:
    assert math.isclose(value("size ** submit", size=a, submit=b), a**b, rel_tol=1e-12)


@pytest.mark.parametrize(("base", "exponent"), [(-2.0, 3.0), (-2.0, 2.0), (0.0, 0.0), (-1.5, -3.0)])
def test_power_of_numbers_that_are_not_positive(base: float, exponent: float) -> None:
    assert value("size ** submit", size=base, submit=exponent) == base**exponent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqrt(-1)", math.inf),  # not a number: last in order
        ("log(-1)", math.inf),
        ("0 / 0", math.inf),
        ("0 % 0", math.inf),
        ("(-8) ** 0.5", math.inf),
        ("1e999 - 1e999", math.inf),
        ("-sqrt(-1)", math.inf),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),  # a number, and first in order
        ("log(0)", -math.inf),
        ("exp(1000)", math.inf),
        ("1 / (1 / 0)", 0.0),
    ],
)
def test_what_has_no_finite_value(text: str, expected: float) -> None:
    assert value(text) == expected


def test_only_the_job_without_a_number_is_put_last() -> None:
    features = np.zeros((len(STATIC), 4))
    features[STATIC.index("size")] = [4.0, -1.0, 9.0, -math.inf]
    assert evaluate_static(parse_formula("sqrt(size)"), features).tolist() == [2.0, math.inf, 3.0, math.inf]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("64 / 4 / 2", 8),
        ("2 * 7 % 4", 2),
        ("2 + 7 % 4", 5),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("(-2) ** 2", 4),
        ("2 ** -1", 0.5),
        ("2 * 3 ** 2", 18),
        ("--3", 3),
        ("- -3 + +4", 7),
        ("1 + 1 < 3", 1),
        ("1 + (1 < 3)", 2),
        ("(1 < 2) + (2 >= 2) + (3 == 4)", 2),
        ("1 if 0 else 2 + 3", 5),
        ("(1 if 0 else 2) + 3", 5),
        ("(1 if 1 else 2) + 3", 4),
        ("1 if 1 else 2 + 3", 1),
        ("1 if 0 else 2 if 0 else 3", 3),
        ("-7 % 3", 2),
        ("7 % -3", -2),
        ("True + 1", 2),
        ("1_000 + 0x10", 1016),
        ("  1e3\n", 1000),
    ],
)
def test_precedence(text: str, expected: float) -> None:
    assert value(text) == expected


def expressions() -> st.SearchStrategy[str]:
    """Formulas whose operations are exact in the same way in Python, with as few parentheses as may be."""
    leaves = st.sampled_from(["size", "submit", "requested_time", "weight", "0", "1", "2", "3.5", "0.25"])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        several = st.lists(inner, min_size=2, max_size=4).map(", ".join)
        return st.one_of(
            st.builds("{} {} {}".format, inner, st.sampled_from("+-*/%"), inner),
            st.builds("({}) {} ({})".format, inner, st.sampled_from("+-*/%"), inner),
            st.builds("(({}) {} ({}))".format, inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner),
            st.builds("({} if {} else {})".format, inner, inner, inner),
            st.builds("where({}, {}, {})".format, inner, inner, inner),
            st.builds("-{}".format, inner),
            st.builds("{}({})".format, st.sampled_from(["abs", "floor", "ceil"]), inner),
            st.builds("{}({})".format, st.sampled_from(["min", "max"]), several),
        )

    return st.recursive(leaves, grow, max_leaves=12)


@given(
    text=expressions(),
    variables=st.fixed_dictionaries({name: st.floats(-9, 9) for name in ("size", "submit", "requested_time")}),
    weight=st.integers(-3, 3).map(float),
)
@settings(max_examples=300, deadline=None)
def test_a_formula_means_what_python_would_make_of_it(text: str, variables: dict[str, float], weight: float) -> None:
    functions = {
        "abs": abs,
        "floor": math.floor,
        "ceil": math.ceil,
        "min": min,
        "max": max,
        "where": lambda c, a, b: a if c else b,
    }
    try:
        expected = float(eval(text, {"__builtins__": {}, **functions, **variables, "weight": weight}))
    except (ZeroDivisionError, OverflowError):
        expected = math.nan
    assume(math.isfinite(expected))
    assert close(value(text, {"weight": weight}, **variables), expected)


@given(items=st.lists(numbers, min_size=2, max_size=7))
@moderate
def test_smallest_and_largest_of_several(items: list[float]) -> None:
    text = ", ".join(repr(item) for item in items)
    assert value(f"min({text})") == min(items)
    assert value(f"max({text})") == max(items)


@given(condition=st.sampled_from([-1.0, -0.0, 0.0, 1e-300, 2.0]), a=numbers, b=numbers)
@moderate
def test_both_ways_to_choose(condition: float, a: float, b: float) -> None:
    expected = a if condition else b
    assert value("size if submit else memory", size=a, submit=condition, memory=b) == expected
    assert value("where(submit, size, memory)", size=a, submit=condition, memory=b) == expected


def test_the_side_not_chosen_may_have_no_value() -> None:
    assert value("where(size > 1, log(size), 0)", size=-1.0) == 0.0
    assert value("7 if size > 1 else sqrt(-1)", size=2.0) == 7.0


@pytest.mark.parametrize("name", STATIC)
def test_each_static_variable_reads_its_own_row(name: str) -> None:
    features = np.arange(3.0 * len(STATIC)).reshape(len(STATIC), 3)
    formula = parse_formula(name)
    assert evaluate_static(formula, features).tolist() == features[STATIC.index(name)].tolist()
    assert not formula.dynamic
    assert not formula.needs_usage


def test_values_of_chosen_rows_in_their_order() -> None:
    features = np.zeros((len(STATIC), 4))
    features[STATIC.index("size")] = [10.0, 20.0, 30.0, 40.0]
    formula = parse_formula("size - wait")
    stack = np.full((formula.depth, 4), -5.0)
    rows = np.array([3, 0, 2, 1])
    submit = np.array([1.0, 2.0, 3.0, 4.0])
    evaluate(formula.program, formula.constants, features, rows, 2, 6.0, submit, np.zeros((2, 0)), stack)
    assert stack[0].tolist() == [38.0, 5.0, -5.0, -5.0]  # beyond the two asked for nothing is written


def test_no_jobs() -> None:
    assert evaluate_static(parse_formula("size + 1"), np.zeros((len(STATIC), 0))).tolist() == []


@given(
    now=st.floats(0, 1e7),
    jobs=st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1), st.floats(0, 8)), min_size=1, max_size=5),
)
@moderate
def test_time_dependent_variables(now: float, jobs: list[tuple[float, float, float]]) -> None:
    submit, share, over = ([job[c] for job in jobs] for c in range(3))
    expected = {
        "now": [now] * len(jobs),
        "wait": [now - time for time in submit],
        "usage": share,
        "fairshare": [2.0**-ratio for ratio in over],
    }
    assert set(expected) == set(DYNAMIC_VARIABLES)
    for name, values in expected.items():
        got = value_at(parse_formula(name), now, submit, share, over)
        assert all(close(a, b) for a, b in zip(got, values, strict=True)), name
    got = value_at(parse_formula("2 * wait - size * now"), now, submit, share, over)
    assert got == [2 * (now - time) - row * now for row, time in enumerate(submit)]


@pytest.mark.parametrize(
    ("text", "dynamic", "needs_usage"),
    [
        ("submit + size", False, False),
        ("3", False, False),
        ("now", True, False),
        ("size * 2 - wait / 3", True, False),
        ("where(1, size, wait)", True, False),
        ("usage", True, True),
        ("size if size > 1 else fairshare", True, True),
        ("wait + usage", True, True),
    ],
)
def test_what_changes_while_a_job_waits_is_noticed(text: str, dynamic: bool, needs_usage: bool) -> None:
    formula = parse_formula(text)
    assert (formula.dynamic, formula.needs_usage) == (dynamic, needs_usage)


def test_parameters_stand_for_their_values() -> None:
    assert value("a * size + b ** a", {"a": 2.0, "b": -3.0}, size=5.0) == 19.0
    assert value("a", {"a": math.inf}) == math.inf


def test_a_parameter_hides_a_variable_of_its_name() -> None:
    formula = parse_formula("wait + size", {"wait": 40.0})
    assert not formula.dynamic
    assert value("wait + size", {"wait": 40.0}, size=2.0) == 42.0


@pytest.mark.parametrize(
    "text",
    [
        "submit.real",
        "submit.__class__",
        "(1).__class__.__bases__",
        "__import__('os')",
        "__import__(1)",
        "open(1)",
        "eval(1)",
        "print(size)",
        "neg(1)",
        "size(1)",
        "math.log(1)",
        "log(1)(2)",
        "(lambda: 1)()",
        "lambda x: x",
        "'text'",
        "size == 'text'",
        "b'text'",
        "f'{size}'",
        "(y := 3)",
        "y := 3",
        "y = 3",
        "size[0]",
        "size[0:1]",
        "1 < size < 3",
        "1 == 1 == 1",
        "[size for size in (1, 2)]",
        "[1, 2]",
        "(1, 2)",
        "{1: 2}",
        "{1}",
        "min(i for i in (1, 2))",
        "min(*(1, 2))",
        "min(1, 2, key=3)",
        "log(x=1)",
        "where(c=1, a=2, b=3)",
        "min(1, **size)",
        "1j",
        "size + 2j",
        "None",
        "...",
        "not size",
        "~size",
        "size and 1",
        "size or 1",
        "7 // 2",
        "1 << 2",
        "1 & 2",
        "1 | 2",
        "1 ^ 2",
        "size @ size",
        "1 is 1",
        "1 in 2",
        "await size",
        "yield size",
        "import os",
        "size; 1",
        "size\nsubmit",
    ],
)
def test_nothing_else_of_python_is_understood(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_formula(text)
    message = str(caught.value)
    assert message.startswith(f"formula {text!r}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sise + 1", "unknown name 'sise'"),
        ("nan", "unknown name 'nan'"),
        ("weight * size", "unknown name 'weight'"),
        ("log()", "unknown function 'log' of 0 argument"),
        ("log(1, 2)", "unknown function 'log' of 2 argument"),
        ("min(1)", "unknown function 'min' of 1 argument"),
        ("max()", "unknown function 'max' of 0 argument"),
        ("where(1, 2)", "unknown function 'where' of 2 argument"),
        ("where(1, 2, 3, 4)", "unknown function 'where' of 4 argument"),
        ("sin(1)", "unknown function 'sin'"),
        ("", "cannot be read"),
        ("  ", "cannot be read"),
        ("1 +", "cannot be read"),
        ("(1", "cannot be read"),
        ("1 if 2", "cannot be read"),
        ("2 size", "cannot be read"),
        ("1 +\n2", "cannot be read"),
        ("\x00", "cannot be read"),
        ("007", "cannot be read"),
        ("1" + "0" * 400, "cannot be read"),  # an integer beyond a double
        ("-" * 5000 + "1", "cannot be read"),
        ("(" * 5000 + "1", "cannot be read"),
    ],
)
def test_errors_name_the_formula_and_the_problem_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_formula(text)
    message = str(caught.value)
    assert problem in message
    assert message.startswith(f"formula {text!r}: ")
    assert "\n" not in message


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        parse_formula("sise", {"weight": 1.0})
    for name in (*STATIC_VARIABLES, *DYNAMIC_VARIABLES, "weight"):
        assert name in str(caught.value)

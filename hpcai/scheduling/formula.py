"""Formulas over a queue: parsed from text, never run as Python, evaluated on arrays in compiled code.

A formula such as ``-(wait / requested_time) ** 3 * size`` becomes a short postfix program. The program runs
inside the scheduling pass, so a user's formula is as fast as a built-in ordering.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.jit import jit

# What a formula may name. The first are fixed at submission; then come what a predictor says of a waiting job (both
# are rows of State.features); the last change with time.
STATIC_VARIABLES: Final = {
    "submit": "s from the trace's origin",
    "requested_time": "the scheduler's estimate of the run time, s",
    "remaining_time": "estimate less the work already done, s; equals requested_time until jobs can be preempted",
    "size": "processors; on a machine counted by node, its largest share of CPUs, memory or GPUs, in GPUs",
    "size_fraction": "size as a fraction of the machine, 0..1",
    "processors": "CPU cores",
    "gpus": "GPUs, a share counts as a fraction",
    "nodes": "nodes or tasks",
    "memory": "bytes; 0 if unknown",
    "partition_priority": "priority of its partition, 0..1",
    "qos_priority": "priority of its quality of service, 0..1",
}
PREDICTED_VARIABLES: Final = {
    "predicted_time": "predicted run time (its median), s, at most the requested time",
    "predicted_low": "run time that one job of four falls short of, s",
    "predicted_high": "run time that one job of four exceeds, s",
    "predicted_mean": "expected run time, s",
    "slowdown_rate": "expected 1 / max(run time, 10 s), 1/s: what a second of waiting adds to its bounded slowdown",
}
DYNAMIC_VARIABLES: Final = {
    "now": "s from the trace's origin",
    "wait": "now - submit, s",
    "usage": "its account's decayed share of all past and present use, 0..1",
    "fairshare": "2 ** (-usage / share) with equal shares, 0..1 (Slurm's classic fair-share factor)",
}
SUBMIT: Final = list(STATIC_VARIABLES).index("submit")  # rows of State.features
REQUESTED_TIME: Final = list(STATIC_VARIABLES).index("requested_time")
REMAINING_TIME: Final = list(STATIC_VARIABLES).index("remaining_time")
SIZE: Final = list(STATIC_VARIABLES).index("size")
FIRST_PREDICTED: Final = len(STATIC_VARIABLES)
_VARIABLES: Final = (*STATIC_VARIABLES, *PREDICTED_VARIABLES, *DYNAMIC_VARIABLES)
_FIRST_DYNAMIC: Final = FIRST_PREDICTED + len(PREDICTED_VARIABLES)
_NOW: Final = _FIRST_DYNAMIC
_WAIT: Final = _FIRST_DYNAMIC + 1
_USAGE: Final = _FIRST_DYNAMIC + 2

# Operations of the postfix program. CONSTANT and VARIABLE push; the others replace their operands.
_CONSTANT, _VARIABLE = 0, 1
_UNARY: Final = {
    "neg": 2,
    "log": 3,
    "log2": 4,
    "log10": 5,
    "sqrt": 6,
    "exp": 7,
    "abs": 8,
    "floor": 9,
    "ceil": 10,
    "tanh": 11,
}
_BINARY: Final = {
    "+": 20, "-": 21, "*": 22, "/": 23, "**": 24, "%": 25, "min": 26, "max": 27,
    "<": 28, "<=": 29, ">": 30, ">=": 31, "==": 32, "!=": 33,
}  # fmt: skip
_WHERE: Final = 40

_OPERATORS: Final[dict[type[ast.AST], str]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Mod: "%",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


@dataclass(frozen=True)
class Formula:
    """A parsed formula."""

    text: str
    program: NDArray[np.int64]  # (operations, 2): operation, index of the constant or variable
    constants: NDArray[np.float64]
    depth: int  # of the stack that the program needs
    dynamic: bool  # changes while a job waits
    needs_usage: bool
    needs_prediction: bool

    def followed_by(self, other: Formula) -> Formula:
        """Return the programs of both, one behind the other, to be run apart."""
        moved = other.program.copy()
        moved[moved[:, 0] == _CONSTANT, 1] += len(self.constants)
        return Formula(
            text=f"{self.text}; {other.text}",
            program=np.concatenate((self.program, moved)),
            constants=np.concatenate((self.constants, other.constants)),
            depth=max(self.depth, other.depth),
            dynamic=self.dynamic or other.dynamic,
            needs_usage=self.needs_usage or other.needs_usage,
            needs_prediction=self.needs_prediction or other.needs_prediction,
        )


class _Compiler:
    """Turns the syntax tree of one formula into a postfix program."""

    def __init__(self, text: str, parameters: dict[str, float]) -> None:
        self.text = text
        self.parameters = parameters
        self.program: list[tuple[int, int]] = []
        self.constants: list[float] = []
        self.height = 0
        self.depth = 0

    def fail(self, problem: str) -> InputError:
        return InputError(f"formula {self.text!r}: {problem}")

    def push(self, operation: int, index: int) -> None:
        self.program.append((operation, index))
        self.height += 1
        self.depth = max(self.depth, self.height)

    def apply(self, operation: int, operands: int) -> None:
        self.program.append((operation, 0))
        self.height -= operands - 1

    def constant(self, value: float) -> None:
        self.constants.append(value)
        self.push(_CONSTANT, len(self.constants) - 1)

    def visit(self, node: ast.AST) -> None:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                self.constant(float(value))
            case ast.Name(id=name):
                self.name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self.visit(operand)
                self.apply(_UNARY["neg"], 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                self.visit(operand)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                self.binary(_OPERATORS[type(operator)], left, right)
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _OPERATORS:
                self.binary(_OPERATORS[type(operator)], left, right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.where(test, body, orelse)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                self.call(name, arguments)
            case _:
                raise self.fail(f"{ast.unparse(node)!r} is not part of the formula language")

    def binary(self, symbol: str, left: ast.AST, right: ast.AST) -> None:
        self.visit(left)
        self.visit(right)
        self.apply(_BINARY[symbol], 2)

    def where(self, test: ast.AST, body: ast.AST, orelse: ast.AST) -> None:
        for part in (test, body, orelse):
            self.visit(part)
        self.apply(_WHERE, 3)

    def name(self, name: str) -> None:
        if name in self.parameters:
            self.constant(self.parameters[name])
        elif name in _VARIABLES:
            self.push(_VARIABLE, _VARIABLES.index(name))
        else:
            known = ", ".join((*_VARIABLES, *self.parameters))
            raise self.fail(f"unknown name {name!r}; expected one of {known}")

    def call(self, name: str, arguments: list[ast.expr]) -> None:
        if name in _UNARY and name != "neg" and len(arguments) == 1:
            self.visit(arguments[0])
            self.apply(_UNARY[name], 1)
        elif name in ("min", "max") and len(arguments) >= 2:
            self.visit(arguments[0])
            for argument in arguments[1:]:
                self.visit(argument)
                self.apply(_BINARY[name], 2)
        elif name == "where" and len(arguments) == 3:
            self.where(*arguments)
        else:
            raise self.fail(f"unknown function {name!r} of {len(arguments)} argument(s)")


def parse_formula(text: str, parameters: dict[str, float] | None = None) -> Formula:
    """Return the formula that ``text`` says; names in ``parameters`` stand for their values.

    The language: numbers, the variables above, ``+ - * / ** %``, comparisons (1 or 0), ``a if c else b``,
    ``where(c, a, b)``, ``min``, ``max``, ``log``, ``log2``, ``log10``, ``sqrt``, ``exp``, ``abs``, ``floor``,
    ``ceil``, ``tanh``. Raises InputError on anything else.
    """
    compiler = _Compiler(text, parameters or {})
    try:
        compiler.visit(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise compiler.fail(f"cannot be read: {error}") from error
    variables = {index for operation, index in compiler.program if operation == _VARIABLE}
    return Formula(
        text=text,
        program=np.array(compiler.program, dtype=np.int64),
        constants=np.array(compiler.constants or [0.0]),
        depth=compiler.depth,
        dynamic=any(index >= _FIRST_DYNAMIC for index in variables),
        needs_usage=any(index >= _USAGE for index in variables),
        needs_prediction=any(FIRST_PREDICTED <= index < _FIRST_DYNAMIC for index in variables),
    )


def operations(formula: Formula) -> list[tuple[str, float]]:
    """Return the postfix program in words: ('constant', value), ('variable', index), or an operation's name and 0.

    An index counts the variables of STATIC_VARIABLES, PREDICTED_VARIABLES and DYNAMIC_VARIABLES, one after another.
    """
    names = {number: name for name, number in {**_UNARY, **_BINARY, "where": _WHERE}.items()}
    words = {_CONSTANT: "constant", _VARIABLE: "variable"}
    return [
        (words.get(operation) or names[operation], formula.constants[index] if operation == _CONSTANT else index)
        for operation, index in formula.program.tolist()
    ]


def evaluate_static(formula: Formula, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the formula's value for every job; ``features`` has a row for each variable but the dynamic, (v, n)."""
    n = features.shape[1]
    stack = np.empty((formula.depth, max(n, 1)))
    rows = np.arange(n)
    submit, usage = np.zeros(0), np.zeros((2, 0))
    evaluate(formula.program, formula.constants, features, rows, n, math.nan, submit, usage, stack)
    return stack[0, :n].copy()


@jit
def evaluate(
    program: NDArray[np.int64],
    constants: NDArray[np.float64],
    features: NDArray[np.float64],
    rows: NDArray[np.int64],
    n: int,
    now: float,
    submit: NDArray[np.float64],
    usage: NDArray[np.float64],
    stack: NDArray[np.float64],
) -> None:
    """Leave in ``stack[0, :n]`` the formula's value for the jobs ``rows[:n]`` at time ``now``.

    ``submit`` (all jobs) and ``usage`` (2, n: share of use, and that over an equal share; by position in
    ``rows``) are read only if the formula names a time-dependent variable. A value that is not a number becomes
    +inf: last in order.
    """
    top = -1
    for step in range(program.shape[0]):
        operation, index = program[step, 0], program[step, 1]
        if operation == _CONSTANT:
            top += 1
            stack[top, :n] = constants[index]
        elif operation == _VARIABLE:
            top += 1
            _load(stack[top], index, features, rows, n, now, submit, usage)
        elif operation < 20:
            _apply_unary(operation, stack[top], n)
        elif operation < _WHERE:
            top -= 1
            _apply_binary(operation, stack[top], stack[top + 1], n)
        else:
            top -= 2
            for i in range(n):
                stack[top, i] = stack[top + 1, i] if stack[top, i] != 0.0 else stack[top + 2, i]
    for i in range(n):
        if np.isnan(stack[0, i]):
            stack[0, i] = np.inf


@jit
def _load(
    out: NDArray[np.float64],
    variable: int,
    features: NDArray[np.float64],
    rows: NDArray[np.int64],
    n: int,
    now: float,
    submit: NDArray[np.float64],
    usage: NDArray[np.float64],
) -> None:
    if variable < _FIRST_DYNAMIC:
        for i in range(n):
            out[i] = features[variable, rows[i]]
    elif variable == _NOW:
        out[:n] = now
    elif variable == _WAIT:
        for i in range(n):
            out[i] = now - submit[rows[i]]
    elif variable == _USAGE:
        for i in range(n):
            out[i] = usage[0, i]
    else:
        for i in range(n):
            out[i] = 2.0 ** (-usage[1, i])


@jit
def _apply_unary(operation: int, x: NDArray[np.float64], n: int) -> None:
    for i in range(n):
        if operation == 2:
            x[i] = -x[i]
        elif operation == 3:
            x[i] = np.log(x[i])
        elif operation == 4:
            x[i] = np.log2(x[i])
        elif operation == 5:
            x[i] = np.log10(x[i])
        elif operation == 6:
            x[i] = np.sqrt(x[i])
        elif operation == 7:
            x[i] = np.exp(x[i])
        elif operation == 8:
            x[i] = abs(x[i])
        elif operation == 9:
            x[i] = np.floor(x[i])
        elif operation == 10:
            x[i] = np.ceil(x[i])
        else:
            x[i] = np.tanh(x[i])


@jit
def _apply_binary(operation: int, x: NDArray[np.float64], y: NDArray[np.float64], n: int) -> None:
    for i in range(n):
        if operation == 20:
            x[i] += y[i]
        elif operation == 21:
            x[i] -= y[i]
        elif operation == 22:
            x[i] *= y[i]
        elif operation == 23:
            x[i] /= y[i]
        elif operation == 24:
            x[i] = x[i] ** y[i]
        elif operation == 25:
            x[i] = x[i] % y[i]
        elif operation == 26:
            x[i] = min(x[i], y[i])
        elif operation == 27:
            x[i] = max(x[i], y[i])
        elif operation == 28:
            x[i] = 1.0 if x[i] < y[i] else 0.0
        elif operation == 29:
            x[i] = 1.0 if x[i] <= y[i] else 0.0
        elif operation == 30:
            x[i] = 1.0 if x[i] > y[i] else 0.0
        elif operation == 31:
            x[i] = 1.0 if x[i] >= y[i] else 0.0
        elif operation == 32:
            x[i] = 1.0 if x[i] == y[i] else 0.0
        else:
            x[i] = 1.0 if x[i] != y[i] else 0.0

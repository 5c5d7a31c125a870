"""From the columns that a reader found to the canonical jobs table: dtypes, sanity checks, order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hpcai.cluster.spec import Machine
from hpcai.records.schema import JOB_COLUMNS, BadRows, Column, unknown

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Categories: TypeAlias = "pd.Categorical[str]"  # quoted: generic for type checkers alone

NOT_A_NUMBER: Final = "a field is not a number"
NO_SUBMIT: Final = "no submit time"
NEGATIVE_SUBMIT: Final = "negative submit time"
NEGATIVE_RUN_TIME: Final = "negative run time"
START_BEFORE_SUBMIT: Final = "starts before it is submitted"
END_BEFORE_START: Final = "ends before it starts"
NO_SIZE: Final = "size is not a positive whole number"
TOO_LARGE: Final = "larger than the machine"
REPEATED: Final = "repeated job id"

_LARGEST: Final = 2.0**53  # no count or time beyond this is meant, nor exact in float64


def finish(
    columns: Mapping[str, Any],
    *,
    lines: npt.NDArray[np.int64],
    bad: BadRows,
    problems: Mapping[str, Mask] | None = None,
    machine: Machine | None = None,
    unique: bool = True,
) -> pd.DataFrame:
    """Return the canonical table of the rows that make sense, in order of submission.

    Args:
        columns: column name to values; a column not given is unknown throughout.
        lines: line (or record) number of each row, from 1.
        bad: takes the rows left out, each under the first reason that applies.
        problems: reasons found by the reader, with the rows that they apply to; they come first.
        machine: jobs that it cannot hold even when empty are bad rows.
        unique: whether job ids are told apart by the log, so that a repeated one is a bad row.
    """
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items() if _is_number(name)}
    reasons = dict(problems or {})
    for reason, wrong in _nonsense(numbers, len(lines), machine).items():
        reasons[reason] = reasons[reason] | wrong if reason in reasons else wrong
    good = np.ones(len(lines), dtype=bool)
    for reason, wrong in reasons.items():
        bad.add(reason, lines[good & wrong])
        good &= ~wrong
    rows = np.flatnonzero(good)
    if unique and "job_id" in columns:
        repeated = np.asarray(pd.Index(columns["job_id"][rows]).duplicated(), dtype=bool)
        bad.add(REPEATED, lines[rows[repeated]])
        rows = rows[~repeated]
    submit = numbers["submit"][rows]
    if np.any(submit[1:] < submit[:-1]):
        rows = rows[np.argsort(submit, kind="stable")]
    return canonical(columns, rows)


def canonical(columns: Mapping[str, Any], rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return ``rows`` of ``columns`` with the canonical dtypes, missing columns filled as unknown."""
    return pd.DataFrame({column.name: _canonical_column(column, columns, rows) for column in JOB_COLUMNS})


def _canonical_column(column: Column, columns: Mapping[str, Any], rows: npt.NDArray[np.int64]) -> Any:
    if column.name not in columns:
        return unknown(column, len(rows))
    values = columns[column.name]
    if column.dtype == "int64":
        whole = np.nan_to_num(np.asarray(values, dtype=np.float64)[rows], nan=0.0)
        return np.maximum(whole, 0.0).astype(np.int64)
    if column.dtype == "float64":
        return _tidy(column.name, np.asarray(values, dtype=np.float64)[rows])
    if column.dtype == "str":
        return pd.array(strings(values), dtype="str")[rows]
    names = categories(values)
    return _used(np.asarray(names.codes)[rows], names.categories)


def _used(codes: npt.NDArray[Any], names: pd.Index[str]) -> Categories:
    """Return the categorical of ``names[codes]`` without names that no row has."""
    used = np.bincount(codes, minlength=len(names)) > 0
    new = np.cumsum(used) - 1
    return pd.Categorical.from_codes(new[codes], names[used])


def _tidy(name: str, values: Floats) -> Floats:
    """Return ``values`` where what stands for 'unknown' in some logs is what the canonical table says."""
    if name == "gpus":
        return np.nan_to_num(values, nan=0.0)
    return np.where(values > 0, values, np.nan) if name in ("requested_time", "memory") else values


def rebase(submit: Floats, *others: Floats) -> tuple[float, Floats, tuple[Floats, ...]]:
    """Return the origin, which is the first submission, and all times counted from it."""
    known = submit[np.isfinite(submit)]
    origin = float(known.min()) if len(known) else np.nan
    return origin, submit - origin, tuple(other - origin for other in others)


def _is_number(name: str) -> bool:
    return any(column.name == name and column.dtype in ("int64", "float64") for column in JOB_COLUMNS)


def _nonsense(numbers: Mapping[str, Floats], n: int, machine: Machine | None) -> dict[str, Mask]:
    missing = np.full(n, np.nan)
    submit, start, end, run_time = (numbers.get(name, missing) for name in ("submit", "start", "end", "run_time"))
    sizes = [numbers[name] for name in ("processors", "nodes", "gpus") if name in numbers]
    ran = ~np.isnan(run_time)
    positive = np.any([size > 0 for size in sizes], axis=0) if sizes else np.zeros(n, dtype=bool)
    absurd = np.any([_absurd(name, values) for name, values in numbers.items()], axis=0)
    counts = [numbers[name] for name in ("processors", "requested_processors", "nodes", "pods") if name in numbers]
    broken = np.any([np.floor(count) < count for count in counts], axis=0) if counts else ~positive & False
    broken |= numbers.get("gpus", missing) < 0
    return {
        NOT_A_NUMBER: absurd,
        NO_SUBMIT: np.isnan(submit),
        NEGATIVE_SUBMIT: submit < 0,
        NEGATIVE_RUN_TIME: run_time < 0,
        START_BEFORE_SUBMIT: start < submit,
        END_BEFORE_START: end < start,
        NO_SIZE: (ran & ~positive) | broken,
        TOO_LARGE: _too_large(numbers, n, machine),
    }


def _absurd(name: str, values: Floats) -> Mask:
    never = np.isposinf(values) if name == "checkpoint_interval" else False
    return np.asarray((np.abs(values) > _LARGEST) & ~np.asarray(never))


def _too_large(numbers: Mapping[str, Floats], n: int, machine: Machine | None) -> Mask:
    too_large = np.zeros(n, dtype=bool)
    if machine is None:
        return too_large
    capacity = {"processors": machine.total_cpus}
    if machine.by_node:
        capacity |= {"nodes": machine.total_nodes, "gpus": machine.total_gpus}
    for name, limit in capacity.items():
        if name in numbers:
            too_large |= numbers[name] > limit
    return too_large


def categories(values: Any) -> Categories:
    """Return a categorical of strings; whole numbers become their digits, negative ones (unknown) ''."""
    if isinstance(values, pd.Categorical):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "if":
        codes, distinct = pd.factorize(values, sort=True)
        names = ["" if value < 0 else str(int(value)) for value in distinct]
        return _merged(codes, names)
    codes, distinct = pd.factorize(np.asarray(values, dtype=object), use_na_sentinel=False)
    return _merged(codes, ["" if pd.isna(value) else str(value) for value in distinct])


def _merged(codes: npt.NDArray[np.int64], names: list[str]) -> Categories:
    """Return the categorical of ``names[codes]`` where several codes may have one name; nan (-1) is ''."""
    where = {name: i for i, name in enumerate(sorted({*names, ""}))}
    new = np.array([*(where[name] for name in names), where[""]], dtype=np.int64)
    return pd.Categorical.from_codes(new[codes], pd.Index(list(where), dtype="str"))


def strings(values: Any) -> Any:
    """Return an array of strings; whole numbers become their digits, negative ones and nan (unknown) ''."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "if":
        whole = np.where(np.abs(values) <= _LARGEST, values, -1.0).astype(np.int64)
        return pa.array(whole, mask=whole < 0).cast(pa.string()).fill_null("")
    return values


def statuses(names: Any, meaning: Mapping[Any, str]) -> Categories:
    """Return the canonical status of each of ``names``, the log's own; 'unknown' where it has no meaning."""
    codes, distinct = pd.factorize(np.asarray(names), use_na_sentinel=False)
    return _merged(codes, [meaning.get(value, "unknown") for value in distinct])

"""Tables of delimited text: rows of unequal width are set aside, columns become numbers or dates."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from hpcai.errors import FormatError
from hpcai.records.readers._table import Floats, Mask
from hpcai.records.schema import BadRows

WRONG_WIDTH: Final = "number of fields differs from the header"
UNBALANCED: Final = "unbalanced quotes"

_BLOCK: Final = 1 << 26  # bytes; no line may be longer
_UNKNOWN: Final = frozenset(
    {"", "unknown", "none", "null", "(null)", "nan", "na", "n/a", "nat", "none assigned", "\\n"}
)
_UNIX: Final = re.compile(r"\d{9,11}(\.\d*)?")
_DATE: Final = r"^\d{4}-\d\d-\d\d([T ].*)?$"

T = TypeVar("T")
Repair = Callable[[list[str]], list[str] | None]


class Delimited:
    """A table of text by column name (in lower case), with the line number of each row.

    ``wrong`` marks the rows in which a field asked for as a number or date was not one; ``repaired`` says how
    many rows had another width than the header and were put right.
    """

    def __init__(self, columns: dict[str, pa.Array], lines: npt.NDArray[np.int64], repaired: int = 0) -> None:
        self._columns = columns
        self.lines = lines
        self.repaired = repaired
        self.wrong: Mask = np.zeros(len(lines), dtype=bool)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return len(self.lines)

    def text(self, name: str) -> Any:
        """Return a column as an array of str; '' throughout if there is no such column."""
        if name not in self._columns:
            return pd.array([""] * len(self), dtype="str")
        return pd.array(self._columns[name], dtype="str")

    def known(self, name: str) -> Any:
        """Return a column as text in which words for 'unknown' are ''."""
        return self._by_distinct(name, lambda value: "" if is_unknown(value) else value.strip(), object)

    def number(self, name: str) -> Floats:
        """Return a column as finite numbers, nan where empty or unknown."""
        if name in self._columns and (values := _cast(self._columns[name])) is not None:
            return values
        return self.convert(name, finite)

    def date(self, name: str) -> Floats:
        """Return a column of dates as Unix seconds, nan where unknown; without a zone UTC is taken."""
        codes, distinct = pd.factorize(self.text(name))
        seconds, wrong = unix_seconds(distinct)
        self.wrong |= wrong[codes]
        return seconds[codes]

    def convert(self, name: str, function: Callable[[str], float]) -> Floats:
        """Return ``function`` of each known field, nan for an unknown one; ValueError marks it wrong."""
        return np.asarray(self._by_distinct(name, lambda text: self._try(function, text), float))

    def keep(self, rows: Mask) -> None:
        """Drop all rows but ``rows``."""
        self._columns = {name: column.filter(pa.array(rows)) for name, column in self._columns.items()}
        self.lines, self.wrong = self.lines[rows], self.wrong[rows]

    @staticmethod
    def _try(function: Callable[[str], float], text: str) -> float:
        if is_unknown(text):
            return math.nan
        try:
            return function(text.strip())
        except (ValueError, OverflowError):
            return math.inf

    def each(self, name: str, function: Callable[[str], T]) -> list[T]:
        """Return ``function`` of each field of a column; it is called once for like fields."""
        codes, distinct = pd.factorize(self.text(name))
        results = [function(value) for value in distinct.to_numpy()]
        return [results[code] for code in codes.tolist()]

    def _by_distinct(self, name: str, function: Callable[[str], Any], dtype: type) -> Any:
        codes, distinct = pd.factorize(self.text(name))
        results: Any = np.array([function(value) for value in distinct.to_numpy()], dtype=dtype)
        values = results[codes] if len(distinct) else np.empty(0, dtype=dtype)
        if dtype is float:
            self.wrong |= np.isinf(values)
            values[np.isinf(values)] = np.nan
        return values


def is_unknown(text: str) -> bool:
    """Whether ``text`` is one of the words by which logs say that they do not know."""
    return text.strip().lower() in _UNKNOWN


def finite(text: str) -> float:
    """Return the number that ``text`` is; ValueError if it is not one or not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _cast(column: pa.Array) -> Floats | None:
    """Return the numbers of a column all of whose fields are numbers or empty, else None."""
    filled = pc.if_else(pc.equal(column, ""), None, column)
    try:
        values = np.asarray(filled.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return None
    return None if np.isinf(values).any() else values


def unix_seconds(texts: Sequence[str] | Any) -> tuple[Floats, Mask]:
    """Return dates as Unix seconds, nan where unknown or wrong, and which are wrong.

    Understands ISO 8601 with T or a blank, with or without a zone (then UTC), and plain Unix seconds. The first
    second of 1970 is how programs write a time that they do not know; no log is older.
    """
    values = pc.utf8_trim_whitespace(pa.array(texts, type=pa.string()))
    dates = pc.match_substring_regex(values, _DATE).to_numpy(zero_copy_only=False)
    seconds = np.full(len(values), np.nan)
    if dates.any():
        candidates = values.filter(pa.array(dates)).to_pandas()
        parsed = pd.to_datetime(candidates, format="ISO8601", utc=True, errors="coerce")
        instants = parsed.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")  # reaches from year 1 to 9999
        seconds[dates] = (instants - np.datetime64(0, "us")) / np.timedelta64(1, "s")
        seconds[seconds == 0] = np.nan
    wrong = ~(seconds > 0)
    for i in np.flatnonzero(np.isnan(seconds)):
        text = values[i].as_py()
        if _UNIX.fullmatch(text):
            seconds[i] = float(text)
        wrong[i] = not (seconds[i] > 0 or is_unknown(text) or text.startswith("1970-01-01"))
    return seconds, wrong


def split_line(line: str, delimiter: str = ",") -> list[str]:
    """Return the fields of one line; quotes count only where the delimiter is a comma."""
    if delimiter != ",":
        return line.split(delimiter)
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return line.split(delimiter)


def first_line(data: bytes, comment: bytes = b"#") -> tuple[str, int]:
    """Return the first line that is neither blank nor a comment, and its number from 1; ('', 0) if none."""
    for number, line in enumerate(data.split(b"\n", 1000)[:1000], start=1):
        if line.strip() and not line.startswith(comment):
            return line.decode("utf-8", "replace").rstrip("\r").removeprefix("\ufeff"), number
    return "", 0


def has_columns(head: bytes, names: Iterable[str], delimiter: str = ",") -> bool:
    """Whether the header, the first line of a table, has all of ``names``."""
    header = [name.strip().lower() for name in split_line(first_line(head)[0], delimiter)]
    return set(names) <= set(header)


def read_table(
    path: Path,
    data: bytes,
    bad: BadRows,
    *,
    required: Iterable[str],
    delimiter: str = ",",
    names: Sequence[str] | None = None,
    repair: Repair | None = None,
) -> Delimited:
    """Return the table in ``data``, rows of another width than the header counted in ``bad``.

    Args:
        path: names the file in errors.
        data: clean text.
        bad: takes the rows left out.
        required: columns without which it is not this format.
        delimiter: between fields; only with ',' may fields be quoted.
        names: the columns of a table without header.
        repair: turns the fields of a row of the wrong width into those of a right one, or None.
    """
    if b"\r" in data:  # which ends a line for Arrow wherever it stands, and for nobody else here
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    skipped = 0
    if names is None:
        line, skipped = first_line(data)
        names = [name.strip().lower() for name in split_line(line, delimiter)]
        data = data.split(b"\n", skipped)[skipped] if data.count(b"\n") >= skipped else b""
    if missing := [name for name in required if name not in names]:
        raise FormatError(
            f"{path}: no column {missing[0]!r}, expected a table with columns {', '.join(sorted(required))}"
        )
    quoted = delimiter == "," and b'"' in data
    if quoted:
        data = _without_unbalanced(data, skipped, bad)
    irregular: list[tuple[int, list[str]]] = []
    table = _parse(path, data, names, delimiter, quoted, irregular)
    lines = np.setdiff1d(np.arange(1, table.num_rows + len(irregular) + 1), [n for n, _ in irregular])
    columns = {name: table[i].combine_chunks() for i, name in enumerate(names)}
    keep = _not_blank(data, columns, lines)
    columns = {name: column.filter(pa.array(keep)) for name, column in columns.items()}
    return Delimited(*_with_repaired(columns, lines[keep], irregular, repair, skipped, bad))


def _without_unbalanced(data: bytes, skipped: int, bad: BadRows) -> bytes:
    lines = data.split(b"\n")
    odd = [i for i, line in enumerate(lines) if line.count(b'"') % 2]
    for i in odd:
        lines[i] = b""
    bad.add(UNBALANCED, [i + 1 + skipped for i in odd])
    return b"\n".join(lines) if odd else data


def _parse(
    path: Path,
    data: bytes,
    names: Sequence[str],
    delimiter: str,
    quoted: bool,
    irregular: list[tuple[int, list[str]]],
) -> pa.Table:
    def set_aside(row: Any) -> str:
        irregular.append((row.number, split_line(row.text.rstrip("\r\n"), delimiter)))
        return "skip"

    keys = [str(i) for i in range(len(names))]  # names may repeat
    if not data:
        return pa.table({key: pa.array([], type=pa.string()) for key in keys})
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(column_names=keys, use_threads=False, block_size=_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                ignore_empty_lines=False,
                invalid_row_handler=set_aside,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise FormatError(f"{path}: not a table of text: {str(error).splitlines()[0]}") from error


def _not_blank(data: bytes, columns: dict[str, pa.Array], lines: npt.NDArray[np.int64]) -> Mask:
    """Return which rows are not blank lines, which Arrow gives as rows of empty fields."""
    empty = np.ones(len(lines), dtype=bool)
    for column in columns.values():
        if not empty.any():
            return ~empty
        empty &= pc.equal(column, "").to_numpy(zero_copy_only=False)
    text = data.split(b"\n")
    empty[empty] = [not text[line - 1].strip() for line in lines[empty]]
    return ~empty


def _with_repaired(
    columns: dict[str, pa.Array],
    lines: npt.NDArray[np.int64],
    irregular: list[tuple[int, list[str]]],
    repair: Repair | None,
    skipped: int,
    bad: BadRows,
) -> tuple[dict[str, pa.Array], npt.NDArray[np.int64], int]:
    lines = lines + skipped
    repaired = [(number + skipped, repair(fields) if repair else None) for number, fields in irregular]
    bad.add(WRONG_WIDTH, [number for number, fields in repaired if fields is None])
    mended = [(number, fields) for number, fields in repaired if fields is not None]
    if not mended:
        return columns, lines, 0
    lines = np.concatenate([lines, np.array([number for number, _ in mended], dtype=np.int64)])
    order = np.argsort(lines, kind="stable")
    added = [pa.array(values, type=pa.string()) for values in zip(*(row for _, row in mended), strict=True)]
    whole = {
        name: pa.concat_arrays([column, new]).take(pa.array(order))
        for (name, column), new in zip(columns.items(), added, strict=True)
    }
    return whole, lines[order], len(mended)

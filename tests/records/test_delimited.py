"""Tables of text: a carriage return by itself is no end of a line, so that line numbers hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcai.records.readers._delimited import read_table
from hpcai.records.schema import BadRows


@pytest.mark.parametrize("returns", [b"\r", b"\r\r\r\r\r"])
def test_a_carriage_return_ends_no_line(returns):
    bad = BadRows()
    data = b"1\t2\r\n" + returns + b"3\t4\n\r\n5\t6\n"
    table = read_table(Path("list"), data, bad, required=(), delimiter="\t", names=("a", "b"))
    assert table.number("b").tolist() == [2.0, 4.0, 6.0]
    assert table.number("a").tolist() == [1.0, 3.0, 5.0]
    assert table.lines.tolist() == [1, 2, 4]

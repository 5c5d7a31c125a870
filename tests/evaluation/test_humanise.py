"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.evaluation.humanise import duration, number, quantity, ratio
from hpcai.evaluation.statistics import Ratio


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7.694, "7.69"),
        (38.13, "38.1"),
        (221.18, "221"),
        (66502.4755, "66,502"),
        (0.2, "0.200"),
        (0.9999999, "1.00"),
        (999.7, "1000"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0.04 s"),
        (59.6, "1 min"),
        (45, "45 s"),
        (4800, "1 h 20 min"),
        (3599, "59 min 59 s"),
        (2388443.7601, "27 d 15 h"),
        (86400, "1 d"),
        (float("nan"), "–"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@given(st.floats(0, 1e9))
def test_duration_never_overflows_its_smaller_unit(seconds):
    limit = {"s": 60, "min": 60, "h": 24}
    words = duration(seconds).split()
    if len(words) == 4:
        assert int(words[2]) < limit[words[3]]


def test_ratio_and_quantity():
    assert ratio(Ratio(0.2, 0.15, 0.26)) == "0.20 × [0.15, 0.26]"
    assert ratio(Ratio(0.2, float("nan"), float("nan"))) == "0.20 ×"
    assert ratio(Ratio(0.0049, 0.00096, 12.34)) == "0.0049 × [0.00096, 12.3]"
    assert ratio(Ratio(float("nan"), 0, 0)) == "–"
    assert quantity(1 / 360, "jobs/s") == "10 jobs/h"

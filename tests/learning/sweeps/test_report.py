"""The report of a sweep: what it says, and that a browser draws it."""

from __future__ import annotations

import re

import pytest

from hpcai.learning.sweeps.report import render
from tests.browser import browse
from tests.learning.sweeps.studies import planted

RATIO = {"value": 0.9, "low": 0.8, "high": 1.0}
PROOF = {
    "trials": 60,
    "winners": [3],
    "looks": 2,
    "report": "test/report.html",
    "answers": ["an answer"],
    "baseline": "SAF with EASY",
    "rows": [
        {"trial": 3, "policy": "trial 3 with EASY", "trace": "log", "values": {"value": 1.0}, "ratio": RATIO},
        {"trial": None, "policy": "SAF with EASY", "trace": "log", "values": {"value": 1.1}, "ratio": RATIO},
    ],
    "compared": [{"trial": i, "validation": float(i), "test": float(i % 3)} for i in range(5)],
}


def text(html: str) -> str:
    body = html[html.index("<main>") : html.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def mixed(point):
    if point["x"] > 0.9:
        return "<b>out of memory</b>"
    return "pruned" if point["x"] > 0.7 else (point["x"] - 0.4) ** 2


def test_what_is_said_of_one_objective():
    said = text(render(*planted(mixed, pruner="median"), None))
    assert re.search(r"The best of 60 trials, trial \d+ , reaches a value of", said)
    assert "What to try next" in said
    assert "Optimisation history" in said
    assert "&lt;b&gt;out of memory" in said
    assert "On the test part" not in said


def test_what_is_said_of_a_proof():
    html = render(*planted(mixed), PROOF)
    said = text(html)
    assert "The test part was looked at 2 times, after 60 trials" in said
    assert 'href="test/report.html"' in html
    assert "Does validation foretell the test?" in said


def test_what_is_said_of_a_front():
    study = planted(
        lambda p: (p["x"], (p["x"] - 1) ** 2), objectives=["near", {"name": "far", "direction": "minimize"}]
    )
    said = text(render(*study, None))
    assert re.search(r"Of 60 trials, \d+ lie on the Pareto front : near", said)
    assert "The Pareto front" in said


@pytest.mark.parametrize("value", [lambda p: "broken", lambda p: 1.0, lambda p: "pruned"])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_little_to_say_is_no_error(value, count):
    assert "</html>" in render(*planted(value, count=count), None)


@pytest.mark.parametrize("several", [False, True])
def test_a_browser_draws_every_figure(tmp_path, several):
    two = {"objectives": ["near", "far"]}
    study = planted(lambda p: (p["x"], (p["x"] - 1) ** 2), **two) if several else planted(mixed)
    html = render(*study, None if several else PROOF)
    document, console = browse(html, tmp_path)
    assert console == []
    drawn = re.search(r'data-drawn="(\d+)"', document)
    assert drawn is not None
    assert int(drawn[1]) == html.count('class="plot"') >= 7

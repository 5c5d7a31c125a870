"""The report in a real browser: it loads without a complaint, sorts, draws, follows the theme, fits a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hpcai.evaluation.answer import answer
from hpcai.evaluation.config import Entry, make_config
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.evaluate import Evaluation, evaluate
from hpcai.evaluation.inputs import prepare
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.ranking import rank
from hpcai.scheduling.policy import Policy
from tests.browser import browse

POLICIES = "fcfs,saf,expr:log10(max(requested_time,1))*size+870*log10(max(submit,1))+min(wait,1)*(size<4)"
TITLE = "Evil <script>alert(1)</script> & title"

# Runs in the page when all figures are drawn, and leaves what it saw in the document.
CHECK = """
<script>
const seen = {};
const watch = setInterval(() => {
  if (!document.documentElement.dataset.drawn) return;
  clearInterval(watch);
  const plots = [...document.querySelectorAll(".plot")];
  seen.plots = plots.length;
  seen.empty = plots.filter((plot) => !plot.querySelector("svg .trace, svg .scatterlayer path")).map((plot) => plot.id);
  const table = document.querySelector("table.ranking");
  const button = table.tHead.rows[0].cells[2].querySelector("button");
  const column = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.sort));
  button.focus();
  seen.focus = document.activeElement === button;
  button.click();
  seen.up = column();
  button.click();
  seen.down = column();
  seen.sorted = table.tHead.rows[0].cells[2].getAttribute("aria-sort");
  const colours = () => [document.body, document.querySelector(".plot .xtick text")].map((e) => {
    const style = getComputedStyle(e);
    return e === document.body ? style.backgroundColor : style.fill;
  });
  const theme = document.getElementById("theme");
  theme.click();
  seen.light = colours();
  theme.click();
  seen.dark = colours();
  const select = document.querySelector("select[data-for]");
  select.value = "1";
  select.dispatchEvent(new Event("change"));
  seen.gantt = document.getElementById(select.dataset.for).data.filter((t) => t.visible === true).map((t) => t.meta);
  seen.overflow = document.documentElement.scrollWidth - window.innerWidth;
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = JSON.stringify(seen);
  document.body.append(result);
}, 50);
</script>
"""


@pytest.fixture(scope="module")
def evaluation(swf: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    out = tmp_path_factory.mktemp("report") / "out"
    return evaluate(
        trace=swf, policies=POLICIES, backfill="easy,none", windows="4x60", title=TITLE, out=out, quiet=True
    )


@pytest.fixture(scope="module")
def html(evaluation: Evaluation) -> str:
    return evaluation.report.read_text("utf-8")


def look(html: str, folder: Path, width: int) -> tuple[dict[str, object], list[str]]:
    """Open a report in a browser; return what the check saw and what the console said."""
    document, console = browse(html.replace("</body>", CHECK + "</body>"), folder, width)
    found = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    assert found, console
    return json.loads(found.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


@pytest.mark.parametrize("width", [1280, 880, 500])
def test_the_report_works_in_a_browser(html, tmp_path, width):
    seen, console = look(html, tmp_path, width)
    assert console == []
    assert seen["plots"] >= 6
    assert seen["empty"] == []
    assert seen["up"] == sorted(seen["up"])
    assert seen["down"] == sorted(seen["up"], reverse=True)
    assert seen["sorted"] == "descending"
    assert seen["focus"]
    assert seen["light"] != seen["dark"]
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))
    assert set(seen["gantt"]) == {1}
    assert seen["overflow"] <= 0


def test_nothing_is_fetched_from_elsewhere(html):
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:script|img|iframe|link)[^>]*(?:src|href)=", html)


def test_text_from_outside_is_shown_not_run(html):
    assert TITLE not in html
    assert "<h1>Evil &lt;script&gt;alert(1)&lt;/script&gt; &amp; title</h1>" in html
    assert "&lt;Tiny &amp; odd&gt;" in html
    assert "<Tiny" not in html


def test_it_opens_with_the_answer_and_holds_what_is_needed_to_repeat_it(html, evaluation):
    label = evaluation.rankings["tiny"].best.entry.label
    assert f"<strong>{label}</strong> would have given" in html
    for text in (*evaluation.summary["traces"]["tiny"]["sha256"].values(), "windows: 4x60", "seed: 0"):
        assert text in html
    for metric in set(METRICS) - set(ENERGY_NAMES):
        assert f"<code>{metric}</code>" in html


def level_ranking(units):
    entries = {name: Entry(name, "easy", Policy() if name != "recorded" else None) for name in units}
    return rank(
        {entries[name]: values for name, values in units.items()},
        METRICS["mean_bounded_slowdown"],
        entries["fcfs"],
        "",
        resamples=2000,
        seed=0,
    )


def test_the_answer_is_no_surer_than_its_intervals(swf):
    config = make_config({"trace": swf, "policies": "fcfs,saf", "windows": "4x60"})
    source = prepare(str(swf), config, set())
    rng = np.random.default_rng(0)
    base = rng.lognormal(2, 0.5, 30)
    level = answer(level_ranking({"fcfs": base, "saf": base * rng.uniform(0.5, 1.49, 30)}), source, config)
    assert "not distinguishable" in level
    clear = answer(level_ranking({"fcfs": 4 * base, "saf": base, "recorded": 9 * base}), source, config)
    assert clear == (
        "On the last 30 % of tiny (4 windows of 60 jobs), SAF with EASY would have given a mean bounded slowdown of "
        f"{base.mean():.2f}, 0.25 × [0.25, 0.25] that of FCFS with EASY and 0.11 × [0.11, 0.11] what was recorded "
        "on a machine that was busy when the windows began."
    )
    best = answer(level_ranking({"fcfs": base, "saf": 2 * base}), source, config)
    assert "None of the other policies did better." in best
    tie = answer(level_ranking({"fcfs": base, "saf": base}), source, config)
    assert "the policies do not differ" in tie
    alone = answer(level_ranking({"fcfs": base, "recorded": 2 * base}), source, config)
    assert "other policies" not in alone


def test_a_log_on_which_nothing_differs_makes_a_report_too(swf, tmp_path):
    fields = {"policies": "fcfs,saf", "windows": "2x20", "machine": 100_000, "quiet": True}
    idle = evaluate(trace=swf, out=tmp_path / "out", **fields)
    html = idle.report.read_text("utf-8")
    assert "the policies do not differ: each would have given a mean bounded slowdown of 1." in html
    assert "<strong></strong>" in html  # nobody is named best


def test_perfect_prediction_is_a_bound_and_no_rival():
    saf, known = Entry("saf", "easy", Policy()), Entry("known", "easy", Policy(predictor="actual"))
    base = np.random.default_rng(0).lognormal(2, 0.5, 30)
    objective = METRICS["mean_bounded_slowdown"]
    ranking = rank({saf: base, known: base / 2}, objective, saf, "", resamples=2000, seed=0)
    assert [(row.entry, row.rank) for row in ranking.rows] == [(known, None), (saf, 1)]
    assert ranking.best.entry == saf
    assert ranking.bounds[0].to_best.value == pytest.approx(0.5)
    alone = rank({known: base}, objective, known, "", resamples=2000, seed=0)
    assert alone.best.entry == known

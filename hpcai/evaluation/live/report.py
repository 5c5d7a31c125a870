"""The daily report of an adapter: what it did or would have done, what happened, and what a replay makes of it."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np
import yaml

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.evaluation.evaluate import Evaluation, evaluate
from hpcai.evaluation.figures import RECORD_COLOUR, Figure, packed, time_unit
from hpcai.evaluation.humanise import duration, number, percent, ratio
from hpcai.evaluation.live.observed import Observed
from hpcai.evaluation.page import render_page
from hpcai.evaluation.resumable import write_whole
from hpcai.evaluation.runs import BUNDLE_PREFIX, policy_of_bundle
from hpcai.evaluation.tables import Cell, Row, Table, ranking_table
from hpcai.live.bundle import Bundle, read_bundle
from hpcai.live.policy import without_hindsight
from hpcai.records import Trace, read_trace
from hpcai.records.writers import write_trace
from hpcai.scheduling.network import load_network
from hpcai.scheduling.policy import Policy

FEWEST: Final = 10
"""Jobs that have ended below which nothing is replayed."""

RIVAL: Final = "fcfs"

_SITE, _POLICY = RECORD_COLOUR, "#4477AA"


def write_report(
    observed: Observed, bundle_path: str | Path, out: str | Path, *, sacct: str | Path | None = None
) -> Path:
    """Write ``report.html`` to ``out``, with the jobs as a trace and their replays beside it; return its path.

    ``sacct`` is accounting's own log of the time, whose ends are exact to the second; without it ends are known to
    the interval of the looks. Raises InputError if the bundle or that log cannot be read.
    """
    folder, bundle = Path(out), read_bundle(bundle_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    trace = _accounted(observed, sacct) if sacct is not None else observed.trace
    evaluation = None
    if len(trace.jobs) >= FEWEST:
        evaluation = _replay(trace, {"name": _name(bundle)} | _as_live(f"{BUNDLE_PREFIX}{bundle_path}"), folder)
    page = Chapter(observed, bundle, trace, evaluation)
    path = folder / "report.html"
    html = render_page(
        "live.html.j2", {f"{name}-0": figure for name, figure in page.figures.items()},
        title=f"{bundle.manifest.name} on the live queue", chapter=page, bundle=bundle,
    )  # fmt: skip
    write_whole(path, html.encode())
    return path


def _as_live(item: str) -> dict[str, Any]:
    """Return what the policy of a bundle sets, without what it could not know on the live cluster."""
    fields = policy_of_bundle(item)
    return fields | without_hindsight(validated(Policy, fields, item))


def _accounted(observed: Observed, path: str | Path) -> Trace:
    """Return the jobs of accounting that began in the time of the log."""
    trace = read_trace(path, format="sacct")
    start = trace.jobs["start"] + trace.origin
    within = (start >= observed.begin) & (start < observed.end) & trace.jobs["run_time"].notna()
    if not within.any():
        raise InputError(f"{path}: no job that began in the time of the decision log")
    trace.jobs, trace.machine = trace.jobs[within].reset_index(drop=True), observed.trace.machine
    return trace


def _replay(trace: Trace, policy: dict[str, Any], folder: Path) -> Evaluation:
    """Replay the jobs as they came, first come first served and by the policy.

    With conservative backfilling, where the policy can be asked so: as Slurm's own it keeps a place for every job, and
    reproduces what Slurm did far better than EASY, which keeps one for the first alone (docs/live.md).
    """
    log, machine = folder / "jobs.parquet", folder / "machine.yaml"
    write_trace(trace, log)
    assert trace.machine is not None
    backfill = "easy" if _asked_beside_easy(policy) else "conservative"
    fields = trace.machine.model_dump(mode="json", exclude_defaults=True) | {"reservations": []}
    write_whole(machine, yaml.safe_dump(fields, sort_keys=False).encode())
    return evaluate(
        trace=[log], machine=machine, policies=[RIVAL, policy | {"backfill": backfill}], baseline=RIVAL,
        backfill=backfill, windows="all", out=folder / "counterfactual", quiet=True,
    )  # fmt: skip


class Chapter:
    """What the report says, in words, tables and figures."""

    number = 0

    def __init__(self, observed: Observed, bundle: Bundle, trace: Trace, evaluation: Evaluation | None) -> None:
        self.observed, self.bundle, self.trace, self.evaluation = observed, bundle, trace, evaluation

    @property
    def _acted(self) -> bool:
        return bool((self.observed.cycles["mode"] == "act").any())

    @property
    def _followed(self) -> float:
        """Share of the looks at which nothing spoke against the policy."""
        return float((self.observed.cycles["fallback"] == "").mean())

    @cached_property
    def answer(self) -> str:
        """The report in a sentence or three."""
        cycles, starts = self.observed.cycles, self.observed.starts
        what = "put the queue in its order" if self._acted else "watched and wrote nothing"
        words = [
            f"From {_moment(self.observed.begin)} to {_moment(self.observed.end)} the adapter {what}; at "
            f"{percent(self._followed)} of {len(cycles):,} looks nothing spoke against following the policy."
        ]
        if len(starts):
            first = float((starts["policy_place"] == 1).mean())
            words.append(
                f"Of {len(starts):,} jobs that started, {percent(first)} were the policy's first choice when last seen "
                f"waiting; the median stood in place {starts['policy_place'].median():.0f} of the policy's order "
                f"and {starts['site_place'].median():.0f} of the site's own."
            )
        if self.evaluation is not None:
            words.append(self._replayed(self.evaluation, _name(self.bundle)))
        return " ".join(words)

    @staticmethod
    def _replayed(evaluation: Evaluation, name: str) -> str:
        (ranking,) = evaluation.rankings.values()
        policy = next(row for row in ranking.rows if row.entry.name == name)
        return (
            f"Replayed, its jobs would have had a mean bounded slowdown of {number(policy.value)} under the policy, "
            f"{ratio(policy.to_baseline)} that of first come, first served."
        )

    @property
    def tiles(self) -> list[tuple[str, str, list[str]]]:
        """The key figures."""
        cycles = self.observed.cycles
        written = f"{int(cycles['written'].sum()):,}" if self._acted else "none"
        slowest = duration(float(cycles["all"].quantile(0.99)))
        changed = [f"{int(cycles['restored'].sum()):,} put back", f"{int(cycles['failed'].sum()):,} refused"]
        return [
            ("looks", f"{len(cycles):,}", [f"{percent(self._followed)} followed"]),
            ("values written", written, changed if self._acted else ["shadow"]),
            ("jobs that started", f"{len(self.observed.starts):,}", [f"{len(self.trace.jobs):,} ended"]),
            ("queue", f"{cycles['waiting'].median():.0f} jobs", [f"at most {cycles['waiting'].max()}"]),
            ("a look takes", duration(float(cycles["all"].median())), [f"99 %: {slowest}"]),
        ]  # fmt: skip

    @property
    def replay_table(self) -> Table | None:
        """Replays of the jobs, and what was recorded."""
        if self.evaluation is None:
            return None
        (ranking,) = self.evaluation.rankings.values()
        return ranking_table(ranking)

    @property
    def fallback_table(self) -> Table | None:
        """Why the policy was not followed, and how often."""
        reasons = self.observed.cycles["fallback"]
        counts = reasons[reasons != ""].map(_kind_of).value_counts()
        rows = [
            Row([Cell(str(why)), Cell(f"{n:,}", float(n)), Cell(percent(n / len(reasons)), n)])
            for why, n in counts.items()
        ]
        return Table("fallbacks", [("reason", ""), ("looks", ""), ("share", "")], rows) if rows else None

    @property
    def strange_table(self) -> Table | None:
        """Features of jobs beyond the range of the training."""
        shares = sorted(((s, name) for name, s in self.observed.strange.items() if s > 0), reverse=True)
        rows = [Row([Cell(name), Cell(percent(share), share)]) for share, name in shares]
        heading = ("jobs beyond", "mean share of the waiting jobs")
        return Table("strange", [("feature", ""), heading], rows) if rows else None

    @property
    def time_table(self) -> Table:
        """How long the parts of a look take."""
        names = {
            "poll": "Slurm says how things stand",
            "judge": "the policy judges",
            "write": "values are written",
            "all": "all",
        }
        rows = []
        for name, words in names.items():
            seconds = self.observed.cycles[name].dropna()
            quantiles = [float(seconds.quantile(q)) for q in (0.5, 0.99, 1.0)] if len(seconds) else [np.nan] * 3
            rows.append(Row([Cell(words), *(Cell(f"{q * 1000:,.0f} ms" if q == q else "–", q) for q in quantiles)]))
        return Table("times", [("part", ""), ("median", ""), ("99 %", ""), ("longest", "")], rows)

    @property
    def left_out(self) -> str:
        """Jobs that are in no table."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.observed.left_out.items())

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Figures by name."""
        return {"queue": self._queue()} | ({"places": self._places()} if len(self.observed.starts) else {})

    def _queue(self) -> Figure:
        """Return the queue over time, and how many of it would stand elsewhere."""
        cycles = self.observed.cycles
        unit, seconds = time_unit(self.observed.end - self.observed.begin)
        when = packed((cycles["at"] - self.observed.begin) / seconds)
        lines = [("jobs waiting", "waiting", _SITE), ("in the scope", "scope", "#CCBB44"), ("moved", "moved", _POLICY)]
        data = [
            {"x": when, "y": packed(cycles[column]), "name": name, "line": {"color": colour, "shape": "hv"}}
            for name, column, colour in lines
        ]
        axes = {
            "xaxis": {"title": {"text": f"{unit} since the first look"}},
            "yaxis": {"title": {"text": "jobs"}, "rangemode": "tozero"},
        }
        return {"data": data, "layout": axes | {"hovermode": "x unified"}}

    def _places(self) -> Figure:
        """Return from which places jobs started, in the site's own order and in the policy's."""
        starts = self.observed.starts
        data: list[dict[str, Any]] = []
        for name, column, colour in (
            ("site's own order", "site_place", _SITE),
            ("policy's order", "policy_place", _POLICY),
        ):
            places = np.sort(starts[column].to_numpy(np.float64))
            share = 100 * np.arange(1, len(places) + 1) / len(places)
            data.append(
                {"x": packed(places), "y": packed(share), "name": name, "line": {"color": colour, "shape": "hv"}}
            )
        axes = {
            "xaxis": {"title": {"text": "place in the order when last seen waiting"}, "type": "log"},
            "yaxis": {"title": {"text": "jobs that started, %"}, "range": [0, 100]},
        }
        return {"data": data, "layout": axes}


def _asked_beside_easy(policy: dict[str, Any]) -> bool:
    """Whether the policy can only be replayed with EASY: a network that also says who is backfilled, headroom."""
    network = policy.get("network")
    return policy.get("headroom") is not None or (network is not None and load_network(network).meta.decide != "next")


def _name(bundle: Bundle) -> str:
    """Return the policy's name in a comparison with RIVAL."""
    return bundle.manifest.name if bundle.manifest.name != RIVAL else f"{RIVAL}, exported"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _kind_of(reason: str) -> str:
    """Return a reason without its numbers, so that alike ones are counted together."""
    if "unlike the training" in reason:
        return "unlike the training, most of all by " + reason.rpartition(" by ")[2]
    return "waiting for calm" if reason.startswith("good again") else reason

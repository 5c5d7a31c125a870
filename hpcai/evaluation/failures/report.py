"""The report on a failure log: when what failed, what fits, how long nodes last, how far failures hang together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.evaluation.failures import figures, fit_figures, report_tables
from hpcai.evaluation.failures.fits import fit_groups, write_fits
from hpcai.evaluation.failures.report_tables import DEFINITIONS
from hpcai.evaluation.failures.summary import describe
from hpcai.evaluation.failures.words import YEAR, about
from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import duration, number, percent
from hpcai.evaluation.page import render_page
from hpcai.evaluation.tables import Table
from hpcai.faults.dependence import Offenders, autocorrelation, counts, offenders
from hpcai.faults.fit_log import Fitted, GroupFit
from hpcai.faults.outages import Outages, outages
from hpcai.faults.survival import Curve, RateByAge, first_failures, kaplan_meier, rate_by_age
from hpcai.records.failures import FailureLog
from hpcai.records.writers import atomic

CHAPTERS: Final = 4
"""Groups with figures of their own, those of most failures; all are in the tables."""
FEWEST_NODES: Final = 10
"""Nodes below which a survival curve says nothing."""
LAGS: Final = 30  # days


def report_to_folder(
    log: FailureLog,
    by: str,
    out: Path,
    severities: Sequence[str],
    file: str,
    settings: dict[str, Any],
    *,
    seed: int = 0,
    quiet: bool = True,
) -> str:
    """Write report.html, parameters.csv and model.yaml into ``out``, and return the report's answer.

    ``file`` and ``settings`` are what the command was given, for the report to repeat. Raises InputError.
    """
    fitted = fit_groups(log, by, severities, seed=seed, quiet=quiet)
    write_fits(log, fitted, out)
    page = Report(log, by, fitted, severities, seed)
    with atomic(out / "report.html") as target:
        target.write(page.html(_command(file, by, severities, settings, seed)).encode())
    return page.answer


def _command(file: str, by: str, severities: Sequence[str], settings: dict[str, Any], seed: int) -> str:
    """Return the command that makes the report again."""
    words = ["hpcai", "failures", "report", Path(file).name, "--by", by, "--severity", ",".join(severities)]
    for name, value in settings.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name}", str(one)] if one is not None else []
    return shlex.join([*words, "--seed", str(seed), "--out", "report"])


@dataclass
class Chapter:
    """The figures of one group, and its number in the page."""

    number: int
    name: str
    note: str
    figures: dict[str, Figure]


class Report:
    """What the report says of a log."""

    def __init__(
        self, log: FailureLog, by: str, fitted: Sequence[GroupFit], severities: Sequence[str], seed: int
    ) -> None:
        self.log, self.by, self.seed = log, by, seed
        self.fitted = sorted(fitted, key=lambda group: -group.failures)
        self.of: Outages = outages(log, severities)
        self.summary = describe(log, severities)
        self.offenders: Offenders = offenders(log, self.of, seed=seed)

    def html(self, command: str) -> str:
        """Return the page."""
        chapters = [self._chapter(i, group) for i, group in enumerate(self.fitted[:CHAPTERS], 1)]
        whole = Chapter(0, "", "", self.figures)
        drawn = {f"{name}-{c.number}": figure for c in (whole, *chapters) for name, figure in c.figures.items()}
        return render_page(
            "failures.html.j2",
            drawn,
            package="hpcai.evaluation.failures",
            title=f"How does {self.log.name} fail?",
            answer=self.answer,
            tiles=self.tiles,
            whole=whole,
            chapters=chapters,
            tables=self.tables,
            summary=self.summary,
            by=self.by.replace("_", " "),
            hanging=self.hanging,
            definitions=DEFINITIONS,
            command=command,
        )

    @property
    def answer(self) -> str:
        """What came out, in two or three sentences."""
        rates = self.summary["all"]
        text = f"A node fails every {about(rates['mtbf_node'])} in service, some node every {about(rates['mtbf'])}."
        if rates["median_repair"] is not None:
            text += f" Half of the repairs take less than {about(rates['median_repair'])}."
        uptimes = [group.quantities["uptime"] for group in self.fitted if "uptime" in group.quantities]
        if uptimes:
            largest = max(uptimes, key=lambda one: one.data.events)
            text += f" {_hazard_words(largest, self._named(largest.group))}"
        return text

    def _named(self, group: str) -> str:
        """Return the name of a group with what it is a group of."""
        word = {"node_class": "class", "system": "system", "component": "component"}[self.by]
        return group if group == "all" else f"{word} {group}"

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """Title, figure, and what stands beside it."""
        rates, summary = self.summary["all"], self.summary
        since = f"{summary['begin'][:10]} to {summary['end'][:10]}" if summary["begin"] else duration(summary["span"])
        tiles = [
            ("outages", number(rates["outages"]), since),
            ("nodes", number(rates["nodes"]), f"{number(rates['node_years'])} node-years in service"),
            ("MTBF of a node", about(rates["mtbf_node"]), f"of all: {about(rates['mtbf'])}"),
        ]
        if rates["median_repair"] is not None:
            repair = f"repair: median {about(rates['median_repair'])}, mean {about(rates['mean_repair'])}"
            tiles.append(("availability of a node", f"{rates['availability']:.3%}", repair))
        worst = np.sort(self.offenders.failures)[::-1]
        tenth = max(1, round(len(worst) / 10))
        share = percent(worst[:tenth].sum() / worst.sum())
        beside = f"{number(tenth)} of the nodes" if tenth > 1 else "one node"
        return [*tiles, ("failures of the worst tenth", share, beside)]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures of the log as a whole, by name."""
        log, of = self.log, self.of
        daily = counts(of.start, *log.observed, 86400.0)
        drawn = {
            "timeline": figures.timeline(log, of),
            "dots": figures.by_node(log, of),
            "per-node": figures.failures_per_node(self.offenders),
            "lorenz": figures.lorenz(self.offenders),
        }
        if len(daily) > 3 * LAGS and daily.any():
            drawn["correlation"] = figures.correlation(autocorrelation(daily, LAGS), len(daily))
        for name, curves in (("km-component", self._by_component()), ("km-group", self.by_group)):
            if curves:
                drawn[name] = fit_figures.survival(curves)
        if found := self._ages():
            drawn["ages"] = fit_figures.rates(found)
        return drawn

    def _by_component(self) -> dict[str, Curve]:
        """Return the curves of the first failure by each of the commonest components."""
        names, count = np.unique(self.of.component.astype(str), return_counts=True)
        common = names[np.argsort(-count, kind="stable")][: fit_figures.MOST_CURVES]
        if len(self.log.nodes) < FEWEST_NODES or len(names) < 2:
            return {}
        return {str(name): kaplan_meier(first_failures(self.log, self.of, str(name))) for name in common}

    @cached_property
    def groups(self) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
        """The nodes of each class and place that has enough of them, largest first; all if there is but one."""
        nodes = self.log.nodes
        place = nodes["place"].where(nodes["place"] != "", "")
        several = nodes["node_class"].nunique() > 1
        kind = (nodes["node_class"] + ", " if several else "") + place if place.nunique() > 1 else nodes["node_class"]
        sizes = kind.value_counts()
        big = [name for name in sizes.index if sizes[name] >= FEWEST_NODES][: fit_figures.MOST_CURVES]
        return {str(name) or "all": (kind == name).to_numpy() for name in sorted(big)}

    @cached_property
    def by_group(self) -> dict[str, Curve]:
        """The curves of the first failure of the nodes of each group."""
        first = first_failures(self.log, self.of)
        return {name: kaplan_meier(first.of(rows)) for name, rows in self.groups.items() if first.of(rows).events}

    def _ages(self) -> dict[str, RateByAge]:
        """Return the rates by age of each group, in some 24 spans of whole months or weeks."""
        _, high = self.log.service
        oldest = float((high - self.log.nodes["in_service"].to_numpy(np.float64)).max()) if len(high) else np.nan
        if not np.isfinite(oldest) or oldest <= 0:
            return {}
        unit = 30 * 86400.0 if oldest > 2 * YEAR else 7 * 86400.0
        edges = np.arange(0.0, oldest + unit, unit * max(1, round(oldest / 24 / unit)))
        found = {name: rate_by_age(self.log, self.of, edges, rows) for name, rows in self.groups.items()}
        return {name: rate for name, rate in found.items() if rate.failures.sum() > 0 and len(edges) > 3}

    def _chapter(self, number_: int, group: GroupFit) -> Chapter:
        drawn = {}
        for quantity, one in group.quantities.items():
            figure = fit_figures.quantiles(one)
            if figure["data"]:
                drawn[f"qq-{quantity}"] = figure
        up = group.quantities.get("uptime")
        if up is not None and up.data.events >= 20 and (figure := fit_figures.hazard(up))["data"]:
            drawn["hazard"] = figure
        nodes = f"{number(group.nodes)} node{'s' * (group.nodes != 1)}, {number(group.failures)} outages"
        return Chapter(number_, self._named(group.name), nodes, drawn)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name."""
        by = self.by.replace("_", " ")
        tables = {
            "rates": report_tables.rates(self.fitted, by),
            "fits": report_tables.fits(self.fitted, by),
            "causes": report_tables.causes(self.summary["by_cause"]),
            "bursts": report_tables.bursts(self.log, self.of),
            "neighbours": report_tables.neighbourhoods(self.log, self.of, self.seed),
            "first": report_tables.first_of_groups(first_failures(self.log, self.of), self.groups),
        }
        return {name: table for name, table in tables.items() if table is not None}

    @property
    def hanging(self) -> str:
        """How far failures are from independent of one another, in words."""
        found = self.offenders
        mean, low, high = found.by_chance
        text = (
            f"The Gini coefficient of failures by node is {found.gini:.2f}; were all nodes alike it would be "
            f"{mean:.2f} [{low:.2f}, {high:.2f}] by chance (p = {found.p_value:.3f}). "
        )
        if found.negative_binomial_aic < found.poisson_aic - 2:
            ahead = number(round(found.poisson_aic - found.negative_binomial_aic))
            text += f"Nodes whose rates differ, by {percent(found.spread)} of their mean, fit better (AIC by {ahead})."
        else:
            text += "Nodes that differ in their rates fit no better than nodes alike."
        return text


def _hazard_words(one: Fitted, name: str) -> str:
    """Say what the best fit's hazard does."""
    life = one.best.lifetime
    if life.family == "exponential":
        return f"Of {name} the hazard is constant: failures come neither early nor late in a node's time up."
    low, high = one.shape
    if life.family == "lognormal":
        return f"Of {name} times up are log-normal: most failures follow soon after a node's return."
    falling = "falls the longer a node is up" if high < 1 else "rises the longer it is up" if low > 1 else "is constant"
    return f"Of {name} times up are {life.family} of shape {life.shape:.2f}: the hazard {falling}."

"""The report: one HTML file that needs nothing else, written for the people who run the machine."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from markupsafe import Markup

from hpcai.evaluation import figures, tables
from hpcai.evaluation.answer import where_phrase
from hpcai.evaluation.config import Entry, EvaluationConfig
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.groups import cell_of
from hpcai.evaluation.humanise import duration, number, percent
from hpcai.evaluation.inputs import Input
from hpcai.evaluation.load import load_over_time
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.page import render_page
from hpcai.evaluation.ranking import Ranking
from hpcai.evaluation.store import Folder
from hpcai.evaluation.windows import Window
from hpcai.records import describe

if TYPE_CHECKING:
    from hpcai.evaluation.energy.chapter import EnergyChapter

Pools = dict[Entry, pd.DataFrame]

_SAME = 0.05  # means that differ by a smaller share than this count as the same
_RATIO = re.compile(r"[\d.,]+ × \[[^]]*\]")


def render(
    *,
    config: EvaluationConfig,
    sources: list[Input],
    rankings: dict[str, Ranking],
    answers: dict[str, str],
    metrics: pd.DataFrame,
    groups: pd.DataFrame,
    pools: dict[str, Pools],
    folder: Folder,
) -> str:
    """Return the report as HTML; ``rankings``, ``answers`` and ``pools`` are by name of the trace."""
    chapters = [
        Chapter(
            number,
            source,
            config,
            rankings[source.name],
            answers[source.name],
            metrics[metrics["trace"] == source.name],
            groups[groups["trace"] == source.name],
            pools[source.name],
            folder,
        )
        for number, source in enumerate(sources)
    ]
    drawn = {f"{name}-{i}": figure for i, chapter in enumerate(chapters) for name, figure in chapter.figures.items()}
    return render_page(
        "report.html.j2",
        drawn,
        title=config.title or "Which scheduling policy serves best?",
        chapters=chapters,
        definitions=[metric for name, metric in METRICS.items() if config.measures_power or name not in ENERGY_NAMES],
        settings=yaml.safe_dump(
            {key: value for key, value in config.as_dict().items() if value is not None},
            sort_keys=False,
            allow_unicode=True,
        ),
        config=config,
    )


class Chapter:
    """What the report says about one log."""

    def __init__(
        self,
        number: int,
        source: Input,
        config: EvaluationConfig,
        ranking: Ranking,
        answer: str,
        metrics: pd.DataFrame,
        groups: pd.DataFrame,
        pools: Pools,
        folder: Folder,
    ) -> None:
        """Gather the results of one log; ``metrics`` and ``groups`` are its rows only."""
        self.number, self.source, self.config, self.ranking = number, source, config, ranking
        self.answer = answer
        self._metrics, self._groups, self._folder = metrics, groups, folder
        self.entries = [ranked.entry for ranked in ranking.rows]
        self.entries.sort(key=self._importance)
        self._pools = {entry: pools[entry] for entry in self.entries}

    def _importance(self, entry: Entry) -> tuple[bool, ...]:
        """Order of figures: the best policy, the baseline, what was recorded, the rest by rank."""
        first = (self.ranking.best.entry, self.ranking.baseline)
        return (entry != first[0], entry != first[1], entry.policy is not None)

    @property
    def name(self) -> str:
        """The log's name."""
        return self.source.name

    @property
    def answer_html(self) -> Markup:
        """The answer with the best policy in bold and every ratio kept on one line."""
        label = self.ranking.best.entry.label
        text = _RATIO.sub(lambda match: match.group().replace(" ", "\u00a0"), self.answer)
        before, found, after = text.partition(label)
        return Markup("{}<strong>{}</strong>{}").format(before, found, after)

    @property
    def where(self) -> str:
        """What was replayed, in words."""
        return where_phrase(self.source, self.config).removeprefix("On ")

    @cached_property
    def means(self) -> tables.Means:
        """Mean over windows of every metric, by entry."""
        result: tables.Means = {}
        for entry in self.entries:
            means = self._of(self._metrics, entry).groupby("metric")["value"].mean()
            result[entry] = {str(name): float(value) for name, value in means.items()}
        return result

    @property
    def tiles(self) -> list[tuple[str, str, list[str]]]:
        """Headline figures."""
        return tables.tiles(self.means, self.ranking, self._whole_log)

    @property
    def ranking_table(self) -> tables.Table:
        """The ranked table."""
        return tables.ranking_table(self.ranking)

    @property
    def jobs_table(self) -> tables.Table:
        """How long jobs waited."""
        return tables.overview_table("jobs", tables.OF_JOBS, self.means, self.ranking, self._whole_log)

    @property
    def machine_table(self) -> tables.Table:
        """How the machine was used, and how fairly."""
        resource = tables.OF_GPUS if self.source.machine.total_gpus else tables.OF_PROCESSORS
        chosen = [*resource, *tables.OF_MACHINE]
        return tables.overview_table("machine", chosen, self.means, self.ranking, self._whole_log)

    @property
    def _whole_log(self) -> bool:
        return (
            self.source.bounds
            == (self.source.windows[0].first, self.source.windows[0].last)
            == (0, len(self.source.jobs))
        )

    @property
    def class_table(self) -> tables.Table:
        """Mean bounded slowdown by class of job."""
        return tables.class_table(self._groups, self.ranking)

    @cached_property
    def compared(self) -> list[Entry]:
        """The best policy and whom its users and tenants are compared with."""
        others = [entry for entry in self.entries if entry != self.ranking.best.entry]
        kinds = [e for e in others if e == self.ranking.baseline or e.policy is None]
        return [self.ranking.best.entry, *(kinds or others[:1])]

    @cached_property
    def group_tables(self) -> list[tables.Table]:
        """The largest users and tenants, where the log knows them."""
        found = [tables.group_table(self._groups, kind, self.compared) for kind in ("user", "tenant")]
        return [table for table in found if table is not None]

    def served(self, kind: str) -> str:
        """How many users or tenants fare better, the same and worse under the best policy; '' if none are known."""
        frame = self._winners(kind)
        if frame.empty:
            return ""
        change = frame["y"] / frame["x"]
        better, worse = int((change < 1 - _SAME).sum()), int((change > 1 + _SAME).sum())
        return (
            f"A dot is a {kind}, its size the number of jobs. Below the dotted line {self.compared[0].label} serves "
            f"the {kind} better, above it worse. Against {self.compared[1].label}, {better} of {len(frame)} "
            f"{kind}s fare better, {worse} worse, and {len(frame) - better - worse} within {_SAME:.0%}."
        )

    @cached_property
    def typical(self) -> Window:
        """The window that is drawn: the one in the middle by the best policy's objective."""
        best = self.ranking.best.entry
        values = self._objective(best)
        return self.source.windows[int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])]

    @cached_property
    def drawn_entries(self) -> list[Entry]:
        """The entries that have a Gantt chart."""
        return self.entries[: figures.MOST_DRAWN]

    @cached_property
    def drawn_span(self) -> tuple[float, float] | None:
        """The time that the Gantt chart shows (s): all (None), or in a long window that around its longest queue."""
        if len(self.typical) <= figures.MOST_JOBS:
            return None
        schedule = self._schedule(self.ranking.best.entry)
        load, submit = load_over_time(schedule), schedule["submit"].to_numpy(np.float64)
        middle = int(np.searchsorted(submit, load.time[int(np.argmax(load.queue))]))
        first = min(max(0, middle - figures.MOST_JOBS // 2), len(submit) - figures.MOST_JOBS)
        return float(submit[first]), float(submit[first + figures.MOST_JOBS - 1])

    @property
    def gantt_caption(self) -> str:
        """What the Gantt chart shows, and what of it is only a drawing."""
        excerpt = "The time around the longest queue. " if self.drawn_span else ""
        if not self.source.machine.by_node:
            drawing = "Which processors a job had is not known: it is drawn on the lowest that are free."
        elif self.source.machine.total_gpus:
            drawing = "A row is a GPU of a node; jobs without GPUs are not drawn."
        else:
            drawing = "A row is a CPU of a node."
        return f"{excerpt}{drawing} Drag to zoom, double click to go back, point at a job for its numbers."

    @cached_property
    def figures(self) -> dict[str, figures.Figure]:
        """The figures by name; those that would say nothing are not there."""
        schedules = {entry: self._schedule(entry) for entry in self.entries}
        machine, objective = self.source.machine, self.ranking.objective
        drawn = {
            "slowdown": figures.distribution(self._pools, "bounded_slowdown", 1.0, "bounded slowdown"),
            "wait": figures.distribution(self._pools, "wait", 1.0, "wait"),
            "load": figures.over_time({e: load_over_time(s) for e, s in schedules.items()}, machine),
            "gantt": figures.gantt({e: schedules[e] for e in self.drawn_entries}, machine, self.drawn_span),
        }
        if len(self.source.windows) > 1:
            submit = self.source.jobs["submit"].to_numpy()[[w.first for w in self.source.windows]]
            values = {entry: self._objective(entry) for entry in self.entries}
            drawn["windows"] = figures.by_window(values, submit, objective)
        for kind in ("user", "tenant"):
            frame = self._winners(kind)
            if len(frame) > 1:
                better, worse = (f"mean bounded slowdown, {entry.label}" for entry in self.compared[:2])
                drawn[kind] = figures.winners(frame, better, worse)
        return drawn | (self.energy.figures if self.energy else {})

    @cached_property
    def energy(self) -> EnergyChapter | None:
        """What is said about energy, if it was measured."""
        if self.source.site is None:
            return None
        from hpcai.evaluation.energy.chapter import EnergyChapter

        return EnergyChapter(
            self.source,
            self.source.site,
            self.config,
            self.ranking,
            self._metrics,
            self.means,
            self.entries,
            self.compared,
            self.typical,
            lambda entry, window: self._folder.schedule(cell_of(self.source, entry, window.number)),
        )

    def _winners(self, kind: str) -> pd.DataFrame:
        """Return each group's mean bounded slowdown under the best policy (y) and the one beside it (x)."""
        if len(self.compared) < 2:
            return pd.DataFrame()
        of_kind = self._groups[self._groups["kind"] == kind]
        best, beside = (self._of(of_kind, entry).set_index("group") for entry in self.compared[:2])
        columns = {"jobs": best["jobs"], "x": beside["mean_bounded_slowdown"], "y": best["mean_bounded_slowdown"]}
        return pd.DataFrame(columns).dropna().reset_index(names="group")

    def _schedule(self, entry: Entry) -> pd.DataFrame:
        return self._folder.schedule(cell_of(self.source, entry, self.typical.number))

    def _objective(self, entry: Entry) -> npt.NDArray[np.float64]:
        of_entry = self._of(self._metrics, entry)
        values: npt.NDArray[np.float64] = of_entry.loc[
            of_entry["metric"] == self.ranking.objective.name, "value"
        ].to_numpy(np.float64)
        return values

    @staticmethod
    def _of(frame: pd.DataFrame, entry: Entry) -> pd.DataFrame:
        return frame[(frame["policy"] == entry.name) & (frame["backfill"] == entry.backfill)]

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """What the log is like, in words."""
        trace, machine = self.source.trace, self.source.machine
        summary = describe(trace)
        size = f"{number(machine.total_cpus)} processors"
        if machine.by_node:
            size = f"{number(machine.total_nodes)} nodes, {size}, {number(machine.total_gpus)} GPUs"
        facts = [
            ("source", f"{self.source.source} ({trace.format or 'unknown format'})"),
            ("machine", f"{machine.name}: {size}"),
            ("jobs in the log", number(len(trace.jobs))),
            ("jobs that can be replayed", number(len(self.source.jobs))),
            ("submitted over", tables.time_or_dash(summary["span"])),
        ]
        if summary["first_submit"]:
            first, last = (summary[key].partition("T")[0] for key in ("first_submit", "last_submit"))
            facts.append(("submissions", f"{first} to {last} (UTC)"))
        for label, key in (("run time", "run_time"), ("recorded wait", "wait")):
            if summary[key]:
                spread = summary[key]
                facts.append((label, f"median {duration(spread['median'])}, 90th percentile {duration(spread['p90'])}"))
        for label, key in (("processors per job", "processors"), ("GPUs per job", "gpus")):
            if summary[key]:
                spread = summary[key]
                facts.append((label, f"median {number(spread['median'])}, largest {number(spread['max'])}"))
        for label, key in (("users", "user"), ("tenants", "tenant")):
            if summary["distinct"][key]:
                facts.append((label, number(summary["distinct"][key])))
        shares = sorted(summary["status"].items(), key=lambda item: -item[1])
        facts.append(("how jobs ended", ", ".join(f"{name} {percent(share)}" for name, share in shares)))
        return facts

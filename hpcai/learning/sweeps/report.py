"""The report of a sweep: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import yaml
from markupsafe import Markup
from optuna.trial import FrozenTrial

from hpcai.evaluation.figures import Figure
from hpcai.evaluation.humanise import duration, number, percent, ratio
from hpcai.evaluation.page import render_page
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import Cell, Row, Table, metric_text
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.figures import contour_pairs, draw, pareto_pairs
from hpcai.learning.sweeps.next_steps import advise
from hpcai.learning.sweeps.proof import Proof
from hpcai.learning.sweeps.space import Choice, Range
from hpcai.learning.sweeps.storage import shown
from hpcai.learning.sweeps.study import IDENTITY
from hpcai.learning.sweeps.survey import Survey

_MOST_OF_FRONT = 20
_LONGEST = 160  # characters of an error in a table


def render(study: optuna.Study, config: SweepConfig, proof: Proof | None) -> str:
    """Return the report as HTML; without ``proof`` it is that of a sweep that has not come to its end."""
    chapter = Chapter(Survey(study, config, proof))
    figures = {f"{name}-0": figure for name, figure in chapter.figures.items()}
    return render_page(
        "sweep.html.j2",
        figures,
        package="hpcai.learning.sweeps",
        title=f"{config.name}: a survey of {len(config.space)} parameter{'s' if len(config.space) > 1 else ''}",
        chapter=chapter,
        survey=chapter.survey,
        config=config,
        settings=yaml.safe_dump(
            config.model_dump(mode="json", exclude={"storage"}, exclude_defaults=True),
            sort_keys=False,
            allow_unicode=True,
        ),
        storage=shown(config.storage_url),
        identity=study.user_attrs.get(IDENTITY, {"version": "", "inputs": {}}),
    )


class Chapter:
    """What the report says, in words and tables."""

    number = 0

    def __init__(self, survey: Survey) -> None:
        self.survey, self.config = survey, survey.config
        self.names = [target.name for target in survey.config.targets]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return draw(self.survey)

    @property
    def answer(self) -> Markup:
        """The sentences that the report opens with, the best point in bold."""
        survey = self.survey
        if survey.best is None:
            return Markup("None of {} trials came to a value.").format(number(survey.tried))
        counted = f"{number(survey.tried)} trials"
        if survey.several:
            return Markup("Of {}, <strong>{} lie on the Pareto front</strong>: {}.{}").format(
                counted, len(survey.front), self._extremes(), self._tested()
            )
        name, part = self.words(0), "" if self.config.kind in ("command", "function") else f" on {self.config.part}"
        text = Markup("The best of {}, <strong>trial {}</strong>, reaches a {} of {}{}").format(
            counted, survey.best.number, name, self.with_interval(survey.best), part
        )
        if survey.baseline is not None:
            beside = survey.to_baseline(survey.best)
            assert beside is not None
            text += Markup(", {} that of {} on the same windows").format(ratio(beside), survey.baseline[0])
        return text + Markup(".") + self._tested()

    def _extremes(self) -> str:
        """Say the ends of the front."""
        survey = self.survey
        ends = [
            survey.front[int(np.argmin([survey.sign(i) * trial.values[i] for trial in survey.front]))]
            for i in range(len(self.names))
        ]
        return "; ".join(
            ", ".join(f"{self.words(i)} {self.text(i, trial.values[i])}" for i in range(len(self.names)))
            + f" (trial {trial.number})"
            for trial in ends
        )

    def _tested(self) -> Markup:
        proof = self.survey.proof
        if proof is None:
            return Markup("")
        won = [row for row in proof["rows"] if row["trial"] is not None]
        if not won or self.survey.several:
            return Markup(" The test part was looked at {} after {} trials.").format(
                _times(proof["looks"]), proof["trials"]
            )
        said = "; ".join(f"{ratio(_ratio(row))} that of {proof['baseline']} on {row['trace']}" for row in won)
        return Markup(" On the test part, looked at {} after {} trials, it reaches {}.").format(
            _times(proof["looks"]), proof["trials"], said
        )

    def words(self, target: int) -> str:
        """An objective's name as people say it."""
        return self.names[target].replace("_", " ")

    def text(self, target: int, value: float) -> str:
        """An objective's value as people read it."""
        return metric_text(self.names[target], value) if self.survey.unit(target) else number(value)

    def with_interval(self, trial: FrozenTrial) -> str:
        """The first objective of a trial and its interval, where it has one."""
        mean = self.survey.mean(trial)
        if not math.isfinite(mean.low):
            return self.text(0, trial.values[0])
        return f"{self.text(0, trial.values[0])} [{self.text(0, mean.low)}, {self.text(0, mean.high)}]"

    @property
    def tiles(self) -> list[tuple[str, str, list[str]]]:
        """Headline figures."""
        survey = self.survey
        saved = survey.saved_seconds
        others = [f"{number(len(survey.pruned))} given up early", f"{number(len(survey.failed))} failed"]
        if survey.lost:
            others.append(f"{number(len(survey.lost))} tried again after a worker died")
        tiles = [("trials that came to a value", number(len(survey.complete)), others)]
        if survey.best is not None and not survey.several:
            tiles.append(
                (f"best {self.words(0)}", self.text(0, survey.best.values[0]), [f"trial {survey.best.number}"])
            )
        workers = len(survey.idle)
        time = [f"{workers} worker{'s' if workers != 1 else ''}"]
        if saved > 0:
            time.append(
                f"giving up early saved about {duration(saved)}, {percent(saved / (saved + survey.total_seconds))}"
            )
        return [*tiles, ("time of all trials", duration(survey.total_seconds), time)]

    @property
    def best_table(self) -> Table | None:
        """The best point, parameter by parameter."""
        best = self.survey.best
        if best is None or self.survey.several:
            return None
        found = self.survey.importances(0)
        headings = [("parameter", ""), ("best", ""), ("searched", ""), *((f"importance, {name}", "") for name in found)]
        rows = []
        for name, parameter in self.config.space.items():
            value = best.params.get(name)
            cells = [Cell(name), Cell(_value(value)), Cell(_searched(parameter))]
            shares = [found[method].get(name, math.nan) for method in found]
            rows.append(
                Row([*cells, *(Cell(percent(share), share if math.isfinite(share) else -1) for share in shares)])
            )
        return Table("best", headings, rows)

    def drawn(self, kind: str, target: int) -> list[tuple[str, str]]:
        """The slices or contours of an objective: the name of each figure, and its title."""
        if kind == "slice":
            found = [(f"slice-{name}", name) for name in self.survey.leading]
        else:
            found = [(f"contour-{x}-{y}", f"{x} and {y}") for x, y in contour_pairs(self.survey)]
        return [(f"{name}-{target}", title) for name, title in found if f"{name}-{target}" in self.figures]

    @property
    def fronts(self) -> list[tuple[str, str]]:
        """The figures of the Pareto front, one for each pair of objectives: the name of each, and its title."""
        return [(f"pareto-{i}-{j}", f"{self.words(i)} and {self.words(j)}") for i, j in pareto_pairs(self.survey)]

    @property
    def front_table(self) -> Table | None:
        """The Pareto front, at most twenty points spread over it."""
        front = self.survey.front
        if not front:
            return None
        every = -(-len(front) // _MOST_OF_FRONT)
        headings = [(name, "") for name in ["trial", *map(self.words, range(len(self.names))), *self.config.space]]
        rows = [
            Row(
                [
                    Cell(str(trial.number)),
                    *(Cell(self.text(i, value), value) for i, value in enumerate(trial.values)),
                    *(_parameter_cell(trial.params.get(name)) for name in self.config.space),
                ]
            )
            for trial in front[::every]
        ]
        return Table("front", headings, rows)

    @property
    def test_table(self) -> Table | None:
        """What the winners and their rivals reach on the test part."""
        proof = self.survey.proof
        if proof is None:
            return None
        names = [name for name in self._tested_names if all(name in row["values"] for row in proof["rows"])]
        headings = [("policy", ""), ("log", ""), *((name.replace("_", " "), "") for name in names)]
        headings.append((f"ratio to {proof['baseline']}", "first objective, with its 95 % interval"))
        rows = [
            Row(
                [
                    Cell(row["policy"]),
                    Cell(row["trace"]),
                    *(Cell(metric_text(name, row["values"][name]), row["values"][name]) for name in names),
                    Cell("1" if row["policy"] == proof["baseline"] else ratio(_ratio(row)), _ratio(row).value),
                ],
                "" if row["trial"] is None else "best",
            )
            for row in proof["rows"]
        ]
        return Table("test", headings, rows)

    @property
    def _tested_names(self) -> list[str]:
        if self.config.kind == "evaluate":
            return self.names
        return [str((self.config.train or {}).get("objective", "mean_bounded_slowdown")), "mean_wait"]

    @property
    def time_table(self) -> Table | None:
        """Seconds by phase of a trial."""
        seconds = self.survey.seconds
        if seconds.empty:
            return None
        total = float(seconds.to_numpy().sum())
        words = {
            "suggest": "choosing a point",
            "objective": "trying it",
            "storage": "telling steps, asking whether to go on",
        }
        rows = []
        for phase, own in seconds.items():
            values = [float(own.mean()), float(own.max()), float(own.sum()) / total if total else math.nan]
            cells = [Cell(duration(values[0]), values[0]), Cell(duration(values[1]), values[1])]
            rows.append(Row([Cell(words[str(phase)]), *cells, Cell(percent(values[2]), values[2])]))
        return Table("time", [(heading, "") for heading in ("part of a trial", "mean", "longest", "share")], rows)

    @property
    def worker_table(self) -> Table | None:
        """What each worker did."""
        idle = self.survey.idle
        if len(idle) < 2:
            return None
        rows = [
            Row([Cell(str(w)), Cell(number(n), n), Cell(duration(span), span), Cell(percent(share), share)])
            for w, n, span, share in idle.itertuples(index=False)
        ]
        return Table("workers", [(h, "") for h in ("worker", "trials", "from first to last", "without a trial")], rows)

    @property
    def error_table(self) -> Table | None:
        """What failed trials said."""
        if not self.survey.errors:
            return None
        rows = []
        for message, numbers in self.survey.errors[:_MOST_OF_FRONT]:
            first = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
            said = message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
            rows.append(Row([Cell(said), Cell(number(len(numbers)), len(numbers)), Cell(first)]))
        return Table("errors", [("error", ""), ("trials", ""), ("their numbers", "")], rows)

    @property
    def advice_table(self) -> Table:
        """What to try next, and why."""
        rows = [Row([Cell(advice.what), Cell(advice.why)]) for advice in advise(self.survey)]
        nothing = Row([Cell("nothing in particular"), Cell("no rule found anything to say")])
        return Table("advice", [("what to try next", ""), ("because", "")], rows or [nothing])


def _times(looks: int) -> str:
    return "once" if looks == 1 else f"{looks} times"


def _ratio(row: dict[str, Any]) -> Ratio:
    """Return the ratio of a row of a proof; a bound that is not defined is nan."""
    found = {key: math.nan if value is None else value for key, value in row["ratio"].items()}
    return Ratio(found["value"], found["low"], found["high"])


def _value(value: Any) -> str:
    """Return a parameter's value to four digits."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _parameter_cell(value: Any) -> Cell:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Cell(_value(value), float(value) if numeric else None)


def _searched(parameter: Range | Choice) -> str:
    """Say what was searched: '0 to 2', '1e-05 to 0.01, logarithmic', 'a, b'."""
    if isinstance(parameter, Choice):
        text = ", ".join(map(str, parameter.choices))
    else:
        text = f"{parameter.low:g} to {parameter.high:g}" + (", logarithmic" if parameter.log else "")
        text += f", in steps of {parameter.step:g}" if parameter.step else ""
    conditions = [f"{name} is {' or '.join(map(str, values))}" for name, values in parameter.when.items()]
    return f"{text}; if {' and '.join(conditions)}" if conditions else text

"""Replay every window under every policy, measure, rank, and write the report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.arrays import file_hash
from hpcai.errors import InputError
from hpcai.evaluation.answer import answer
from hpcai.evaluation.config import Entry, EvaluationConfig, make_config
from hpcai.evaluation.fan_out import fan_out
from hpcai.evaluation.groups import cell_of, group_table, pooled_jobs
from hpcai.evaluation.inputs import Input, prepare_all
from hpcai.evaluation.metrics import JOB_MEANS, METRICS, job_values
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.ranking import Floats, Ranking, rank
from hpcai.evaluation.replays import by_window, replay_cells
from hpcai.evaluation.statistics import block_means
from hpcai.evaluation.store import Folder
from hpcai.evaluation.windows import overlap
from hpcai.launching import HERE, Launch

METRIC_COLUMNS: Final = ("trace", "policy", "backfill", "window", "seed", "metric", "value", "unit")


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation; everything here also lies in ``folder``.

    ``metrics`` has the columns of METRIC_COLUMNS, ``groups`` means by user, tenant and class; ``rankings``
    and ``answers`` are by trace.
    """

    config: EvaluationConfig
    folder: Path
    metrics: pd.DataFrame
    groups: pd.DataFrame
    rankings: dict[str, Ranking]
    answers: dict[str, str]
    summary: dict[str, Any]

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"


def evaluate(
    config: EvaluationConfig | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
    launch: Launch = HERE,
    **fields: Any,
) -> Evaluation:
    """Run an evaluation, given as a configuration or as its fields, and write its folder.

    Every finished replay is on disk at once; with ``resume`` those in the folder are kept. ``launch`` says on
    what workers the replays run; results do not depend on it. Raises InputError if an input cannot be used, or
    if the folder to resume was made from something else, WorkerError if a worker failed.
    """
    if (config is None) == (not fields):
        raise InputError("evaluate: give either a configuration or its fields")
    config = config or make_config(fields)
    sources = prepare_all(config)
    folder = Folder(config.out, _identity(config, sources), resume)
    if launch.here:
        with Progress(sum(map(len, by_window(sources))), "replays", quiet) as progress:
            replay_cells(sources, config, folder, progress, wanted=None)
    else:
        fan_out(sources, config, folder, launch, quiet)
    return _conclude(sources, config, folder)


def _identity(config: EvaluationConfig, sources: list[Input]) -> dict[str, Any]:
    """Return all that the results depend on."""
    return {
        "version": version("hpcai"),
        "config": config.as_dict(),
        "inputs": {source.name: source.hashes for source in sources},
        "predictors": _hashes(config.predictor_files),
        "networks": _hashes(config.network_files),
        **_of_site(config),
        "machines": {source.name: source.machine.model_dump(mode="json") for source in sources},
    }


def _hashes(paths: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {path: file_hash(path) for path in paths}


def _of_site(config: EvaluationConfig) -> dict[str, Any]:
    """Return what the site is made of: files with their hashes, and the controller in full where it is not default."""
    found: dict[str, Any] = {"site": _hashes(config.site_files)} if config.site_files else {}
    controller = config.controller.model_dump(mode="json", exclude_defaults=True)
    return found | ({"cooling_controller": controller} if config.cooling and controller["kind"] != "default" else {})


def _conclude(sources: list[Input], config: EvaluationConfig, folder: Folder) -> Evaluation:
    """Read what lies in the folder, rank, and write the result files."""
    from hpcai.evaluation.report import render

    metrics = pd.DataFrame(_metric_rows(sources, config, folder), columns=list(METRIC_COLUMNS))
    rankings = {source.name: _ranking(source, config, folder, metrics) for source in sources}
    answers = {source.name: answer(rankings[source.name], source, config) for source in sources}
    pools = {
        source.name: {e: pooled_jobs(source, e, folder, config.warmup) for e in source.entries} for source in sources
    }
    groups = pd.concat(
        [group_table(pool, s, entry) for s in sources for entry, pool in pools[s.name].items()],
        ignore_index=True,
    )
    summary = _summary(sources, config, rankings, answers, metrics)
    evaluation = Evaluation(config, folder.path, metrics, groups, rankings, answers, summary)
    folder.write("metrics.csv", metrics.to_csv(index=False, lineterminator="\n"))
    folder.write("groups.csv", groups.to_csv(index=False, lineterminator="\n"))
    folder.write("summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    report = render(
        config=config,
        sources=sources,
        rankings=rankings,
        answers=answers,
        metrics=metrics,
        groups=groups,
        pools=pools,
        folder=folder,
    )
    folder.write("report.html", report)
    folder.finish()
    return evaluation


def _metric_rows(
    sources: list[Input], config: EvaluationConfig, folder: Folder
) -> Iterable[tuple[str, str, str, int, int, str, float, str]]:
    for source in sources:
        for entry in source.entries:
            for window in source.windows:
                for name, value in folder.metrics(cell_of(source, entry, window.number)).items():
                    yield (
                        source.name,
                        entry.name,
                        entry.backfill,
                        window.number,
                        config.seed,
                        name,
                        value,
                        METRICS[name].unit,
                    )


def _ranking(source: Input, config: EvaluationConfig, folder: Folder, metrics: pd.DataFrame) -> Ranking:
    """Rank a trace's entries: over windows, or over blocks of submissions if there is one window."""
    block, with_intervals = 1, f"BCa, 95 %, {config.resamples:,} resamples"
    if len(source.windows) > 1:
        block = overlap(source.windows)
        units = {entry: _over_windows(source, entry, config, metrics) for entry in source.entries}
        method = f"paired bootstrap over {len(source.windows)} windows ({with_intervals})"
        if block > 1:
            method += f", {block} neighbouring windows together because windows overlap"
        if len(source.windows) < 10:
            method += "; with so few windows the intervals are rough"
    elif config.objective in JOB_MEANS:
        units = {entry: _over_blocks(source, entry, config, folder) for entry in source.entries}
        blocks = len(next(iter(units.values())))
        method = (
            f"paired bootstrap over {blocks} contiguous blocks of submissions of the one window "
            f"({with_intervals}); rough, since a queue carries over from one block to the next"
        )
    else:
        units = {entry: _over_windows(source, entry, config, metrics) for entry in source.entries}
        method = "one window gives no interval for this objective"
    return rank(
        units,
        METRICS[config.objective],
        config.baseline_entry,
        method,
        block=block,
        resamples=config.resamples,
        seed=config.seed,
    )


def _over_windows(source: Input, entry: Entry, config: EvaluationConfig, metrics: pd.DataFrame) -> Floats:
    """Return the objective in each window (float64[windows])."""
    chosen = (
        (metrics["trace"] == source.name)
        & (metrics["policy"] == entry.name)
        & (metrics["backfill"] == entry.backfill)
        & (metrics["metric"] == config.objective)
    )
    values: Floats = metrics.loc[chosen, "value"].to_numpy(np.float64)
    if len(values) < len(source.windows):
        raise InputError(
            f"{source.source}: objective {config.objective!r} is not defined under {entry.label!r} "
            f"in {len(source.windows) - len(values)} of {len(source.windows)} windows"
        )
    return values


def _over_blocks(source: Input, entry: Entry, config: EvaluationConfig, folder: Folder) -> Floats:
    """Return the objective in each block of submissions of the only window (float64[blocks])."""
    schedule = folder.schedule(cell_of(source, entry, 0)).iloc[config.warmup :]
    values: Floats = getattr(job_values(schedule), config.objective.removeprefix("mean_"))
    return block_means(values)


def _summary(
    sources: list[Input],
    config: EvaluationConfig,
    rankings: dict[str, Ranking],
    answers: dict[str, str],
    metrics: pd.DataFrame,
) -> dict[str, Any]:
    """Return summary.json: what was done to what, and what came out, without any time of day."""
    means = metrics.groupby(["trace", "policy", "backfill", "metric"], sort=False)["value"].mean()
    traces = {}
    for source in sources:
        ranking = rankings[source.name]
        rows = []
        for row in ranking.rows:
            of_row = means.loc[source.name, row.entry.name, row.entry.backfill]
            rows.append(row.as_dict() | {"metrics": {str(name): float(value) for name, value in of_row.items()}})
        submit = source.jobs["submit"].to_numpy()
        traces[source.name] = {
            "answer": answers[source.name],
            "source": source.source,
            "format": source.trace.format,
            "sha256": source.hashes,
            "jobs": len(source.trace.jobs),
            "replayable": len(source.jobs),
            "left_out": source.left_out,
            "bad_rows": {
                reason: {"count": count, "first_lines": source.trace.bad_rows.first_lines[reason]}
                for reason, count in source.trace.bad_rows.count.items()
            },
            "notes": [*source.trace.notes, *source.notes],
            "machine": source.machine.model_dump(mode="json", exclude_defaults=True),
            "part": config.part_used,
            "windows": [
                {"number": w.number, "first": w.first, "last": w.last, "submit": float(submit[w.first])}
                for w in source.windows
            ],
            "objective": ranking.objective.name,
            "intervals": ranking.method,
            "ranking": rows,
        }
        if source.site is not None:
            from hpcai.evaluation.energy.tables import as_rows, to_baseline

            own = metrics[metrics["trace"] == source.name]
            traces[source.name]["energy_to_baseline"] = as_rows(to_baseline(own, source, ranking, config))
            if source.site.cooling is not None:
                from hpcai.evaluation.energy.plant import described

                traces[source.name]["cooling"] = described(source, source.site.cooling, config)
    return {
        "hpcai": version("hpcai"),
        "seed": config.seed,
        "config": config.as_dict(),
        "predictors": _hashes(config.predictor_files),
        "networks": _hashes(config.network_files),
        **_of_site(config),
        "traces": traces,
    }

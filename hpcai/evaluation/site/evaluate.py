"""A site simulated, alone or beside another: results as JSON, jobs and timeline as Parquet, a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.evaluation.gpu_cluster.evaluate import plain
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import write_whole
from hpcai.evaluation.site.config import SiteConfig
from hpcai.evaluation.site.draws import Metrics, compare, means, measure_draws
from hpcai.evaluation.site.inputs import Prepared, prepare
from hpcai.evaluation.site.measures import MEASURES, Watch, by_tenant, job_table, measure
from hpcai.evaluation.site.recorder import Recorder
from hpcai.simulation.site.site import OVER, Site
from hpcai.simulation.site.timeline import COLUMNS

POINTS: Final = 1500  # of a line in the report
_SUMS: Final = ("preemptions", "killed", "ended")  # counts so far: the last of a span, not the mean


@dataclass(frozen=True)
class Simulated:
    """One draw of a site that has run: its timeline in at most POINTS spans, and what it amounts to."""

    config: SiteConfig
    timeline: pd.DataFrame
    metrics: dict[str, float]
    tenants: dict[str, dict[str, float]]
    jobs: pd.DataFrame
    prepared: Prepared


class Thinned:
    """A timeline in spans of ``every`` ticks: means, of what is counted up its last."""

    def __init__(self, ticks: int) -> None:
        self.every = max(-(-ticks // POINTS), 1)
        self._rest = np.empty((0, len(COLUMNS)))
        self._parts: list[np.ndarray[Any, np.dtype[np.float64]]] = []
        self._last = [COLUMNS.index(name) for name in ("time", *_SUMS)]

    def see(self, rows: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Take a chunk in."""
        rows = np.concatenate([self._rest, rows])
        whole = len(rows) // self.every * self.every
        spans = rows[:whole].reshape(-1, self.every, len(COLUMNS))
        means = spans.mean(axis=1)
        means[:, self._last] = spans[:, -1, self._last]
        self._parts.append(means)
        self._rest = rows[whole:]

    def table(self) -> pd.DataFrame:
        """Return the spans; ticks at the end that fill none are left out."""
        return pd.DataFrame(np.concatenate(self._parts), columns=list(COLUMNS))


def simulate(
    config: SiteConfig,
    *,
    record: str | Path | None = None,
    quiet: bool = True,
    watch: Callable[[Site], object] | None = None,
) -> Simulated:
    """Run a site to its end, its timeline written to ``record`` as it goes; ``watch`` sees the site after each tick.

    Raises InputError if something that the configuration names cannot be had.
    """
    prepared = prepare(config)
    setting = prepared.setting
    thinned = Thinned(setting.ticks)
    seen = Watch(config.heat, setting.tick)
    with ExitStack() as stack:
        sinks = [thinned.see, seen.see]
        if record is not None:
            sinks.append(stack.enter_context(Recorder(record)).write)
        site = Site(prepared.jobs, setting, asks_ticks=True, sink=lambda rows: [sink(rows) for sink in sinks])
        progress = stack.enter_context(Progress(setting.ticks, f"ticks of {config.name}", quiet))
        for tick in _ticks(site):
            progress.reach(tick)
            if watch is not None:
                watch(site)
        site.finish()
    return Simulated(config, thinned.table(), measure(site, seen), by_tenant(site), job_table(site), prepared)


def _ticks(site: Site) -> Iterator[int]:
    while site.advance() != OVER:
        yield site.tick


def evaluate_site(
    config: SiteConfig,
    others: list[SiteConfig] | None = None,
    *,
    baseline: str | None = None,
    record: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    quiet: bool = True,
) -> dict[str, Any]:
    """Return the results of a site and of ``others`` beside it, which are also in its folder with a report.

    ``baseline`` is the name of the one that all are compared with, by default the first. ``record`` is a Parquet file
    for the timeline of the first, of others beside it with their names. Timelines and jobs are those of the first draw;
    the other draws are shared out among ``workers`` processes, and with ``resume`` those that are there are not made
    again. Raises InputError as :func:`simulate` does.
    """
    from hpcai.evaluation.site.report import render

    configs = [config, *(others or [])]
    names = [each.name for each in configs]
    if len(set(names)) < len(names):
        raise InputError(f"sites: found the name {names[-1]!r} twice, expected a 'name' of its own for each")
    if len({each.draws for each in configs}) > 1:
        raise InputError("sites: found different numbers of draws, expected as many of each")
    baseline, folder = baseline or names[0], Path(config.out)
    runs = {}
    for each in configs:
        file = None if record is None else _beside(Path(record), each.name if each is not config else "")
        runs[each.name] = simulate(each.draw(0), record=file, quiet=quiet)
    draws = {name: [run.metrics] for name, run in runs.items()}
    for name, further in measure_draws(configs, folder / "draws", workers, resume, quiet).items():
        draws[name] += further
    results = results_of(runs, draws, baseline)
    for name, run in runs.items():
        write_whole(folder / f"jobs-{name}.parquet", _parquet(run.jobs))
    write_whole(folder / "results.json", (json.dumps(results, indent=1, allow_nan=False) + "\n").encode())
    write_whole(folder / "report.html", render(runs, results).encode())
    return results


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}") if name else path


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def results_of(runs: dict[str, Simulated], draws: dict[str, list[Metrics]], baseline: str) -> dict[str, Any]:
    """Return the means over the draws of each site, with each metric over that of the baseline."""
    sites = {}
    for name, run in runs.items():
        compared = compare(draws[name], draws[baseline])
        sites[name] = {
            "config": run.config.as_dict(),
            "seed": run.config.seed,
            "jobs": len(run.jobs),
            "left_out": run.prepared.left_out,
            "outages": len(run.prepared.setting.outages),
            "begin": None if run.prepared.begin is None else run.prepared.begin.isoformat(),
            "metrics": means(draws[name]),
            "ratios": {key: ratio.value for key, ratio in compared.items()},
            "intervals": {key: [ratio.low, ratio.high] for key, ratio in compared.items()},
            "draws": draws[name],
            "tenants": run.tenants,
            "sha256": run.prepared.sha256,
        }
    count = len(draws[baseline])
    result: dict[str, Any] = plain(
        {"hpcai": version("hpcai"), "baseline": baseline, "draws": count, "sites": sites, "measures": list(MEASURES)}
    )
    return result

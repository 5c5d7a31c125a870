"""The draws of a site: each measured by itself, means over all, ratios between sites draw by draw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS
from hpcai.evaluation.gpu_cluster.evaluate import plain
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import write_json
from hpcai.evaluation.site.config import SiteConfig
from hpcai.evaluation.site.measures import MEASURES
from hpcai.evaluation.statistics import Ratio, ratios, resample

Metrics = dict[str, float]


def measured(config: SiteConfig) -> Metrics:
    """Return the metrics of one draw, by itself."""
    from hpcai.evaluation.site.evaluate import simulate

    return simulate(config).metrics


def measure_draws(
    configs: Sequence[SiteConfig], folder: Path, workers: int, resume: bool, quiet: bool
) -> dict[str, list[Metrics]]:
    """Return the metrics of all draws of each site but the first, by name; each is in ``folder`` once it is there.

    With ``resume`` a file of the same configuration is believed.
    """
    every = [(each.name, k, each.draw(k)) for each in configs for k in range(1, each.draws)]
    found: dict[tuple[str, int], Metrics] = {}
    missing = []
    for name, k, config in every:
        known = _known(_file(folder, name, k), config) if resume else None
        if known is None:
            missing.append((name, k, config))
        else:
            found[name, k] = known
    with Progress(len(missing), "draws", quiet) as progress:
        for name, k, config, metrics in _in_processes(missing, workers):
            write_json(_file(folder, name, k), plain({"config": config.as_dict(), "metrics": metrics}))
            found[name, k] = metrics
            progress.advance()
    return {each.name: [found[each.name, k] for k in range(1, each.draws)] for each in configs}


def _file(folder: Path, name: str, k: int) -> Path:
    return folder / f"{name}-{k}.json"


def _known(path: Path, config: SiteConfig) -> Metrics | None:
    """Return what was measured of a configuration, if it was."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text("utf-8"))
    if content["config"] != json.loads(json.dumps(config.as_dict())):
        return None
    return {key: np.nan if value is None else float(value) for key, value in content["metrics"].items()}


def _in_processes(
    wanted: Sequence[tuple[str, int, SiteConfig]], workers: int
) -> Iterator[tuple[str, int, SiteConfig, Metrics]]:
    """Measure draws, as they become ready; with one worker here."""
    if workers == 1 or len(wanted) < 2:
        yield from ((name, k, config, measured(config)) for name, k, config in wanted)
        return
    with ExitStack() as stack:
        pool: Executor = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        asked = {pool.submit(measured, config): (name, k, config) for name, k, config in wanted}
        for future in as_completed(asked):
            yield (*asked[future], future.result())


def means(draws: Sequence[Metrics]) -> Metrics:
    """Return the mean of each metric over the draws that have it; nan where none has."""
    values = {key: np.array([draw[key] for draw in draws]) for key in MEASURES}
    return {key: float(of[np.isfinite(of)].mean()) if np.isfinite(of).any() else np.nan for key, of in values.items()}


def compare(draws: Sequence[Metrics], base: Sequence[Metrics]) -> dict[str, Ratio]:
    """Return the ratio of the means of each metric with its 95 % interval, paired draw by draw.

    Over the draws that both have; without an interval where that is one.
    """
    result = {}
    for key in MEASURES:
        pairs = np.array([(one[key], other[key]) for one, other in zip(draws, base, strict=True)])
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        if not len(pairs) or not pairs[:, 1].any():
            result[key] = Ratio(np.nan, np.nan, np.nan)
            continue
        weights = resample(len(pairs), 1, RESAMPLES if len(pairs) > 1 else 1, np.random.default_rng(SEED_OF_INTERVALS))
        result[key] = ratios(pairs[:, :1], pairs[:, 1], weights)[0]
    return result

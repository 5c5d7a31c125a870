"""The draws of a site: each measured by itself, means over all, ratios between sites draw by draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import write_json
from hpcai.evaluation.site.config import SiteConfig
from hpcai.evaluation.site.measures import MEASURES
from hpcai.evaluation.statistics import Ratio, ratios, resample
from hpcai.launching import WORKERS, Launch, Task, launch

Metrics = dict[str, float]


def measured(config: SiteConfig) -> Metrics:
    """Return the metrics of one draw, by itself."""
    from hpcai.evaluation.site.evaluate import simulate

    return simulate(config).metrics


@dataclass(frozen=True)
class Share(Task):
    """The draws of one worker: the file of each and its configuration."""

    draws: tuple[tuple[Path, SiteConfig], ...]

    def __call__(self, done: Callable[[], None] = lambda: None) -> None:
        """Measure them, each in its file once it is there; ``done`` is told of each."""
        for file, config in self.draws:
            known = {key: value if np.isfinite(value) else None for key, value in measured(config).items()}
            write_json(file, {"config": config.as_dict(), "metrics": known})
            done()


def measure_draws(
    configs: Sequence[SiteConfig], folder: Path, workers: int, resume: bool, quiet: bool
) -> dict[str, list[Metrics]]:
    """Return the metrics of all draws of each site but the first, by name; each is in ``folder`` once it is there.

    With ``resume`` a file of the same configuration is believed.
    """
    every = {
        each.name: [(folder / f"{each.name}-{k}.json", each.draw(k)) for k in range(1, each.draws)] for each in configs
    }
    missing = [draw for draws in every.values() for draw in draws if not (resume and _is_there(*draw))]
    for file, _ in missing:
        file.unlink(missing_ok=True)

    def watch(_: int) -> None:
        progress.reach(sum(file.is_file() for file, _ in missing))

    with Progress(len(missing), "draws", quiet) as progress:
        if workers == 1 or len(missing) < 2:
            Share(tuple(missing))(progress.advance)
        else:
            shares = [Share(tuple(missing[k::workers])) for k in range(min(workers, len(missing)))]
            launch(shares, Launch(workers=workers), folder / WORKERS, watch=watch)
    return {name: [_metrics(file) for file, _ in draws] for name, draws in every.items()}


def _is_there(file: Path, config: SiteConfig) -> bool:
    """Whether a file holds what was measured of a configuration."""
    return file.is_file() and json.loads(file.read_text("utf-8"))["config"] == json.loads(json.dumps(config.as_dict()))


def _metrics(file: Path) -> Metrics:
    known = json.loads(file.read_text("utf-8"))["metrics"]
    return {key: np.nan if value is None else float(value) for key, value in known.items()}


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

"""What of an evaluation takes long: every window replayed under every policy, measured and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from hpcai.evaluation.config import Entry, EvaluationConfig
from hpcai.evaluation.fairness import fair_start
from hpcai.evaluation.groups import cell_of
from hpcai.evaluation.inputs import Input, recorded_schedule
from hpcai.evaluation.metrics import measure
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.ranking import Floats
from hpcai.evaluation.store import Cell, Cells
from hpcai.evaluation.windows import Window
from hpcai.scheduling.policy import Policy


def by_window(sources: list[Input]) -> Iterator[list[Cell]]:
    """Yield the cells of an evaluation, those of a window together."""
    for source in sources:
        for window in source.windows:
            yield [cell_of(source, entry, window.number) for entry in source.entries]


def replay_cells(
    sources: list[Input], config: EvaluationConfig, cells: Cells, progress: Progress, wanted: frozenset[Cell] | None
) -> None:
    """Replay, measure and store the wanted cells (None: all) that are not there yet."""
    for source in sources:
        for window in source.windows:
            _replay_window(source, window, config, cells, progress, wanted)


def _replay_window(
    source: Input,
    window: Window,
    config: EvaluationConfig,
    cells: Cells,
    progress: Progress,
    wanted: frozenset[Cell] | None,
) -> None:
    jobs = source.window_jobs(window)
    fair: dict[tuple[bool, bool], Floats] = {}  # fair start times depend on no more of a policy than this
    for entry in source.entries:
        cell = cell_of(source, entry, window.number)
        if (wanted is None or cell in wanted) and not cells.has(cell):
            policy = entry.policy or Policy()
            key = (policy.kill_at_limit, policy.dependencies)
            if config.fair_start and key not in fair:
                fair[key] = fair_start(jobs, source.machine, policy)
            schedule = scheduled(source, window, jobs, entry, config.seed, progress.within(len(jobs)))
            metrics = measure(schedule, jobs, source.machine, fair_start=fair.get(key), warmup=config.warmup)
            if source.site is not None:
                from hpcai.evaluation.energy.measures import energy_metrics

                metrics |= energy_metrics(schedule, jobs, source.machine, source.site, config.seed, config.warmup)
            cells.write_cell(cell, schedule, metrics)
        progress.advance()


def scheduled(
    source: Input,
    window: Window,
    jobs: pd.DataFrame,
    entry: Entry,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Return who of a window's ``jobs`` ran when under an entry; ``seed`` draws how hard jobs work."""
    if entry.policy is None:
        return recorded_schedule(jobs)
    past = source.past(window)
    if entry.response.idle:
        from hpcai.simulation import replay

        origin = source.trace.origin
        return replay(jobs, source.machine, entry.policy, past=past, origin=origin, progress=progress).table
    from hpcai.simulation.energy.response import replay_with
    from hpcai.simulation.energy.site import Site

    site = source.site or Site(origin=source.trace.origin)
    return replay_with(
        entry.response, jobs, source.machine, entry.policy, site, seed=seed, past=past, progress=progress
    )

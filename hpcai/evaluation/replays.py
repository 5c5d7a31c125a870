"""What of an evaluation takes long: every window replayed under every policy, measured and stored."""

from __future__ import annotations

from collections.abc import Iterator

from hpcai.evaluation.config import EvaluationConfig
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
    from hpcai.simulation import replay

    jobs = source.window_jobs(window)
    fair: dict[tuple[bool, bool], Floats] = {}  # fair start times depend on no more of a policy than this
    for entry in source.entries:
        cell = cell_of(source, entry, window.number)
        if (wanted is None or cell in wanted) and not cells.has(cell):
            policy = entry.policy or Policy()
            key = (policy.kill_at_limit, policy.dependencies)
            if config.fair_start and key not in fair:
                fair[key] = fair_start(jobs, source.machine, policy)
            if entry.policy:
                schedule = replay(
                    jobs,
                    source.machine,
                    policy,
                    past=source.past(window),
                    origin=source.trace.origin,
                    progress=progress.within(len(jobs)),
                ).table
            else:
                schedule = recorded_schedule(jobs)
            metrics = measure(schedule, jobs, source.machine, fair_start=fair.get(key), warmup=config.warmup)
            cells.write_cell(cell, schedule, metrics)
        progress.advance()

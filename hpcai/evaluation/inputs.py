"""A log made ready for evaluation: its machine, the jobs that can be replayed, the windows, the entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.evaluation.config import RECORDED, Entry, EvaluationConfig
from hpcai.evaluation.windows import Window, draw_windows, overlap
from hpcai.records import Trace, machine_of, read_trace
from hpcai.records.splitting import part_bounds
from hpcai.scheduling.jobs import replayable

if TYPE_CHECKING:
    from hpcai.simulation.energy.site import Site

ENOUGH_RECORDED = 0.9
"""Share of the jobs that must have a recorded start and end for the record to be worth comparing with."""


@dataclass(frozen=True)
class Input:
    """One log, ready. ``jobs`` are the replayable rows of the trace, windows index into them."""

    name: str
    source: str
    trace: Trace
    machine: Machine
    jobs: pd.DataFrame
    bounds: tuple[int, int]
    windows: list[Window]
    entries: tuple[Entry, ...]
    left_out: dict[str, int]
    notes: list[str]
    site: Site | None = None  # where energy is measured, or policies respond to power

    def window_jobs(self, window: Window) -> pd.DataFrame:
        """Return the canonical rows of a window with a fresh index."""
        return self.jobs.iloc[window.first : window.last].reset_index(drop=True)

    def past(self, window: Window) -> pd.DataFrame:
        """Return the canonical rows of all jobs submitted before a window: what a predictor may have learned from."""
        return self.jobs.iloc[: window.first]

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file read, by name."""
        return dict(sorted(self.trace.sha256.items()))


def prepare_all(config: EvaluationConfig) -> list[Input]:
    """Read the logs of an evaluation. Raises InputError as ``prepare`` does."""
    sources: list[Input] = []
    for trace in config.trace:
        sources.append(prepare(trace, config, {source.name for source in sources}))
    return sources


def prepare(source: str, config: EvaluationConfig, taken: set[str]) -> Input:
    """Read ``source`` and lay out its evaluation; its name is made different from those ``taken``.

    Raises InputError if the log or the machine cannot be read, or the part holds no window.
    """
    trace = read_trace(source, format=config.format)
    machine, notes = _machine(trace, config)
    trace = replace(trace, jobs=hastened(_chosen(trace, config, notes), config.load))
    jobs, left_out = replayable(_sized(trace.jobs, config), machine)
    jobs = jobs.reset_index(drop=True)
    bounds = part_bounds(trace, jobs, config.part_used)
    windows, window_notes = draw_windows(bounds, config.window_shape, config.seed, source)
    notes += window_notes + _overlap_note(windows)
    entries = config.entries
    recorded = jobs.iloc[slice(*bounds)][["start", "end"]].notna().all(axis=1).mean()
    if config.load != 1:
        notes.append(f"jobs come {config.load:g} times as fast as recorded, so there is no comparison with the record")
    elif recorded >= ENOUGH_RECORDED:
        entries = (*entries, Entry(RECORDED, RECORDED, None))
        if recorded < 1:
            notes.append(f"{1 - recorded:.1%} of the jobs have no recorded start or end")
    else:
        notes.append("the log does not say when jobs started, so there is no comparison with the record")
    name = trace.name
    while name in taken:
        name += "+"
    site = _site(trace, config, notes)
    return Input(name, source, trace, machine, jobs, bounds, windows, entries, left_out, notes, site)


def _site(trace: Trace, config: EvaluationConfig, notes: list[str]) -> Site | None:
    """Return where the machine stands, if power matters. Raises InputError if a file cannot be used."""
    if not config.measures_power:
        return None
    from hpcai.records.grid_signal import read_grid_signal
    from hpcai.simulation.energy.cooling import SiteCooling
    from hpcai.simulation.energy.site import Site

    case = config.cooling_case
    cooling = None if case is None else SiteCooling(case, config.controller.make(case))
    price, carbon = (None if file is None else read_grid_signal(file) for file in (config.price, config.carbon))
    weather = None if cooling is None else cooling.weather
    known = [read for read in (weather, price, carbon) if read is not None]
    notes += [f"{read.name}: {note}" for read in known for note in read.notes]
    if np.isnan(trace.origin) and config.site_files:
        notes.append("the log does not say when it began: it is taken to begin with weather, price or carbon intensity")
    if not trace.jobs["power"].notna().any():
        notes.append("the log does not say what its jobs drew: how hard they worked is drawn (docs/energy.md)")
    return Site(cooling, price, carbon, trace.origin)


def hastened(jobs: pd.DataFrame, load: float) -> pd.DataFrame:
    """Return ``jobs`` with the times between submissions, and think times, divided by ``load``.

    The first submission stays where it is. Each job keeps the wait and the run time that are recorded of it, so
    its start and end move with its submission: what a predictor may have learned from the past stays in order.
    """
    if load == 1 or jobs.empty:
        return jobs
    first = jobs["submit"].min()
    submit = first + (jobs["submit"] - first) / load
    earlier = jobs["submit"] - submit
    moved = {"submit": submit, "start": jobs["start"] - earlier, "end": jobs["end"] - earlier}
    return jobs.assign(**moved, think_time=jobs["think_time"] / load)


def recorded_schedule(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return what the log says happened to ``jobs``, in the columns of a replayed schedule."""
    known = (jobs["start"].notna() & jobs["end"].notna()).to_numpy()
    return pd.DataFrame(
        {
            "job_id": jobs["job_id"],
            "submit": jobs["submit"],
            "start": jobs["start"].where(known),
            "end": jobs["end"].where(known),
            "processors": jobs["processors"],
            "gpus": jobs["gpus"],
            "nodes": "",
            "killed": False,
        }
    )


def _machine(trace: Trace, config: EvaluationConfig) -> tuple[Machine, list[str]]:
    if config.machine is not None:
        return load_machine(config.machine), []
    machine, inferred = machine_of(trace)
    note = "the log does not name its machine; it was inferred from the recorded use and is a lower bound"
    return machine, [note] if inferred else []


def _chosen(trace: Trace, config: EvaluationConfig, notes: list[str]) -> pd.DataFrame:
    """Return the jobs that take part. Raises InputError if there are none."""
    if config.jobs == "all":
        return trace.jobs
    chosen = trace.jobs[trace.jobs["gpus"] > 0].reset_index(drop=True)
    if chosen.empty:
        raise InputError(f"{trace.name}: jobs 'gpu': no job of the log has a GPU")
    notes.append(f"only the {len(chosen):,} jobs with GPUs of {len(trace.jobs):,} take part, and parts are theirs")
    return chosen


def _sized(jobs: pd.DataFrame, config: EvaluationConfig) -> pd.DataFrame:
    """Return ``jobs`` with the size that the configuration says: allocated, or requested where known."""
    if config.size == "allocated":
        return jobs
    requested = jobs["requested_processors"]
    return jobs.assign(processors=requested.where(requested > 0, jobs["processors"]))


def _overlap_note(windows: list[Window]) -> list[str]:
    neighbours = overlap(windows)
    if neighbours == 1:
        return []
    distinct = len(np.unique(np.concatenate([np.arange(w.first, w.last) for w in windows])))
    return [
        f"windows overlap: together they hold {distinct:,} different jobs; the intervals allow for it by "
        f"resampling {neighbours} neighbouring windows together"
    ]

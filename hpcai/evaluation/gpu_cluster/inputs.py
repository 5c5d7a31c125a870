"""The jobs that disciplines are compared on: windows of a log, or one draw of a generator per seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.evaluation.gpu_cluster.config import ClusterConfig
from hpcai.evaluation.inputs import hastened
from hpcai.evaluation.windows import draw_windows, overlap
from hpcai.records import generate, machine_of, read_trace
from hpcai.records.splitting import part_bounds
from hpcai.scheduling.gpu_cluster.work import by_pods
from hpcai.scheduling.jobs import replayable


@dataclass(frozen=True)
class Case:
    """Jobs that every discipline is given alike."""

    name: str  # 'window 3', 'seed 5'
    seed: int  # of placements that draw
    jobs: pd.DataFrame  # runnable, by submission
    left_out: dict[str, int]


@dataclass(frozen=True)
class Inputs:
    """The cases of a comparison and the machine; ``block`` neighbouring cases share jobs."""

    source: str
    machine: Machine
    cases: list[Case]
    block: int = 1
    sha256: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare(config: ClusterConfig) -> Inputs:
    """Read or draw the jobs. Raises InputError if they cannot be had, or the machine has no nodes with GPUs."""
    inputs = _drawn(config) if config.trace is None else _recorded(config)
    if not inputs.machine.by_node or inputs.machine.total_gpus == 0:
        raise InputError(f"machine {inputs.machine.name}: expected nodes with GPUs, such as the preset mn-1; give one")
    for case in inputs.cases:
        if case.jobs.empty:
            raise InputError(f"{inputs.source}: {case.name}: no job that could be replayed")
    keeps = any(discipline.backfill != "none" for discipline in config.settings.values())
    unknown = sum(int(case.jobs["requested_time"].isna().sum()) for case in inputs.cases)
    if keeps and unknown:
        jobs = sum(len(case.jobs) for case in inputs.cases)
        inputs.notes.append(
            f"{unknown} of {jobs} jobs have no requested time: places are kept for them, and beside them, as if it were"
            " known how long they run"
        )
    return inputs


def _drawn(config: ClusterConfig) -> Inputs:
    wanted = config.generator
    assert wanted is not None
    machine = load_machine(config.machine) if config.machine is not None else None
    cases = []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        trace = generate(
            wanted.kind, wanted.jobs, seed=seed, load=wanted.load, machine=machine, parameters=wanted.parameters
        )
        machine = machine or trace.machine
        if machine is None:
            raise InputError(f"generator {wanted.kind}: has no machine of its own; expected 'machine'")
        cases.append(_case(f"seed {seed}", seed, trace.jobs, machine, config))
    assert machine is not None
    return Inputs(f"generator {wanted.kind}", machine, cases)


def _recorded(config: ClusterConfig) -> Inputs:
    assert config.trace is not None
    trace = read_trace(config.trace, format=config.format)
    inferred = False
    if config.machine is not None:
        machine = load_machine(config.machine)
    else:
        machine, inferred = machine_of(trace)
    notes = list(trace.notes)
    if inferred:
        notes.append("the log does not name its machine; it was inferred from the recorded use and is a lower bound")
    if not machine.by_node:
        return Inputs(trace.name, machine, [])
    trace = replace(trace, jobs=hastened(trace.jobs, config.load))
    whole = _case("all", config.seed, trace.jobs, machine, config)
    bounds = part_bounds(trace, whole.jobs, config.part_used)
    windows, said = draw_windows(bounds, config.window_shape, config.seed, config.trace)
    cases = [
        Case(
            f"window {window.number}",
            config.seed + window.number,
            whole.jobs.iloc[window.first : window.last].reset_index(drop=True),
            whole.left_out,
        )
        for window in windows
    ]
    return Inputs(trace.name, machine, cases, overlap(windows), dict(trace.sha256), notes + said)


def _case(name: str, seed: int, jobs: pd.DataFrame, machine: Machine, config: ClusterConfig) -> Case:
    chosen = jobs[jobs["gpus"] > 0] if config.jobs == "gpu" else jobs
    kept, left_out = replayable(by_pods(chosen), machine)
    return Case(name, seed, chosen.loc[kept.index].reset_index(drop=True), left_out)

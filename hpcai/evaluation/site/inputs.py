"""From the configuration of a site to what is simulated: jobs read or drawn, faults likewise, weather, grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hpcai.arrays import file_hash
from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig, controller_config
from hpcai.evaluation.site.config import FaultSource, SiteConfig
from hpcai.faults.fitted import FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.records import generate, read_grid_signal, read_trace
from hpcai.records.calendar import DAY
from hpcai.records.failures import read_failures
from hpcai.records.weather import Weather
from hpcai.scheduling.gpu_cluster.work import by_pods
from hpcai.scheduling.jobs import replayable
from hpcai.simulation.faults.outages import Domain, Outage, merged, replayed
from hpcai.simulation.site.ruler import RULER_FILE, read_ruler
from hpcai.simulation.site.setting import SiteSetting

HOUR = 3600.0


@dataclass(frozen=True)
class Prepared:
    """What a site is made of: jobs that its machine can run, and the setting."""

    jobs: pd.DataFrame
    setting: SiteSetting
    left_out: dict[str, int]
    controller: ControllerConfig | None
    begin: datetime | None = None  # local time of second 0, where a plant cools
    sha256: dict[str, str] = field(default_factory=dict)


def prepare(config: SiteConfig) -> Prepared:
    """Read or draw all that ``config`` names. Raises InputError if something cannot be had."""
    machine = machine_of(config)
    jobs, origin, left_out, sha256 = _jobs(config, machine)
    case = config.case
    fields: dict[str, Any] = {"control_every": max(round(900.0 / (60.0 * config.tick_minutes)), 1)}
    controller, begin = None, None
    if case is not None and config.cooling is not None:
        weather = case.read_weather()
        sha256 |= weather.sha256
        offset = weather_begin(weather, config.cooling.start, origin)
        controller = controller_config(config.cooling.controller, "cooling.controller")
        every = config.cooling.every_minutes / config.tick_minutes
        if every < 1 or abs(every - round(every)) > 1e-9:
            raise InputError(f"every_minutes {config.cooling.every_minutes:g}: expected a multiple of the tick")
        asked = case.model_copy(update={"step_minutes": min(round(config.cooling.every_minutes), 60)})
        fields = {"controller": controller.make(asked), "control_every": round(every), "weather_begin": offset}
        origin = weather.unix_start + offset
        begin = weather.start + pd.Timedelta(seconds=offset).to_pytimedelta()
        fields["time_of_day"] = 3600.0 * begin.hour + 60.0 * begin.minute
    signals = {name: read_grid_signal(path) for name, path in _series(config).items()}
    for signal in signals.values():
        sha256 |= signal.sha256
    if math.isnan(origin):
        origin = next((signal.start for signal in signals.values()), 0.0)
    setting = SiteSetting(
        machine=machine,
        discipline=config.rules,
        duration=config.days * DAY,
        seed=config.seed,
        tick=60.0 * config.tick_minutes,
        outages=outages_of(config.faults, machine.total_nodes, config.days * DAY, config.seed),
        crews=None if config.faults is None else config.faults.crews,
        power=config.power,
        sides=config.sides,
        cooling=case,
        origin=origin,
        shift=config.shift,
        carbon=signals.get("carbon"),
        price=signals.get("price"),
        **fields,
    )
    if config.agent is not None:
        setting = read_ruler(config.agent).ruling(setting)
        sha256[config.agent] = file_hash(f"{config.agent}/{RULER_FILE}")
    return Prepared(jobs, setting, left_out, controller, begin, sha256)


def _series(config: SiteConfig) -> dict[str, str]:
    return {name: path for name in ("carbon", "price") if (path := getattr(config, name)) is not None}


def machine_of(config: SiteConfig) -> Machine:
    """Return the machine, with as many nodes as the configuration wants. Raises InputError if it has no such group."""
    machine = load_machine(config.machine)
    if not machine.by_node or machine.total_gpus == 0:
        raise InputError(f"machine {machine.name}: expected nodes with GPUs, such as the preset mn-1")
    names = [group.name for group in machine.groups]
    if unknown := sorted(set(config.nodes) - set(names)):
        raise InputError(f"nodes: found group {unknown[0]!r}, expected {', '.join(names)}")
    groups = [group.model_copy(update={"count": config.nodes.get(group.name, group.count)}) for group in machine.groups]
    return machine.model_copy(update={"groups": tuple(groups)}) if config.nodes else machine


def _jobs(config: SiteConfig, machine: Machine) -> tuple[pd.DataFrame, float, dict[str, int], dict[str, str]]:
    """Return the jobs submitted in the days, second 0 their beginning, its Unix time, and who was left out.

    What is drawn is drawn for the machine as it is by itself, so that other numbers of nodes have the same jobs.
    """
    source = config.jobs
    if source.trace is not None:
        trace = read_trace(source.trace, format=source.format)
        begin = float(trace.jobs["submit"].min()) + source.begin_days * DAY
    else:
        count = max(round(source.per_day * config.days), 1)
        own = load_machine(config.machine)
        kind = str(source.generator)
        trace = generate(kind, count, seed=config.seed, load=source.load, machine=own, parameters=source.parameters)
        begin = 0.0
    jobs = trace.jobs.assign(submit=trace.jobs["submit"] - begin)
    jobs = jobs[(jobs["submit"] >= 0) & (jobs["submit"] < config.days * DAY)].sort_values("submit", kind="stable")
    kept, left_out = replayable(by_pods(jobs), machine)
    jobs = jobs.loc[kept.index].reset_index(drop=True)
    if jobs.empty:
        raise InputError(f"{trace.name}: no job within {config.days:g} days that {machine.name} could run")
    return jobs, trace.origin + begin, left_out, dict(trace.sha256)


def weather_begin(weather: Weather, start: str | None, origin: float) -> float:
    """Return where second 0 lies in the weather (s from its start): on a date, MM-DD, or at the like time of a log."""
    if start is None:
        if math.isnan(origin):
            return 0.0
        return float(weather.since_start(np.array([origin]))[0] // 60 * 60)
    try:
        day = datetime(weather.start.year, int(start[:2]), int(start[3:]))
    except ValueError as error:
        raise InputError(f"start {start!r}: expected a date, MM-DD") from error
    offset = (day - weather.start).total_seconds()
    if not 0 <= offset < weather.duration:
        raise InputError(
            f"start {start!r}: weather {weather.name} has {weather.duration / DAY:.0f} days from {weather.start}"
        )
    return offset


def outages_of(source: FaultSource | None, nodes: int, duration: float, seed: int) -> list[Outage]:
    """Return the faults of a cluster of ``nodes`` nodes in order of time. Raises InputError if they cannot be had."""
    if source is None:
        return []
    everyone = np.arange(nodes)
    if source.model is not None:
        model = FittedFailures.load(source.model)
        of = source.node_class or next(iter(model.classes))
        names = {f"{n:06d}": of for n in everyone.tolist()}
        return replayed(model.sample(names, duration, seed=seed), everyone, 0.0, duration)
    if source.log is not None:
        log = read_failures(source.log)
        chosen = np.random.default_rng([seed, 1]).permutation(len(log.nodes))[:nodes]
        return replayed(log, chosen, log.observed[0] + source.begin_days * DAY, duration)
    domains = [
        Domain(
            name,
            falls.size,
            Lifetime("weibull", falls.mtbf_days * DAY / math.gamma(1 + 1 / falls.shape), falls.shape),
            Lifetime("lognormal", falls.repair_hours * HOUR, falls.spread),
        )
        for name, falls in source.domains.items()
    ]
    # A stream for each, so that where there are more nodes the others fail as they would without them.
    streams = [np.random.default_rng([seed, 1, i]) for i in range(len(domains))]
    return merged([domain.draw(nodes, duration, rng) for domain, rng in zip(domains, streams, strict=True)])

"""From a failure log to fitted models: what ``hpcai failures fit`` does, group of nodes by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcai.errors import InputError
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.goodness import Goodness, goodness
from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.likelihood import Fit, fit, interval
from hpcai.faults.outages import Durations, Mask, Outages, between, exposure, outages, repairs, uptimes
from hpcai.records.failures import FailureLog

Floats = npt.NDArray[np.float64]

GROUPS: Final = ("node_class", "system", "component")
TRUSTED: Final = 3.0
QUANTITIES: Final = {
    "uptime": "of a node, from its entry or return into service to its next failure",
    "between": "from one failure to the next of any node of the group",
    "repair": "from a node's failure to its return",
}


@dataclass(frozen=True)
class Fitted:
    """The fits to one quantity of one group of nodes, best first."""

    group: str
    quantity: str  # one of QUANTITIES
    data: Durations
    fits: tuple[Fit, ...]
    shape: tuple[float, float]  # 95 % interval of the best fit's shape; nan for an exponential
    scale: tuple[float, float]
    goodness: Goodness

    @property
    def best(self) -> Fit:
        """The fit of least AIC."""
        return self.fits[0]


@dataclass(frozen=True)
class GroupFit:
    """What was found of one group: its rate with the interval, and the fits by quantity."""

    name: str
    nodes: int
    failures: int
    mtbf: float  # s of a node in service for each failure
    mtbf_interval: tuple[float, float]
    quantities: dict[str, Fitted]
    components: dict[str, float]


def fit_log(
    log: FailureLog,
    by: str = "node_class",
    *,
    severities: Sequence[str] = ("fatal",),
    resamples: int = 99,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> list[GroupFit]:
    """Return the fits of each group that had failures, by name.

    Args:
        log: the failures.
        by: "node_class" or "system" of the nodes; "component" takes each part's failures on all nodes on their own.
        severities: which events are failures.
        resamples: of the bootstrap of a fit's goodness and of the interval of the rate.
        seed: of both.
        tell: called with the name of each group before it is fitted.

    Raises InputError if there is no such grouping, or no failure.
    """
    if by not in GROUPS:
        raise InputError(f"{log.name}: found grouping {by!r}, expected one of {', '.join(GROUPS)}")
    of = outages(log, severities)
    everywhere = np.ones(len(log.nodes), dtype=bool)
    groups: list[tuple[str, Mask, Outages]]
    if by == "component":
        events = log.events["component"]
        parts = (replace_events(log, events == name) for name in sorted(set(events)))
        groups = [
            (part.events["component"].iloc[0], everywhere, found)
            for part in parts
            if (found := _some(part, severities))
        ]
    else:
        names = log.nodes[by].to_numpy(dtype=object)
        groups = [(str(name) or "all", names == name, of) for name in sorted(set(names))]
    fitted = []
    for name, nodes, found in groups:
        if nodes[found.node].any():
            tell(name)
            fitted.append(_fit_group(log, name, nodes, found, resamples, seed))
    return fitted


def replace_events(log: FailureLog, rows: Mask) -> FailureLog:
    """Return the log with only some rows of its events."""
    return replace(log, events=log.events[rows].reset_index(drop=True))


def _some(log: FailureLog, severities: Sequence[str]) -> Outages | None:
    return outages(log, severities) if log.events["severity"].isin(severities).any() else None


def _fit_group(log: FailureLog, name: str, nodes: Mask, of: Outages, resamples: int, seed: int) -> GroupFit:
    up, up_node = uptimes(log, of)
    down, down_node = repairs(log, of)
    samples = {"uptime": up.of(nodes[up_node]), "between": between(log, of, nodes), "repair": down.of(nodes[down_node])}
    quantities = {}
    for quantity, data in samples.items():
        if (fits := _fits(data)) is not None:
            best = fits[0]
            bounds = {parameter: interval(data, best, parameter) for parameter in ("shape", "scale")}
            found = goodness(data, best.lifetime, resamples=resamples, seed=seed)
            quantities[quantity] = Fitted(name, quantity, data, tuple(fits), bounds["shape"], bounds["scale"], found)
    components, shares = np.unique(of.component[nodes[of.node]], return_counts=True)
    failures = int(shares.sum())
    return GroupFit(
        name=name,
        nodes=int(nodes.sum()),
        failures=failures,
        mtbf=exposure(log, nodes) / failures,
        mtbf_interval=mtbf_interval(log, of, nodes, seed=seed),
        quantities=quantities,
        components={str(part): float(share) / failures for part, share in zip(components, shares, strict=True)},
    )


def _fits(data: Durations) -> list[Fit] | None:
    try:
        return fit(data) if data.events else None
    except InputError:  # all shorter than the log's resolution
        return None


def mtbf_interval(
    log: FailureLog, of: Outages, nodes: Mask, *, resamples: int = 999, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the time in service for each failure, nodes drawn anew (bootstrap).

    Nodes are drawn, not failures: some fail again and again. With fewer than ten nodes there is no interval.
    """
    low, high = log.service
    served = (high - low)[nodes]
    failures = np.bincount(of.node, minlength=len(low))[nodes]
    if len(served) < 10:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    ratios = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(len(served), size=len(served))
        ratios[i] = served[drawn].sum() / max(int(failures[drawn].sum()), 1)
    bounds = np.quantile(ratios, [0.025, 0.975])
    return float(bounds[0]), float(bounds[1])


def settled(one: Fitted) -> Lifetime:
    """Return the distribution of times up of a machine in its middle years, that fails as often as it did in the log.

    The best fit may put its mean far beyond what was watched, above all where a few nodes fail again and again: in the
    long run a machine drawn from it would hardly fail. So the best fit is taken whose mean is within a factor of
    TRUSTED of the time up for each failure, and scaled to it; the exponential, if there is none.
    """
    observed = float(one.data.value.sum()) / one.data.events
    for fitted in one.fits:
        life = fitted.lifetime
        if 1 / TRUSTED <= observed / life.mean <= TRUSTED:
            return replace(life, scale=life.scale * observed / life.mean)
    return Lifetime("exponential", observed)


def models(log: FailureLog, fitted: Sequence[GroupFit]) -> FittedFailures:
    """Return the models to save: of each group the best fits. Raises InputError if no uptime could be fitted."""
    classes = {}
    for group in fitted:
        if "uptime" in group.quantities:
            repair = group.quantities.get("repair")
            classes[group.name] = ClassModel(
                nodes=group.nodes,
                failures=group.failures,
                mtbf=group.mtbf,
                uptime=group.quantities["uptime"].best.lifetime,
                settled=settled(group.quantities["uptime"]),
                repair=None if repair is None else repair.best.lifetime,
                components=group.components,
            )
    if not classes:
        raise InputError(f"{log.name}: found no time between failures above the log's resolution, expected some")
    return FittedFailures(name=log.name, classes=classes, source=log.sha256)

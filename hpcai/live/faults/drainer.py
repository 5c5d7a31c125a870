"""The policy of a bundle of the domain detection or draining: the risk of every node, and when it is drained.

Of the domain detection are bundles of a learned detector with the threshold that it was given. Of the domain draining
are rules: a detector with another threshold, the rates of hpcai.faults.draining, or a number of recent failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.faults.detection.detector import Costs, Detector, load_detector
from hpcai.faults.detection.drains import DrainRule
from hpcai.faults.detection.features import Seen, event_features, features_seen
from hpcai.faults.detection.history import History, history_of
from hpcai.faults.detection.telemetry import telemetry_features, telemetry_seen
from hpcai.faults.draining.risk import ESTIMATES, NodeRisk, estimates
from hpcai.live.bundle import DETECTOR, Bundle
from hpcai.live.manifest import Feature, Tensor
from hpcai.records.failures import FailureLog
from hpcai.records.telemetry import Telemetry, telemetry_of

Floats = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

DOMAINS: Final = ("detection", "draining")
NOTHING: Final = "no node is drained"
"""The fallback of every such bundle."""


class DrainParameters(BaseModel):
    """``policy`` of a manifest. Times in s; ``threshold`` is of the risk, in whatever unit its kind has it.

    The risk of ``detector`` is that of the file; of ``rates`` the rate of failures that ``weights`` of the estimates of
    hpcai.faults.draining give, over its mean of all nodes; of ``count`` the number of failures in the last ``window``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["detector", "rates", "count"]
    detector: Literal["detector.npz"] | None = None
    weights: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] | None = None
    window: Positive | None = None
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None  # None: no node is drained
    hold: Positive  # for which a node is drained
    most: Annotated[float, Field(gt=0, le=1)] = 0.1  # of all nodes that may be drained at a time
    costs: Costs = Costs()  # that the threshold was chosen for
    failures: tuple[Literal["fatal", "degraded", "info"], ...] = ("fatal",)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needs = {"detector": "detector", "rates": "weights", "count": "window"}
        for kind, name in needs.items():
            if (getattr(self, name) is None) == (self.kind == kind):
                raise ValueError(f"{name}: expected {'one' if self.kind == kind else 'none'} for the kind {self.kind}")
        if self.weights is not None and len(self.weights) != len(ESTIMATES):
            raise ValueError(f"weights: expected {len(ESTIMATES)}, found {len(self.weights)}")
        return self

    @property
    def rule(self) -> DrainRule:
        """How risks become drains."""
        return DrainRule(np.inf if self.threshold is None else self.threshold, self.hold, self.most)


@dataclass(frozen=True)
class Judged:
    """The risk of each node of a log, in the order of its table, and what was seen of them by name."""

    risk: Floats
    seen: Mapping[str, Floats]


class Drainer:
    """A bundle's policy."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is of another domain or another version."""
        manifest, where = bundle.manifest, f"bundle {bundle.where}"
        if manifest.domain not in DOMAINS:
            raise InputError(f"{where}: expected the domain {' or '.join(DOMAINS)}, found {manifest.domain}")
        self.bundle = bundle
        self.parameters = validated(DrainParameters, manifest.policy, f"{where}: policy")
        self.detector = self._detector(where)
        expected = tuple(seen.name for seen in self.seen)
        found = tuple(feature.name for tensor in manifest.inputs for feature in tensor.features)
        if found != expected:
            raise InputError(f"{where}: its features are not those of this version; train and export it again")

    def _detector(self, where: str) -> Detector | None:
        if self.parameters.detector is None:
            return None
        if DETECTOR not in self.bundle.files:
            raise InputError(f"{where}: expected {DETECTOR}, which its policy needs")
        return load_detector(self.bundle.unpacked / DETECTOR)

    @property
    def needs_telemetry(self) -> bool:
        """Whether it looks at telemetry besides events."""
        return self.detector is not None and bool(self.detector.meta.telemetry)

    @property
    def seen(self) -> tuple[Seen, ...]:
        """What it looks at, in order."""
        return seen_by(self.parameters, self.detector)

    def judge(self, log: FailureLog, now: float, telemetry: Telemetry | None = None) -> Judged:
        """Return the risk of every node of ``log`` at ``now`` (s), and what was seen of it.

        ``telemetry`` has times from the same origin; whoever needs it and gets none knows nothing of it.
        """
        parameters = self.parameters
        history = history_of(log, parameters.failures)
        if self.detector is not None:
            x = self._features(self.detector, history, now, telemetry)
            return Judged(self.detector.risk(x), {seen.name: x[:, i] for i, seen in enumerate(self.seen)})
        struck = [own.failed[own.failed <= now] for own in history.nodes]
        if parameters.kind == "count":
            assert parameters.window is not None
            recent = [np.count_nonzero(times > now - parameters.window) for times in struck]
            risk = np.array(recent, dtype=np.float64)
            return Judged(risk, {self.seen[0].name: risk})
        return self._rates(struck, now, log.observed[0])

    def _features(self, detector: Detector, history: History, now: float, telemetry: Telemetry | None) -> Floats:
        moment, nodes = np.array([now]), np.arange(len(history.names))
        rows = [event_features(history, i, moment, detector.meta.templates) for i in range(len(nodes))]
        x = np.concatenate(rows)
        if not detector.meta.telemetry:
            return x
        samples = Telemetry(telemetry_of({"node": [], "time": []})) if telemetry is None else telemetry
        times = np.full(len(nodes), now)
        more = telemetry_features(samples, history.names, nodes, times, detector.meta.telemetry)
        return np.concatenate([x, more], axis=1)

    def _rates(self, struck: list[Floats], now: float, begin: float) -> Judged:
        time = np.concatenate(struck) if struck else np.zeros(0)
        node = np.repeat(np.arange(len(struck)), [len(times) for times in struck])
        order = np.argsort(time, kind="stable")
        # What happens at this very moment is known, as everywhere in the detection.
        (of_nodes,) = estimates(time[order], node[order], len(struck), np.array([np.nextafter(now, np.inf)]), begin)
        assert self.parameters.weights is not None
        rates = NodeRisk(self.parameters.weights)(of_nodes)
        return Judged(
            rates / max(float(rates.mean()), 1e-300), {seen.name: of_nodes[:, i] for i, seen in enumerate(self.seen)}
        )


def seen_by(parameters: DrainParameters, detector: Detector | None) -> tuple[Seen, ...]:
    """Return what a drainer looks at, in order."""
    if detector is not None:
        return (*features_seen(detector.meta.templates), *telemetry_seen(detector.meta.telemetry))
    if parameters.kind == "rates":
        return tuple(Seen(name, "estimate of the node's rate of failures", "1/s") for name in ESTIMATES)
    return (Seen("failures", f"failures in the last {parameters.window:g} s"),)


def node_tensor(seen: tuple[Seen, ...]) -> Tensor:
    """Return how a manifest describes what a drainer looks at, without ranges."""
    features = tuple(Feature(name=one.name, meaning=one.meaning, unit=one.unit) for one in seen)
    return Tensor(name="nodes", dtype="float64", shape=("node", "feature"), features=features)


RISK: Final = Tensor(name="risk", dtype="float64", shape=("node",), meaning="who is drained first, highest first")

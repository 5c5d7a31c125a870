"""Export a controller of cooling: a network as a graph, rules by their parameters, compared with what they were."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.configuration import read_mapping, validated
from hpcai.cooling.controllers.controller import Controller
from hpcai.cooling.controllers.learned import Learned, PolicyNetwork, read_network
from hpcai.cooling.controllers.trim_respond import Loop, TrimRespond
from hpcai.cooling.interface import SETPOINTS, Floats
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.errors import InputError, PlantError
from hpcai.evaluation.cooling.controllers import CONTROLLER_FILE, ControllerConfig
from hpcai.learning.bundling.checks import TOLERANCE, ExportError, Observed
from hpcai.learning.bundling.cooling_card import cooling_card
from hpcai.learning.bundling.cooling_results import cooling_metrics
from hpcai.learning.bundling.graph import actor_graph
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.live.bundle import MODEL_CARD, NETWORK, POLICY, SUMS, Bundle, check_can_be_written, write_bundle
from hpcai.live.cooling.features import action_tensor, observation_tensor
from hpcai.live.cooling.policy import OWN_CONTROL, CoolingPolicy
from hpcai.live.manifest import Manifest, Range, Source

_EXPORTED: Final = ("default", "fixed", "schedule", "pid", "rules", "learned")
_VALID: Final = ("dry_bulb", "wet_bulb", "it")
"""Readings whose range in training is told apart."""


@dataclass(frozen=True)
class Found:
    """A controller as it was found: of a training run, or of a file alone."""

    name: str
    config: ControllerConfig
    training: CoolingTraining | None = None
    sources: tuple[Source, ...] = ()

    @property
    def network(self) -> PolicyNetwork | None:
        """The network, if it is one."""
        return read_network(self.config.network) if self.config.network is not None else None


def is_cooling(source: str) -> bool:
    """Whether ``source`` is the folder of a cooling training, or a YAML file."""
    path = Path(source)
    return (path / CONTROLLER_FILE).is_file() or path.suffix in (".yaml", ".yml")


def export_cooling(
    source: str, out: str | Path, *, evaluation: str | Path | None = None, states: int = 1000, quiet: bool = True
) -> Bundle:
    """Write the bundle of the folder of a cooling training, or of a controller in YAML; return it as it reads again.

    ``evaluation`` is the folder of a finished ``hpcai cooling run`` that results are taken from. The bundle is compared
    with the controller on ``states`` drawn observations and, of a training, on those of a year on its plant. Raises
    InputError if something cannot be used, ExportError if the bundle does not say what the controller says.
    """
    check_can_be_written(out)
    found = read_controller(source)
    network = found.network
    files = {} if network is None else {POLICY: actor_graph(network), NETWORK: _bytes(found.config.network)}
    draft = _manifest(found, network)
    policy = CoolingPolicy(Bundle("draft", draft, files | {SUMS: b""}, ""))
    drawn = drawn_observations(states, network.meta.design_power if network is not None else 1e5)
    recorded = _recorded(found, quiet)
    difference = max(_compare(found, policy, observations) for observations in (drawn, recorded))
    if difference > TOLERANCE:
        raise ExportError(
            f"export {found.name}: the bundle differs from the controller by {difference:.3g}; expected at most "
            f"{TOLERANCE:g}"
        )
    manifest = draft.model_copy(
        update=_ranges(draft, recorded)
        | {
            "metrics": cooling_metrics(evaluation, found.config) if evaluation is not None else (),
            "checked": {
                "states": len(drawn) + len(recorded),
                "against": "the network in NumPy" if network is not None else "the controller of hpcai cooling",
                "largest_difference": difference,
                "tolerance": TOLERANCE,
            },
        }
    )
    return write_bundle(out, manifest, files | {MODEL_CARD: cooling_card(manifest).encode()})


def read_controller(source: str) -> Found:
    """Return the controller in a run folder or a YAML file. Raises InputError if there is none that can be exported."""
    folder = Path(source)
    file = folder / CONTROLLER_FILE if folder.is_dir() else folder
    config = validated(ControllerConfig, read_mapping(file), str(file))
    if config.kind not in _EXPORTED:
        raise InputError(f"{file}: kind {config.kind}: expected one that a bundle holds, {', '.join(_EXPORTED)}")
    if config.shield:
        raise InputError(f"{file}: shield: expected none, a bundle is guarded live by 'hpcai live cooling --shield'")
    if config.network is not None:
        config = config.model_copy(update={"network": str(file.parent / config.network)})
    config.make()
    if not folder.is_dir():
        return Found(folder.stem, config)
    training = validated(CoolingTraining, read_mapping(folder / "config.yaml"), f"{folder}/config.yaml")
    return Found(folder.resolve().name, config, training, _sources(folder, training))


def _sources(folder: Path, training: CoolingTraining) -> tuple[Source, ...]:
    try:
        hashes: dict[str, str] = json.loads((folder / "run.json").read_text("utf-8"))["identity"]["inputs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/run.json: cannot be read: {error}") from error
    part = "recorded" if training.logs else training.days
    return tuple(
        Source(name=Path(name).name, sha256={Path(name).name: digest}, part=part) for name, digest in hashes.items()
    )


def _bytes(path: str | None) -> bytes:
    assert path is not None
    return Path(path).read_bytes()


def _manifest(found: Found, network: PolicyNetwork | None) -> Manifest:
    """Return all of the manifest that needs no play."""
    training = found.training
    return Manifest(
        domain="cooling",
        name=found.name,
        kind="rules" if network is None else "network",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hpcai=version("hpcai"),
        inputs=() if network is None else (observation_tensor(network.meta.design_power),),
        outputs=() if network is None else (action_tensor(network.meta.actions),),
        policy=_parameters(found.config) | ({"step_length": 60.0 * training.step_minutes} if training else {}),
        network=None if network is None else network.meta.model_dump(mode="json"),
        training=found.sources,
        seed=None if training is None else training.seed,
        fallback=OWN_CONTROL,
    )


def _parameters(config: ControllerConfig) -> dict[str, Any]:
    """Return a controller as hpcai.live.cooling.policy.Parameters; rules with all that they leave to defaults."""
    fields = config.model_dump(mode="json", include={"kind", "points", "hours", "settings"}, exclude_defaults=True)
    made = config.make()
    if isinstance(made, TrimRespond):
        loops = {name: asdict(value) for name, value in vars(made).items() if isinstance(value, Loop)}
        fields |= {"settings": {"limit": made.limit, "band": made.band}, "loops": loops}
    return fields


def drawn_observations(states: int, design: float) -> Floats:
    """Return observations (states, len(OBSERVED)) from all over the scale of a site, and from beyond it."""
    scaling, rng = Scaling(design), np.random.default_rng(0)
    return np.asarray(scaling.middle + scaling.half * rng.uniform(-1.5, 1.5, (states, len(OBSERVED))))


class _Watched:
    """A controller, and what it saw."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.seen: list[Floats] = []

    def reset(self) -> None:
        self._controller.reset()

    def setpoints(self, observation: Floats) -> Floats:
        self.seen.append(observation)
        return self._controller.setpoints(observation)


def _recorded(found: Found, quiet: bool) -> Floats:
    """Return what the controller sees in a year on each plant of its training; nothing where that is not at hand."""
    watched = _Watched(found.config.make())
    try:
        for weather in found.training.weather if found.training is not None else ():
            hall = found.training.case(weather).open()  # type: ignore[union-attr]
            with closing(hall.plant):
                hall.play(watched)
    except (InputError, PlantError) as error:
        if not quiet:
            print(f"hpcai: {found.name}: the ranges of its training are not known: {error}", file=sys.stderr)
        watched.seen.clear()
    return np.array(watched.seen).reshape(-1, len(OBSERVED))


def _compare(found: Found, policy: CoolingPolicy, observations: Floats) -> float:
    """Return the most by which setpoints differ, as shares of their ranges; of networks their actions, by half of them.

    Setpoints lie on a grid, where what two arithmetics make of the same weights may fall on either side of a middle.
    """
    reference = found.config.make()
    if isinstance(reference, Learned):
        network: Any = policy.controller
        scaled = [reference.scaling(seen) for seen in observations]
        pairs = [(reference.network.action(seen), network.action(seen)) for seen in scaled]
        return max((float(np.abs(ours - theirs).max()) / 2.0 for ours, theirs in pairs), default=0.0)
    reference.reset()
    policy.reset()
    apart = [_apart(reference.setpoints(seen), policy.setpoints(seen)) for seen in observations]
    return max(apart, default=0.0)


def _apart(ours: Floats, theirs: Floats) -> float:
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return np.inf
    return float(np.nanmax(np.abs(ours - theirs) / _SPANS, initial=0.0))


_SPANS: Final = np.array([point.high - point.low for point in SETPOINTS])


def _ranges(draft: Manifest, recorded: Floats) -> dict[str, Any]:
    """Return what the manifest says of the ranges in which the controller was at home."""
    observed = Observed(seen={point.name: [recorded[:, i]] for i, point in enumerate(OBSERVED)})
    inputs = tuple(
        tensor.model_copy(update={"features": tuple(observed.feature(feature) for feature in tensor.features)})
        for tensor in draft.inputs
    )
    return {"inputs": inputs, "validity": dict(_validity(recorded))}


def _validity(recorded: Floats) -> Iterator[tuple[str, Range]]:
    for i, point in enumerate(OBSERVED):
        if len(recorded) and point.name in _VALID:
            values = recorded[:, i]
            yield point.name, Range(least=float(values.min()), most=float(values.max()), unit=point.unit)

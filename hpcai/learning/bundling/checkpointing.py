"""Export a checkpoint policy as data: its kind, its numbers or the fitted model that they are of, what it costs."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.faults.checkpoints.observation import OBSERVED, OWN_RATES
from hpcai.faults.checkpoints.recent import WEIGHTED, Memory
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.learning.bundling.checks import ExportError
from hpcai.learning.bundling.failures_card import checkpoint_card
from hpcai.live.bundle import MODEL_CARD, SUMS, Bundle, check_can_be_written, write_bundle
from hpcai.live.faults.advisor import OWN_CHOICE, Advisor, CheckpointParameters
from hpcai.live.manifest import Manifest, Source

_OWN_KEYS: Final = ("domain", "failures_of", "node_class", "memory")
_DRAWN: Final = 40


def export_checkpointing(source: str | Path, out: str | Path) -> Bundle:
    """Write the bundle of a checkpoint policy in YAML, and return it as it reads again.

    The file has the keys of :class:`hpcai.live.faults.advisor.CheckpointParameters`. Besides, ``failures_of`` names a
    file of ``hpcai failures fit`` and ``node_class`` a class in it, which give ``mtbf`` or ``lifetime``; ``memory`` the
    weights, and bends, of a policy of the recent past that ``hpcai failures checkpoints`` found. Raises InputError,
    ExportError if the bundle does not say what the policy says.
    """
    check_can_be_written(out)
    fields, learned = _fields(Path(source))
    parameters = validated(CheckpointParameters, fields, str(source))
    try:
        policy = parameters.make()
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    draft = Manifest(
        domain="checkpointing",
        name=Path(source).stem,
        kind="rules",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hpcai=version("hpcai"),
        inputs=(),
        outputs=(),
        policy=parameters.model_dump(mode="json"),
        training=learned,
        fallback=OWN_CHOICE,
    )
    again = Advisor(Bundle("draft", Manifest.model_validate_json(draft.model_dump_json()), {SUMS: b""}, "")).policy
    rng = np.random.default_rng(0)
    for _ in range(_DRAWN):
        job = parameters.costs.job(int(rng.integers(1, 500)), float(rng.integers(9)), int(rng.integers(1000)))
        seen = rng.exponential(86400.0, OBSERVED)
        seen[OWN_RATES:] = rng.exponential(1e-6, OBSERVED - OWN_RATES)
        if policy.checkpoint_interval(job, seen) != again.checkpoint_interval(job, seen):
            raise ExportError(f"export {draft.name}: the bundle differs from the policy")
    checked: dict[str, float | int | str] = {
        "jobs": _DRAWN,
        "against": "the policy of the file",
        "largest_difference": 0,
    }
    manifest = draft.model_copy(update={"checked": checked})
    return write_bundle(out, manifest, {MODEL_CARD: checkpoint_card(manifest).encode()})


def _fields(path: Path) -> tuple[dict[str, Any], tuple[Source, ...]]:
    """Return the parameters in a file, with what a fitted model gives of them, and where that is from."""
    given = read_mapping(path)
    fields = {key: value for key, value in given.items() if key not in _OWN_KEYS}
    learned: tuple[Source, ...] = ()
    if given.get("failures_of") is not None:
        fitted = FittedFailures.load(path.parent / str(given["failures_of"]))
        name = given.get("node_class") or next(iter(fitted.classes))
        if given.get("node_class") is None and len(fitted.classes) > 1:
            raise InputError(f"{path}: node_class: expected one of {', '.join(fitted.classes)}, found none")
        fields = _of_class(fitted.of_class(str(name)), str(given.get("kind"))) | fields
        learned = (Source(name=f"{fitted.name} {name}", sha256=fitted.source, part="fitted"),)
    if given.get("memory") is not None:
        fields = _remembered(path, fields, given["memory"])
    return fields, learned


def _of_class(model: ClassModel, kind: str) -> dict[str, Any]:
    """Return what a kind of policy takes from a fitted class of nodes."""
    if kind in ("hazard", "renewal"):
        return {"lifetime": model.uptime.as_data()}
    if kind == "lazy":
        shape = model.uptime.shape if model.uptime.family == "weibull" else 1.0
        return {"mtbf": model.mtbf, "shape": min(shape, 1.0)}
    return {} if kind in ("fixed", "two-level") else {"mtbf": model.mtbf}


def _remembered(path: Path, fields: dict[str, Any], memory: Any) -> dict[str, Any]:
    """Return the numbers of a policy of the recent past with a memory, where a node has the mean of ``mtbf``."""
    try:
        weights = tuple(float(weight) for weight in memory["weights"])
        bends = tuple(float(bend) for bend in memory["bends"])
        mtbf = float(fields["mtbf"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: memory: expected weights and bends, and mtbf beside it") from error
    if len(weights) != WEIGHTED:
        raise InputError(f"{path}: memory: expected {WEIGHTED} weights, found {len(weights)}")
    policy = Memory(weights, bends).policy(1.0 / mtbf)
    numbers = {name: getattr(policy, name) for name in ("mean", "constant", "own", "other", "bends")}
    return {key: value for key, value in fields.items() if key != "mtbf"} | numbers

"""Export a policy: graph, manifest, card, checked against the policy itself on recorded queues."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hpcai.errors import InputError
from hpcai.evaluation.evaluate import evaluate
from hpcai.learning.bundling.card import bundle_card
from hpcai.learning.bundling.checks import TOLERANCE, Observed, compare
from hpcai.learning.bundling.graph import formula_graph, network_graph
from hpcai.learning.bundling.recorded import recorded_states
from hpcai.learning.bundling.source import Exportable, exportable, variables_of
from hpcai.learning.logs import Log, read_logs
from hpcai.live.bundle import MODEL_CARD, NETWORK, POLICY, PREDICTOR, SUMS, Bundle, check_can_be_written, write_bundle
from hpcai.live.manifest import Feature, Manifest, Metric, Source, Tensor
from hpcai.live.ranking import BundleRanker
from hpcai.live.state import LiveState
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.network import Network
from hpcai.scheduling.orderings import parse_ordering
from hpcai.scheduling.outlook import VARIABLES

WINDOWS: Final = 20
LENGTH: Final = 1024
"""Windows in which queues are recorded, of the training part, and results measured, of the test part; their jobs."""

_KEPT: Final = (
    "ordering", "backfill", "headroom", "predictor", "estimate", "estimate_multiplier", "parameters", "fairshare_by",
    "usage_half_life", "qos_priority", "network",
)  # fmt: skip
_UNITS: Final = dict.fromkeys(("memory",), "B") | dict.fromkeys(("slowdown_rate",), "1/s") | dict.fromkeys(
    ("submit", "requested_time", "remaining_time", "predicted_time", "predicted_low", "predicted_high",
     "predicted_mean", "now", "wait"), "s"
)  # fmt: skip


def export_policy(
    source: str,
    out: str | Path,
    *,
    evaluation: str | Path | None = None,
    windows: str | None = None,
    rival: str = "saf",
    fallback: str = "fcfs",
    states: int = 1000,
    quiet: bool = False,
    **given: Any,
) -> Bundle:
    """Write the bundle of a run folder, a named ordering or ``expr:FORMULA``, and return it as it reads again.

    ``evaluation`` is the folder of a finished one that the results are taken from; by default the policy and
    ``rival`` (fcfs or saf, if that is the policy itself) are replayed on ``windows`` of the test part (20 of 1,024
    jobs, or shorter ones in a short log). ``states`` is how many recorded queues the graph is compared on; a line on
    standard error says so if the logs have fewer. ``given`` are trace, format, machine, and for a rule backfill,
    estimate, predictor, seed. Raises InputError if something cannot be used, ExportError if the graph does not give
    what the policy gives.
    """
    parse_ordering(fallback, {})
    check_can_be_written(out)
    policy = exportable(source, {key: value for key, value in given.items() if value is not None})
    logs = read_logs(policy.config)
    policy.check_logs(logs)
    files = _files(policy)
    draft = _manifest(policy, logs, fallback)
    observed = _check(policy, logs, draft, files, states)
    if observed.states < states and not quiet:
        print(
            f"hpcai: {policy.name}: compared on {observed.states:,} recorded queues; its logs have no {states:,}",
            file=sys.stderr,
        )
    metrics = (
        _read_metrics(evaluation, policy)
        if evaluation
        else _measure(policy, windows or _fitting_windows(logs), rival, quiet)
    )
    inputs = tuple(
        tensor.model_copy(update={"features": tuple(observed.feature(f) for f in tensor.features)})
        for tensor in draft.inputs
    )
    checked = {
        "states": observed.states,
        "against": "PyTorch" if policy.network is not None else "the compiled formula",
        "largest_difference": observed.difference,
        "tolerance": TOLERANCE,
    }
    manifest = draft.model_copy(
        update={"inputs": inputs, "metrics": metrics, "validity": observed.ranges, "checked": checked}
    )
    return write_bundle(out, manifest, files | {MODEL_CARD: bundle_card(manifest).encode()})


def _files(policy: Exportable) -> dict[str, bytes]:
    """Return the policy's own files by their names in a bundle."""
    network = policy.network
    if network is not None:
        files = {POLICY: network_graph(network), NETWORK: Path(policy.policy.network or "").read_bytes()}
    else:
        files = {POLICY: formula_graph(policy.formula, variables_of(policy.formula))}
    if policy.policy.predictor_is_file:
        try:
            files[PREDICTOR] = Path(policy.policy.predictor).read_bytes()
        except OSError as error:
            raise InputError(f"predictor {policy.policy.predictor}: cannot be read: {error.strerror}") from error
    return files


def _manifest(policy: Exportable, logs: Sequence[Log], fallback: str) -> Manifest:
    """Return all of the manifest that needs no replay."""
    fields = policy.policy.model_dump(mode="json", include=set(_KEPT), exclude_none=True)
    if policy.network is not None:
        fields["network"] = NETWORK
    if policy.policy.predictor_is_file:
        fields["predictor"] = PREDICTOR
    origins = [log.trace.origin for log in logs if log.trace.origin == log.trace.origin]
    learned = policy.folder is not None
    return Manifest(
        domain="scheduling",
        name=policy.name,
        kind="network" if policy.network is not None else "formula",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hpcai=version("hpcai"),
        inputs=_network_inputs(policy.network) if policy.network is not None else _formula_inputs(policy),
        outputs=(_SCORE,) if policy.network is not None else (_PRIORITY,),
        policy=fields,
        network=policy.network.meta.model_dump(mode="json") if policy.network is not None else None,
        origin=origins[0] if len(logs) == 1 and origins else None,
        training=tuple(_source(log) for log in logs) if learned else (),
        seed=policy.config.seed if learned else None,
        fallback=fallback,
    )


_SCORE: Final = Tensor(
    name="score", dtype="float32", shape=("action",), meaning="highest first; of each job, then of deferring if it may"
)
_PRIORITY: Final = Tensor(name="priority", dtype="float64", shape=("job",), meaning="lowest first; not a number is inf")


def _source(log: Log) -> Source:
    first, last = log.bounds("train")
    return Source(name=log.name, sha256=log.hashes, part="train", jobs=last - first)


def _network_inputs(network: Network) -> tuple[Tensor, ...]:
    slots: str | int = network.meta.window if network.meta.kind == "mlp" else "job"
    jobs, machine = (
        tuple(Feature(name=name, meaning="of a job" if of is JOB_FEATURES else "of the machine", scaling=text, unit="1")
              for name, text in of.items())
        for of in (JOB_FEATURES, MACHINE_FEATURES)
    )  # fmt: skip
    return (
        Tensor(name="jobs", dtype="float32", shape=(slots, "feature"), features=jobs),
        Tensor(name="machine", dtype="float32", shape=("feature",), features=machine),
    )


def _formula_inputs(policy: Exportable) -> tuple[Tensor, ...]:
    names = variables_of(policy.formula)
    features = tuple(Feature(name=name, meaning=VARIABLES[name], unit=_UNITS.get(name, "1")) for name in names)
    return (Tensor(name="variables", dtype="float64", shape=("feature", "job"), features=features),)


def _check(policy: Exportable, logs: Sequence[Log], draft: Manifest, files: dict[str, bytes], states: int) -> Observed:
    """Compare the graph with the policy on ``states`` recorded queues, shared out evenly among the logs."""
    draft_bundle = Bundle("draft", draft, files | {SUMS: b""}, "")
    ranker = BundleRanker(draft_bundle)
    moments: Iterator[LiveState] = chain.from_iterable(
        recorded_states(
            log,
            policy.policy,
            states=states * (k + 1) // len(logs) - states * k // len(logs),
            windows=WINDOWS,
            length=LENGTH,
            seed=policy.config.seed,
        )
        for k, log in enumerate(logs)
    )
    observed = compare(ranker, policy.reference(), moments)
    if not observed.states:
        raise InputError(f"export {policy.name}: nobody ever waits in its logs, so there is no queue to check it on")
    return observed


def _fitting_windows(logs: Sequence[Log]) -> str:
    """Return windows of 1,024 jobs, or of a quarter of the shortest test part."""
    shortest = min(last - first for first, last in (log.bounds("test") for log in logs))
    return f"{WINDOWS}x{max(min(LENGTH, shortest // 4), 1)}"


def _measure(policy: Exportable, windows: str, rival: str, quiet: bool) -> tuple[Metric, ...]:
    """Replay the policy and its rival on the test part."""
    rival = next(name for name in (rival, "fcfs", "saf") if name != policy.item)
    config = policy.config
    with tempfile.TemporaryDirectory() as folder:
        evaluation = evaluate(
            trace=config.trace, format=config.format, machine=config.machine, policies=[rival, policy.item],
            baseline=rival, backfill=policy.policy.backfill, estimate=policy.policy.estimate,
            predictor=policy.policy.predictor, windows=windows, seed=config.seed, out=folder, quiet=quiet,
        )  # fmt: skip
        return _metrics(evaluation.summary, policy)


def _read_metrics(folder: str | Path, policy: Exportable) -> tuple[Metric, ...]:
    """Return the results in the folder of a finished evaluation. Raises InputError if the policy is not in it."""
    path = Path(folder) / "summary.json"
    try:
        summary = json.loads(path.read_text("utf-8"))
        metrics = _metrics(summary, policy)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as the summary of an evaluation: {error}") from error
    if not metrics:
        raise InputError(f"{path}: expected results of {policy.item}, found none")
    return metrics


def _metrics(summary: dict[str, Any], policy: Exportable) -> tuple[Metric, ...]:
    baseline = summary["config"]["baseline"]
    found = []
    for name, result in summary["traces"].items():
        ranking = {(row["policy"], row["backfill"]): row for row in result["ranking"]}
        own = ranking.get((policy.item, policy.policy.backfill))
        rival = ranking.get((baseline, policy.policy.backfill))
        if own is None or rival is None:
            continue
        found.append(
            Metric(
                trace=name,
                part=result["part"],
                windows=f"{len(result['windows'])} windows",
                metric=result["objective"],
                value=own["value"],
                rival=baseline,
                rival_value=rival["value"],
                ratio=own["to_baseline"]["value"],
                low=own["to_baseline"]["low"],
                high=own["to_baseline"]["high"],
                intervals=result["intervals"],
            )
        )
    return tuple(found)

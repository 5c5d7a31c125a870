"""The model card of a bundle, from its manifest alone."""

from __future__ import annotations

from collections.abc import Iterable

from hpcai.live.manifest import Feature, Manifest, Metric


def bundle_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    lines = [
        f"# {manifest.name}",
        "",
        f"A {manifest.kind} of the domain {manifest.domain}, written by hpcai {manifest.hpcai}.",
        "",
        *_what(manifest),
        "",
        "## Results on jobs that it never saw",
        "",
        *(_metrics(manifest.metrics) or ["None were measured: compare it with heuristics before it acts."]),
        "",
        "## Learned from",
        "",
        *[f"* {s.name}, {s.part} part, {s.jobs:,} jobs" for s in manifest.training],
        *[f"  * `{name}` SHA-256 `{digest}`" for s in manifest.training for name, digest in s.sha256.items()],
        *([] if manifest.training else ["Nothing: it is a rule."]),
        "",
        "## Where it was at home",
        "",
        "| | least | most | |",
        "|---|---|---|---|",
        *[
            f"| {name.replace('_', ' ')} | {r.least:,.6g} | {r.most:,.6g} | {r.unit} |"
            for name, r in manifest.validity.items()
        ],
        "",
        "Beyond these it has not been tried; live adapters watch the features below and fall back to the site's order.",
        "",
        "## What it reads",
        "",
        "| feature | meaning | unit | least | most |",
        "|---|---|---|---|---|",
        *[_feature(f) for tensor in manifest.inputs for f in tensor.features],
        "",
        "## Limits",
        "",
        *[f"* {limit}" for limit in _limits(manifest)],
    ]
    return "\n".join(lines) + "\n"


def _what(manifest: Manifest) -> list[str]:
    ordering = str(manifest.policy.get("ordering", "")).removeprefix("expr:")
    if manifest.kind == "network":
        return [f"It scores the first jobs of the queue, as `{ordering}` orders it; the highest score starts first."]
    parameters = manifest.policy.get("parameters") or {}
    named = ", ".join(f"{name} = {value:g}" for name, value in parameters.items())
    return [f"Lowest value starts first: `{ordering}`" + (f" with {named}" if named else "")]


def _metrics(metrics: Iterable[Metric]) -> list[str]:
    rows = [
        f"| {m.trace} | {m.part}, {m.windows} | {m.metric.replace('_', ' ')} | {m.value:.3g} | "
        f"{m.rival_value:.3g} ({m.rival}) | {m.ratio:.2f} [{m.low:.2f}, {m.high:.2f}] |"
        for m in metrics
    ]
    return ["| log | windows | metric | policy | rival | ratio |", "|---|---|---|---|---|---|", *rows] if rows else []


def _feature(feature: Feature) -> str:
    least, most = ("" if value is None else f"{value:.6g}" for value in (feature.least, feature.most))
    scaled = f"{feature.meaning}; {feature.scaling}" if feature.scaling != "none" else feature.meaning
    return f"| {feature.name} | {scaled.replace('|', '/')} | {feature.unit} | {least} | {most} |"


def _limits(manifest: Manifest) -> list[str]:
    limits = [
        "The results are of replays, in which the policy also backfills as it was trained; live, the site's own "
        "scheduler starts and backfills jobs, and the policy gives the order.",
        f"Where it cannot answer, a live adapter leaves the site's own order; a scheduler that has none should take "
        f"that of {manifest.fallback}.",
    ]
    if manifest.policy.get("headroom"):
        limits.append("Its headroom, what stays free beside a job that starts, is kept in replays only.")
    if manifest.policy.get("estimate") == "actual":
        limits.append(
            "It learned with run times known; live it reads the requested times. Where a job of its logs has none, the "
            "ranges of features above are of its run time."
        )
    if manifest.kind == "network":
        limits.append("In a replay it is asked again after each start; live once for each cycle.")
    return limits

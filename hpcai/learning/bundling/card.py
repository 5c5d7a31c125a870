"""The model card of a bundle, from its manifest alone."""

from __future__ import annotations

from collections.abc import Iterable

from hpcai.live.manifest import Feature, Manifest, Metric, Search


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
        *(_results(manifest) or ["None were measured: compare it with heuristics before it acts."]),
        "",
        "## Learned from",
        "",
        *[f"* {s.name}, {s.part} part, {s.jobs:,} jobs" for s in manifest.training],
        *[f"  * `{name}` SHA-256 `{digest}`" for s in manifest.training for name, digest in s.sha256.items()],
        *([f"* {manifest.search.training}"] if manifest.search else []),
        *([] if manifest.training or manifest.search else ["Nothing: it is a rule."]),
        "",
        "## Where it was at home",
        "",
        *(_drawn(manifest.search) if manifest.search else _home(manifest)),
        "",
        "## What it reads",
        "",
        "| feature | meaning | unit | least | most |",
        "|---|---|---|---|---|",
        *[feature_row(f) for tensor in manifest.inputs for f in tensor.features],
        "",
        "## Limits",
        "",
        *[f"* {limit}" for limit in _limits(manifest)],
    ]
    return "\n".join(lines) + "\n"


def _home(manifest: Manifest) -> list[str]:
    return [
        "| | least | most | |",
        "|---|---|---|---|",
        *[
            f"| {name.replace('_', ' ')} | {r.least:,.6g} | {r.most:,.6g} | {r.unit} |"
            for name, r in manifest.validity.items()
        ],
        "",
        "Beyond these it has not been tried; live adapters watch the features below and fall back to the site's order.",
    ]


def _drawn(search: Search) -> list[str]:
    generator = ", ".join(f"{key} {value}" for key, value in search.config["generator"].items() if value is not None)
    machine = search.config.get("machine") or "the generator's own"
    return [f"On what this generator draws: {generator}; on the machine: {machine}. It has not been tried elsewhere."]


def _what(manifest: Manifest) -> list[str]:
    if manifest.search is not None:
        (cost,) = manifest.outputs
        discipline = manifest.policy["discipline"]
        weights = discipline.get("placement_weights") or discipline.get("victim_weights") or {}
        used = ", ".join(f"`{name}` {weight:g}" for name, weight in weights.items() if weight)
        return [f"A weighted sum of the features below, the cost {cost.meaning}. Weights: {used}."]
    ordering = str(manifest.policy.get("ordering", "")).removeprefix("expr:")
    if manifest.kind == "network":
        return [f"It scores the first jobs of the queue, as `{ordering}` orders it; the highest score starts first."]
    parameters = manifest.policy.get("parameters") or {}
    named = ", ".join(f"{name} = {value:g}" for name, value in parameters.items())
    return [f"Lowest value starts first: `{ordering}`" + (f" with {named}" if named else "")]


def _results(manifest: Manifest) -> list[str]:
    search = manifest.search
    if search is None:
        return metric_rows(manifest.metrics)
    return [
        f"{search.objective.replace('_', ' ')}: {search.ratio:.3g} times that of {search.rival}, in the geometric mean "
        f"over {search.validation}; the best of the generations looked at, so a little flattering."
    ]


def metric_rows(metrics: Iterable[Metric]) -> list[str]:
    """Return results as a table; none if there are none."""
    rows = [
        f"| {m.trace} | {m.part}, {m.windows} | {m.metric.replace('_', ' ')} | {m.value:.3g} | "
        f"{m.rival_value:.3g} ({m.rival}) | {m.told} |"
        for m in metrics
    ]
    return ["| log | windows | metric | policy | rival | ratio |", "|---|---|---|---|---|---|", *rows] if rows else []


def feature_row(feature: Feature) -> str:
    """Return a feature as a row of a table."""
    least, most = ("" if value is None else f"{value:.6g}" for value in (feature.least, feature.most))
    scaled = f"{feature.meaning}; {feature.scaling}" if feature.scaling != "none" else feature.meaning
    return f"| {feature.name} | {scaled.replace('|', '/')} | {feature.unit} | {least} | {most} |"


def _limits(manifest: Manifest) -> list[str]:
    if manifest.search is not None:
        return [
            "The results are of replays, in which it decides alone; live, kube-scheduler asks it among others.",
            "What a cluster does not tell is shown to it as docs/live-kubernetes.md says.",
            f"Where it cannot answer, the rule {manifest.fallback} decides.",
        ]
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

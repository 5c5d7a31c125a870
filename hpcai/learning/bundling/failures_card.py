"""The model cards of bundles that drain nodes or advise on checkpoints, from their manifests alone."""

from __future__ import annotations

from typing import Any

from hpcai.learning.bundling.card import feature_row, metric_rows
from hpcai.live.manifest import Manifest


def drain_card(manifest: Manifest) -> str:
    """Return the card of a detector or drain policy as Markdown."""
    policy = manifest.policy
    threshold = policy["threshold"]
    when = "never, as it did not pay at these costs" if threshold is None else f"from a risk of {threshold:.4g} on"
    lines = [
        f"# {manifest.name}",
        "",
        f"It drains nodes that are about to fail, written by hpcai {manifest.hpcai}. Its kind is {policy['kind']}.",
        "",
        f"* A node is drained {when}, for {policy['hold'] / 3600:g} h.",
        f"* At most {policy['most']:.0%} of the nodes are held at a time.",
        f"* Chosen for these costs: a missed failure {policy['costs']['missed']:g} node-hours, an hour in which a node "
        f"is kept free {policy['costs']['idle']:g}.",
        *_common(manifest, "None were measured: watch it in shadow before it acts."),
        "",
        "## Limits",
        "",
        "* A drained node fails all the same; what is spared is the work of jobs that would have been on it.",
        "* Jobs that run on a node when it is drained go on there: only what begins later is kept from it.",
        "* Where nodes are too unlike those of its training, or Slurm does not answer, nothing is drained.",
    ]
    return "\n".join(lines) + "\n"


def checkpoint_card(manifest: Manifest) -> str:
    """Return the card of a checkpoint policy as Markdown."""
    given = {key: value for key, value in manifest.policy.items() if value is not None and key not in ("kind", "costs")}
    numbers = ", ".join(f"{key} {_short(value)}" for key, value in given.items())
    costs = {key: value for key, value in manifest.policy["costs"].items() if value is not None}
    lines = [
        f"# {manifest.name}",
        "",
        f"It says when jobs should write checkpoints, written by hpcai {manifest.hpcai}. Its kind is "
        f"{manifest.policy['kind']}, with {numbers}; all of one node, in s and 1/s.",
        "",
        f"Costs: {', '.join(f'{key} {_short(value)}' for key, value in costs.items())}; s, bytes, B/s.",
        *_common(manifest, "None were measured: hpcai failures checkpoints compares policies."),
        "",
        "## Limits",
        "",
        "* It advises; a job follows or does not.",
        "* The costs are those above, not measured of the job that asks.",
    ]
    return "\n".join(lines) + "\n"


def _common(manifest: Manifest, nothing: str) -> list[str]:
    sources = [
        f"* {source.name}, {source.part} part, `{name}` SHA-256 `{digest}`"
        for source in manifest.training
        for name, digest in source.sha256.items()
    ]
    features = [feature_row(feature) for tensor in manifest.inputs for feature in tensor.features]
    heading = ["", "## What it reads", "", "| feature | meaning | unit | least | most |", "|---|---|---|---|---|"]
    return [
        "",
        "## Results",
        "",
        *(metric_rows(manifest.metrics) or [nothing]),
        "",
        "## Learned from",
        "",
        *(sources or ["Nothing: it is given."]),
        *(heading + features if features else []),
    ]


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_short(each) for each in value) + "]"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_short(each)}" for key, each in value.items()) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

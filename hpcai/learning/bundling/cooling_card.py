"""The model card of a bundle of cooling, from its manifest alone."""

from __future__ import annotations

from hpcai.learning.bundling.card import feature_row, metric_rows
from hpcai.live.manifest import Manifest


def cooling_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    sources = [
        f"* {source.name}, {source.part} days, SHA-256 `{digest}`"
        for source in manifest.training
        for digest in source.sha256.values()
    ]
    lines = [
        f"# {manifest.name}",
        "",
        f"A controller of cooling, written by hpcai {manifest.hpcai}. {_what(manifest)}",
        "",
        "## Results",
        "",
        *(metric_rows(manifest.metrics) or ["None were given: compare it with others before it acts."]),
        "",
        "## Learned from",
        "",
        *(sources or ["Nothing: it is given."]),
        "",
        "## Where it was at home",
        "",
        *[
            f"* {name.replace('_', ' ')}: {r.least:,.6g} to {r.most:,.6g} {r.unit}"
            for name, r in manifest.validity.items()
        ],
        *([] if manifest.validity else ["Not recorded."]),
        *_tensors(manifest),
        "",
        "## Limits",
        "",
        "* It knows nothing of alarms, maintenance, fire protection or the plant's interlocks, which go before it.",
        f"* Where it cannot answer or sensors are not believed, the plant is left to {manifest.fallback}.",
        "* What it says is held by the ranges and rates of the site's point map.",
    ]
    return "\n".join(lines) + "\n"


def _what(manifest: Manifest) -> str:
    length = manifest.policy.get("step_length")
    every = f" It decides every {length / 60:g} minutes." if length else ""
    if manifest.kind == "network":
        names = ", ".join(feature.name for feature in manifest.outputs[0].features)
        return f"A network that moves {names}.{every}"
    given = {key: value for key, value in manifest.policy.items() if key not in ("kind", "step_length")}
    settings = ", ".join(f"{key} {value}" for key, value in given.items()) or "no settings"
    return f"Its kind is {manifest.policy['kind']}, with {settings}.{every}"


def _tensors(manifest: Manifest) -> list[str]:
    lines = []
    for title, tensors in (("What it reads", manifest.inputs), ("What it moves", manifest.outputs)):
        if tensors:
            lines += ["", f"## {title}", "", "| feature | meaning | unit | least | most |", "|---|---|---|---|---|"]
            lines += [feature_row(feature) for tensor in tensors for feature in tensor.features]
    return lines

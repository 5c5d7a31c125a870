"""Results of ``hpcai train cluster`` written by hand, for tests and benchmarks of what serves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpcai.learning.bundling.weights import export_weights
from hpcai.live.bundle import Bundle

PLACEMENT = {"gang.new_leaf": 9.0, "gang.leaf_short": 9.0, "gang.leaf_rest": 3.0, "gang.rest": 0.5, "single.rest": 1.0}
VICTIMS = {"lost": 1.0, "surplus": 0.3, "class": 0.2}


def result(learn: str, weights: dict[str, float], **fields: Any) -> dict[str, Any]:
    """What ``hpcai train cluster`` writes."""
    config = {
        "learn": learn,
        "generator": {"kind": "reference-site", "jobs": 100},
        "common": {"restart": 120.0},
        "baseline": {"placement": "topology-aware"},
    }
    return {"hpcai": "0.1.0", "config": config | fields, "validation": [[0, 1.0], [5, 0.9]], "weights": weights}


def exported(folder: Path, learn: str, weights: dict[str, float], **fields: Any) -> Bundle:
    """The bundle of such a result."""
    path = folder / f"{learn}.json"
    path.write_text(json.dumps(result(learn, weights, **fields)))
    return export_weights(path, folder / f"{learn}.hpcai", states=20)

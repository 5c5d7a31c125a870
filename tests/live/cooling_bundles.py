"""Controllers of cooling, and their bundles, for tests."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.controllers.learned import PolicyMeta, PolicyNetwork
from hpcai.cooling.observation import OBSERVED
from hpcai.learning.bundling.cooling import export_cooling
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.learning.cooling.run_folder import CoolingRunFolder
from hpcai.live.bundle import Bundle

DESIGN_POWER = 108_094.25  # W, of the fast plant's preset two-zone


def network(scheme: Scheme = "simple", squash: str = "tanh", activation: str = "relu", seed: int = 0) -> PolicyNetwork:
    rng = np.random.default_rng(seed)
    sizes = (len(OBSERVED), 16, 16, Actions(scheme).size)
    weights = [
        (rng.normal(0, into**-0.5, (out, into)).astype(np.float32), rng.normal(0, 0.1, out).astype(np.float32))
        for into, out in itertools.pairwise(sizes)
    ]
    meta = PolicyMeta(
        actions=scheme, squash=squash, activation=activation, design_power=DESIGN_POWER, layers=len(weights)
    )
    return PolicyNetwork(meta, weights)


def run_folder(out: Path, weather: Path, learned: PolicyNetwork) -> Path:
    """Write the folder of a training that found ``learned``."""
    config = CoolingTraining(weather=(str(weather),), out=str(out), step_minutes=60, seed=3)
    folder = CoolingRunFolder(config)
    folder.write_controller({"kind": "learned", "network": "policy.npz"}, learned)
    folder.finish()
    return out


def controller(path: Path, **fields: Any) -> Path:
    """Write a controller as data."""
    path.write_text(yaml.safe_dump(fields))
    return path


def exported(folder: Path, **fields: Any) -> Bundle:
    """Write the bundle of a controller given by its fields."""
    folder.mkdir(parents=True, exist_ok=True)
    return export_cooling(str(controller(folder / "given.yaml", **fields)), folder / "bundle", states=20)

"""The zoo with its costs against the layer times that PipeDream measured, where their profiles are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.zoo import build

_GRAPHS = Path(__file__).parents[2].parent / "shared" / "data" / "graphs"
PROFILER = 0.28e-3  # seconds that the profiler adds to each layer's forward pass


def profile(model: str) -> OperatorGraph:
    path = _GRAPHS / f"pipedream_{model}.graph.txt"
    if not path.is_file():
        pytest.skip(f"the profile of {model} is not part of the repository")
    return read_graph(path)


@pytest.mark.parametrize("model", ["resnet50", "inception_v3"])
def test_times_are_those_measured_within_a_fifth(model: str) -> None:
    measured, computed = profile(model), build(model, ["V100"], batch=128)
    conv = [np.array(graph.kinds) == "conv" for graph in (measured, computed)]
    assert conv[0].sum() == conv[1].sum()
    layers = measured.forward[0] > 0
    pairs = {
        "forward": ((measured.forward[0] - PROFILER)[layers].sum(), computed.forward[0].sum()),
        "backward": (measured.backward[0].sum(), computed.backward[0].sum()),
        "conv forward": ((measured.forward[0] - PROFILER)[conv[0]].sum(), computed.forward[0][conv[1]].sum()),
        "conv backward": (measured.backward[0][conv[0]].sum(), computed.backward[0][conv[1]].sum()),
    }
    for what, (seconds, estimate) in pairs.items():
        assert estimate == pytest.approx(seconds, rel=0.2), what


@pytest.mark.parametrize("model", ["resnet50", "inception_v3"])
def test_bytes_are_those_recorded(model: str) -> None:
    measured, computed = profile(model), build(model, ["V100"], batch=128)
    assert computed.weights.sum() == measured.weights.sum()
    assert computed.output.sum() == pytest.approx(measured.output.sum(), rel=2e-4)
    assert computed.activations.sum() == pytest.approx(measured.activations.sum(), rel=2e-4)

"""Bundles of every kind asked about live clusters of every kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster.spec import Machine, Reservation
from hpcai.learning.bundling.export import _SCORE, _network_inputs, export_policy
from hpcai.learning.bundling.graph import network_graph
from hpcai.learning.bundling.recorded import recorded_states
from hpcai.learning.bundling.source import exportable
from hpcai.learning.logs import read_logs
from hpcai.learning.runtime import train_runtime
from hpcai.live.bundle import MODEL_CARD, POLICY, write_bundle
from hpcai.live.guards import RangeGuard, UnlikeTrainingError, strangeness
from hpcai.live.manifest import Feature, Manifest, Tensor
from hpcai.live.ranking import BundleRanker, NoAnswerError
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.network import Network, NetworkMeta
from tests.workloads import table

GPU_LOG = "slurm-64gpu.sacct.txt"
HIDDEN = 8


def random_network(kind: str, window: int, defer: bool = False) -> Network:
    rng = np.random.default_rng(5)
    f, g, h = len(JOB_FEATURES), len(MACHINE_FEATURES), HIDDEN
    shapes = {
        "machine": (h, g), "job": (h, f), "machine_to_job": (h, h), "embed": (h, h), "own": (h, h),
        "context": (h, 3 * h), "score": (1, h), "query_key_value": (3 * h, h), "out": (h, h),
        "defer_0": (h, 3 * h), "defer_1": (1, h),
    }  # fmt: skip
    if kind == "mlp":
        shapes = {"layer_0": (h, window * f + g), "layer_1": (window, h)}
    weights = {f"{name}_weight": rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    weights |= {f"{name}_bias": rng.normal(size=shape[0]).astype("f4") for name, shape in shapes.items()}
    del_bias = [name for name in ("machine_to_job_bias", "context_bias") if name in weights]
    for name in del_bias:
        del weights[name]
    meta = NetworkMeta(kind=kind, heads=2, window=window, decide="next", defer=defer)
    return Network(meta, weights)


def bundle_of(network: Network, out, **policy) -> BundleRanker:
    manifest = Manifest(
        domain="scheduling", name="n", kind="network", created="", hpcai="", inputs=_network_inputs(network),
        outputs=(_SCORE,), policy={"ordering": "saf"} | policy, network=network.meta.model_dump(mode="json"),
    )  # fmt: skip
    return BundleRanker(write_bundle(out, manifest, {POLICY: network_graph(network), MODEL_CARD: b""}))


def gpu_states(policy: str = "saf", count: int = 20, **given):
    source = exportable(policy, {"trace": [GPU_LOG], **given})
    (log,) = read_logs(source.config)
    return list(recorded_states(log, source.policy, states=count, windows=2, length=300, seed=0))


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("kind", ["deep-sets", "attention", "mlp"])
def test_a_network_orders_the_window_and_leaves_the_rest(tmp_path, kind, defer):
    network = random_network(kind, 6, defer and kind != "mlp")
    ranker = bundle_of(network, tmp_path / "b")
    longer = 0
    for state in gpu_states():
        judgement = ranker.judge(state)
        shown = min(6, len(state.waiting))
        assert sorted(judgement.order.tolist()) == list(range(len(state.waiting)))
        jobs, machine = judgement.inputs.values()
        scores = network.scores(jobs, machine)[:shown]
        np.testing.assert_allclose(
            judgement.values[judgement.order[:shown]], np.sort(scores)[::-1], rtol=1e-4, atol=1e-4
        )
        area = (state.waiting["requested_time"] * state.waiting["gpus"]).to_numpy()
        if shown < len(state.waiting):
            longer += 1
            assert (np.diff(area[judgement.order[shown:]]) >= 0).all()
            assert area[judgement.order[:shown]].max() <= area[judgement.order[shown:]].min()
    assert longer > 3


def drained(machine: Machine, count: int) -> Machine:
    return machine.model_copy(update={"reservations": (Reservation(nodes=machine.node_names[-count:]),)})


@pytest.mark.parametrize("policy", [{}, {"headroom": "0.2"}, {"backfill": "conservative"}, {"backfill": "none"}])
def test_drained_nodes_are_seen(tmp_path, policy):
    ranker = bundle_of(random_network("deep-sets", 6), tmp_path / "b", **policy)
    state = gpu_states()[5]
    nodes = state.machine.total_nodes
    idle = replace(state, running=state.running.iloc[:0], tasks=(), machine=drained(state.machine, 2))
    judgement = ranker.judge(idle)
    assert judgement.seen["drained"][0] == pytest.approx(2 / nodes)
    assert sorted(judgement.order.tolist()) == list(range(len(state.waiting)))
    busy = replace(state, machine=drained(state.machine, 2))  # those that run there stay until they end
    assert ranker.judge(busy).seen["drained"][0] > 0


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Smallest area first by a trained predictor, exported."""
    folder = tmp_path_factory.mktemp("predictor")
    train_runtime([GPU_LOG], out=folder)
    given = {"trace": [GPU_LOG], "predictor": str(folder / "predictor.npz")}
    return export_policy("saf-predicted", folder / "b", states=20, windows="2x40", quiet=True, **given)


def test_a_predictor_travels_with_its_bundle(predicted):
    ranker = BundleRanker(predicted)
    for state in gpu_states():
        assert state.past is None
        judgement = ranker.judge(state)
        predictions = judgement.seen["predicted_time"]
        assert ((predictions > 0) & np.isfinite(predictions)).all()
    state = gpu_states("saf-predicted", predictor="tsafrir")[10]
    strangers = state.waiting.assign(user=pd.Categorical(["new"] * len(state.waiting)))
    known, unknown = ranker.judge(state), ranker.judge(replace(state, waiting=strangers))
    assert not np.array_equal(known.values, unknown.values)


def test_who_asks_for_no_time_and_who_fits_nowhere(predicted):
    waiting = table(submit=[0.0, 1.0, 2.0], requested_time=[np.nan, 60.0, 60.0], processors=[4, 500, 2], user=["a"] * 3)
    state = replace(
        gpu_states()[0],
        now=10.0,
        waiting=waiting,
        running=waiting.iloc[:0],
        tasks=(),
        machine=Machine.by_processors(16),
    )
    judgement = BundleRanker(predicted).judge(state)
    assert judgement.judged == 2
    assert judgement.order[-1] == 1


def test_scores_that_are_no_numbers_are_no_answer(tmp_path):
    network = random_network("deep-sets", 6)
    network.weights["score_weight"][:] = np.nan
    ranker = bundle_of(network, tmp_path / "b")
    with pytest.raises(NoAnswerError, match="scores are not numbers"):
        ranker.judge(gpu_states()[0])


def test_a_queue_unlike_the_training_gets_no_order(predicted):
    ranker, state = BundleRanker(predicted), gpu_states()[5]
    assert RangeGuard(ranker, 0.25).rank(state).tolist() == ranker.rank(state).tolist()
    least = float(ranker.judge(state).seen["size"].min())
    (variables,) = predicted.manifest.inputs
    learned = [
        feature.model_copy(update={"least": 0.0, "most": least / 2} if feature.name == "size" else {})
        for feature in variables.features
    ]
    inputs = (variables.model_copy(update={"features": tuple(learned)}),)
    of_smaller = BundleRanker(replace(predicted, manifest=predicted.manifest.model_copy(update={"inputs": inputs})))
    with pytest.raises(UnlikeTrainingError, match="100% of the queue is unlike the training, most of all by size"):
        RangeGuard(of_smaller, 0.25).rank(state)


# How much a network's queue may differ from those of its training.

KNOWN = {"size_fraction": (0.01, 0.4), "memory_fraction": (0.0, 0.0), "requested_time": (0.3, 0.8)}
KNOWN_MACHINE = {"free": (0.0, 0.9), "drained": (0.0, 0.0), "queue": (0.01, 0.49), "machine": (0.3333, 0.3333)}


def like_the_training(**changed) -> tuple[float, dict[str, float]]:
    """What the guard says of four jobs; by default they are as in training, and ``changed`` says what is otherwise."""
    features = {
        axes: tuple(Feature(name=n, meaning="", least=low, most=high) for n, (low, high) in known.items())
        for axes, known in ((("job", "feature"), KNOWN), (("feature",), KNOWN_MACHINE))
    }
    manifest = Manifest(
        domain="scheduling", name="n", kind="network", created="", hpcai="", outputs=(), policy={},
        inputs=tuple(Tensor(name="x", dtype="float32", shape=k, features=v) for k, v in features.items()),
    )  # fmt: skip
    of_jobs = {name: np.full(4, low, np.float32) for name, (low, _) in KNOWN.items()}
    of_machine = {name: np.full(1, low, np.float32) for name, (low, _) in KNOWN_MACHINE.items()}
    seen = of_jobs | of_machine
    seen |= {name: np.broadcast_to(np.float32(value), seen[name].shape) for name, value in changed.items()}
    found = strangeness(manifest, seen)
    return found.share, found.told


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({}, {}),
        ({"free": 1.0, "drained": 0.04}, {}),  # one node of 25
        ({"machine": np.log10(104) / 6}, {}),  # one node more
        ({"memory_fraction": 0.08}, {}),  # asked for, which nobody did
        ({"drained": 0.2}, {"drained": 1.0}),
        ({"queue": 200 / 300}, {"queue": 1.0}),  # of 96 at most
    ],
)
def test_slight_differences_do_not_count(what, told):
    assert like_the_training(**what) == (0.0, told)


@pytest.mark.parametrize(
    "what", [{"size_fraction": 0.9}, {"requested_time": 0.1}, {"queue": 0.95}, {"drained": 0.5}, {"free": np.nan}]
)
def test_jobs_of_unknown_kinds_and_another_machine_do(what):
    assert like_the_training(**what) == (1.0, dict.fromkeys(what, 1.0))


def test_the_reason_is_one_that_counts():
    share, told = like_the_training(drained=0.2, size_fraction=[0.9, 0.9, 0.1, 0.1])
    assert (share, told) == (0.5, {"drained": 1.0, "size_fraction": 0.5})

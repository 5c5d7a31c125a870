"""Who is next on a live cluster, as a bundle says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from hpcai.errors import HpcaiError, InputError
from hpcai.live.bundle import PREDICTOR, Bundle, read_bundle
from hpcai.live.policy import without_hindsight
from hpcai.live.state import LiveState
from hpcai.scheduling.features import JOB_FEATURES, LONGEST, MACHINE_FEATURES
from hpcai.scheduling.jobs import sized_and_fitting
from hpcai.scheduling.network import NetworkMeta
from hpcai.scheduling.outlook import VARIABLES, Outlook, outlook
from hpcai.scheduling.policy import Policy


class NoAnswerError(HpcaiError):
    """A policy gave no usable answer."""


Floats = NDArray[np.floating[Any]]
Arrays = Mapping[str, Floats]


@dataclass(frozen=True)
class Judgement:
    """What a policy says of a queue: rows of the waiting table, first to start first, and why.

    The first ``judged`` rows were put in order by the policy, those behind by submission. ``values`` are by row, nan
    where there is none; ``seen`` are the features by name, each (jobs,), or (1,) of the machine. ``inputs`` and
    ``output`` are what the graph was given and gave; empty if there was nobody to judge.
    """

    order: NDArray[np.int64]
    values: NDArray[np.float64]
    judged: int
    seen: Arrays
    inputs: Arrays
    output: Floats


Order = Callable[[Outlook, LiveState, Floats], tuple[NDArray[np.int64], NDArray[np.float64]]]


class BundleRanker:
    """The policy of a bundle of the domain scheduling."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is of another domain or its graph does not fit its manifest."""
        manifest, where = bundle.manifest, f"bundle {bundle.where}"
        if manifest.domain != "scheduling":
            raise InputError(f"{where}: expected the domain scheduling, found {manifest.domain}")
        self.bundle = bundle
        self.session = make_session(bundle)
        (self._output,) = [tensor.name for tensor in manifest.outputs]
        self.policy = self._live_policy(where)
        self._names = [feature.name for tensor in manifest.inputs for feature in tensor.features]
        self._meta = _network_meta(bundle) if manifest.kind == "network" else None
        self._order: Order = self._by_priority if self._meta is None else self._by_score
        if self._meta is None:
            unknown = [name for name in self._names if name not in VARIABLES]
            if unknown:
                raise InputError(f"{where}: this version knows no variable {unknown[0]!r}")
            names = list(VARIABLES)
            self._rows = [names.index(name) for name in self._names]

    def _live_policy(self, where: str) -> Policy:
        """Return the policy as it can be kept live: run times are unknown, and the site's scheduler starts jobs."""
        try:
            policy = Policy.model_validate(self.bundle.manifest.policy)
        except ValidationError as error:
            raise InputError(f"{where}: its policy is not of this version: {error.errors()[0]['msg']}") from error
        changed: dict[str, Any] = {"headroom": None, "network": None, "dependencies": False}
        changed |= without_hindsight(policy)
        if policy.predictor_is_file:
            if PREDICTOR not in self.bundle.files:
                raise InputError(f"{where}: expected {PREDICTOR}, which its policy needs")
            changed["predictor"] = str(self.bundle.unpacked / PREDICTOR)
        return policy.model_copy(update=changed)

    def rank(self, state: LiveState) -> NDArray[np.int64]:
        """Return all rows of ``state.waiting``, the one to start first in front."""
        return self.judge(state).order

    def judge(self, state: LiveState) -> Judgement:
        """Return the order of the queue. Raises NoAnswerError if the policy gives something that is no order."""
        waiting = state.waiting
        requested = waiting["requested_time"].fillna(LONGEST)
        waiting = waiting.assign(requested_time=requested)
        sized, fitting = sized_and_fitting(waiting, state.machine)
        able = np.flatnonzero(sized & fitting)
        order, values = np.zeros(0, np.int64), np.full(len(waiting), np.nan)
        seen: Arrays = {}
        inputs: Arrays = {}
        output: Floats = np.zeros(0)
        if len(able):
            asked = replace(state, waiting=waiting.iloc[able].reset_index(drop=True))
            view = self._look(asked)
            seen, inputs = self._seen(view), self._feed(view)
            (output,) = self.session.run([self._output], inputs)
            inner, values[able] = self._order(view, asked, output)
            order = able[inner]
        rest = np.setdiff1d(np.arange(len(waiting)), order)
        rest = rest[np.argsort(waiting["submit"].to_numpy()[rest], kind="stable")]
        return Judgement(np.concatenate((order, rest)), values, len(order), seen, inputs, output)

    def _look(self, state: LiveState) -> Outlook:
        meta = self._meta
        return outlook(
            state.waiting,
            state.running.assign(requested_time=state.running["requested_time"].fillna(LONGEST)),
            state.machine,
            self.policy,
            state.now,
            state.tasks,
            state.past,
            origin=state.origin,
            window=meta.window if meta else 1,
            classes=meta.classes if meta else (),
        )

    def _feed(self, view: Outlook) -> Arrays:
        if self._meta is None:
            return {"variables": np.ascontiguousarray(view.variables[self._rows])}
        jobs = view.jobs
        if self._meta.kind == "mlp":
            jobs = np.zeros((self._meta.window, jobs.shape[1]), np.float32)
            jobs[: len(view.jobs)] = view.jobs
        return {"jobs": jobs, "machine": view.machine}

    def _by_priority(
        self, view: Outlook, state: LiveState, priority: Floats
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Lowest first; ties by submission, then by row, as in a replay."""
        if priority.shape != view.rows.shape or np.isnan(priority).any():
            raise NoAnswerError(f"bundle {self.bundle.where}: its priorities are not numbers")
        submit = state.waiting["submit"].to_numpy()[view.rows]
        values = np.empty(len(view.rows))
        values[view.rows] = priority
        return view.rows[np.lexsort((view.rows, submit, priority))], values

    def _by_score(
        self, view: Outlook, state: LiveState, score: Floats
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Highest score first in the window; who is beyond it follows in the policy's own ordering."""
        shown = len(view.jobs)
        if len(score) < shown or not np.isfinite(score[:shown]).all():
            raise NoAnswerError(f"bundle {self.bundle.where}: its scores are not numbers")
        values = np.full(len(view.rows), np.nan)
        values[view.rows[:shown]] = score[:shown]
        best = np.argsort(-score[:shown], kind="stable")
        return np.concatenate((view.rows[:shown][best], view.rows[shown:])), values

    def _seen(self, view: Outlook) -> Arrays:
        if self._meta is None:
            return {name: view.variables[row] for name, row in zip(self._names, self._rows, strict=True)}
        of_jobs = {name: view.jobs[:, k] for k, name in enumerate(JOB_FEATURES)}
        return of_jobs | {name: view.machine[k : k + 1] for k, name in enumerate(MACHINE_FEATURES)}


def load_ranker(path: str | Path, digest: str | None = None) -> BundleRanker:
    """Return the policy of the bundle at ``path``, which must have ``digest`` if one is given.

    Raises InputError if it is not a bundle, has been changed, or is another.
    """
    return BundleRanker(read_bundle(path, digest))


ONE_CORE: Final = 1
_KINDS: Final = {"float32": "float", "float64": "double"}


def make_session(bundle: Bundle) -> onnxruntime.InferenceSession:
    """Return what runs a bundle's graph, on one core. Raises InputError if it does not fit the manifest."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = ONE_CORE
    options.log_severity_level = 3
    # A small graph may be written so that folding its constants takes all memory.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(bundle.policy, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises errors of many kinds on graphs that are not its own
        raise InputError(f"bundle {bundle.where}: policy.onnx cannot be run: {str(error).splitlines()[0]}") from error
    for what, tensors, found in (
        ("inputs", bundle.manifest.inputs, session.get_inputs()),
        ("outputs", bundle.manifest.outputs, session.get_outputs()),
    ):
        expected = sorted((tensor.name, f"tensor({_KINDS[tensor.dtype]})", len(tensor.shape)) for tensor in tensors)
        given = sorted((node.name, node.type, len(node.shape)) for node in found)
        if expected != given:
            raise InputError(f"bundle {bundle.where}: policy.onnx: expected {what} {expected}, found {given}")
    return session


def _network_meta(bundle: Bundle) -> NetworkMeta:
    """Return how a network is asked. Raises InputError if it was made for other features."""
    where = f"bundle {bundle.where}"
    try:
        meta = NetworkMeta.model_validate(bundle.manifest.network or {})
    except ValidationError as error:
        raise InputError(f"{where}: its network is not of this version: {error.errors()[0]['msg']}") from error
    if meta.job_features != tuple(JOB_FEATURES) or meta.machine_features != tuple(MACHINE_FEATURES):
        raise InputError(f"{where}: its features are not those of this version; train and export it again")
    return meta

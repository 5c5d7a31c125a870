"""Export what ``hpcai train cluster`` found, weights of a placement or of a choice of victims, as a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.learning.bundling.card import bundle_card
from hpcai.learning.bundling.checks import TOLERANCE, ExportError
from hpcai.learning.bundling.drawn import Compared, compare_placement, compare_preemption
from hpcai.learning.bundling.graph import weighted_graph
from hpcai.learning.cluster import LEARNED, TRAINING_SEEDS, VALIDATION_SEEDS, ClusterTraining
from hpcai.live.bundle import MODEL_CARD, POLICY, SUMS, Bundle, check_can_be_written, write_bundle
from hpcai.live.cluster.placement import PlacementPolicy
from hpcai.live.cluster.preemption import PreemptionPolicy
from hpcai.live.cluster.weighted import CHOSEN
from hpcai.live.manifest import Domain, Feature, Manifest, Search, Tensor
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline
from hpcai.scheduling.placement import GANG_FEATURES
from hpcai.scheduling.placement.learned_gangs import SIZES_OF_GANG

NODE_FEATURES: Final = {
    "short": "1 if the node cannot take all pods of the gang that are left to place",
    "taken": "the part of these that it takes",
    "rest": "GPUs that would then be free on it / most GPUs of a node",
    "leaf_short": "1 if its leaf switch has no room for all pods that are left",
    "leaf_taken": "the part of these that has room there",
    "leaf_rest": "GPUs that would then be free there / GPUs there",
    "new_leaf": "1 if the gang has pods already, none of them there",
    "opens_node": "1 if the node is empty",
    "slow": "1 - speed of its GPUs / that of the fastest",
    "asked_for": "part of the workload that asks for its GPU kind by name / the kind's part of all GPUs",
    "nic": "traffic on its NICs / what they can carry",
    "uplink": "traffic on the uplinks of its leaf switch / what they can carry",
}
JOB_FEATURES: Final = {
    "lost": ("running that would have to be repeated, restart included", "h"),
    "age": ("since its latest start", "h"),
    "gpus": ("GPUs it holds / GPUs of the node that has most", "1"),
    "surplus": ("GPUs it holds beyond what is missing / GPUs it holds", "1"),
    "nodes": ("nodes it is on / pods", "1"),
    "left": ("time that it is expected to run on", "h"),
    "saves": ("1 if it writes a checkpoint when told to stop", "1"),
    "stops": ("how often it was stopped before", "1"),
    "class": ("0 preemptible, 1 normal", "1"),
}
_SIZES: Final = {"single": "1 if the pod is alone", "gang": "1 if it is one of several that start together"}


@dataclass(frozen=True)
class Kind:
    """How the weights of one learned part become a bundle."""

    domain: Domain
    inputs: tuple[Tensor, ...]
    output: str
    fallback: str
    against: str


KINDS: Final = {
    "placement": Kind(
        domain="placement",
        inputs=(
            Tensor(
                name="nodes",
                dtype="float64",
                shape=("node", "feature"),
                features=tuple(Feature(name=f, meaning=NODE_FEATURES[f], unit="1") for f in GANG_FEATURES),
            ),
            Tensor(
                name=CHOSEN,
                dtype="float64",
                shape=("feature",),
                features=tuple(Feature(name=s, meaning=_SIZES[s], unit="1") for s in SIZES_OF_GANG),
            ),
        ),
        output="of putting the next pod on the node, lowest first",
        fallback="topology",
        against="the compiled placement learned-gang",
    ),
    "victims": Kind(
        domain="preemption",
        inputs=(
            Tensor(
                name="jobs",
                dtype="float64",
                shape=("job", "feature"),
                features=tuple(
                    Feature(name=f, meaning=JOB_FEATURES[f][0], unit=JOB_FEATURES[f][1]) for f in VICTIM_FEATURES
                ),
            ),
        ),
        output="of stopping the job, lowest first",
        fallback="lowest-priority",
        against="the compiled choice of victims",
    ),
}


@dataclass(frozen=True)
class Found:
    """A result of ``hpcai train cluster``."""

    name: str
    config: ClusterTraining
    weights: Mapping[str, float]
    validation: Sequence[tuple[int, float]]

    @property
    def table(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """The weights as (set, feature)."""
        names = LEARNED[self.config.learn][0]
        sets = len(SIZES_OF_GANG) if self.config.learn == "placement" else 1
        return np.array([self.weights.get(name, 0.0) for name in names]).reshape(sets, -1)

    @property
    def discipline(self) -> Discipline:
        """The discipline that the weights are a part of."""
        _, settings, setting = LEARNED[self.config.learn]
        fields = self.config.common | settings | {setting: dict(self.weights)}
        return validated(Discipline, fields, f"export {self.name}")

    @property
    def search(self) -> Search:
        """How it was found."""
        config, (generation, ratio) = self.config, min(self.validation, key=lambda each: each[1])
        first, last = (TRAINING_SEEDS + config.draws * generations for generations in (1, config.generations + 1))
        rival = ", ".join(f"{key} {value}" for key, value in config.baseline.items()) or "the default discipline"
        kind = config.generator.kind
        return Search(
            config=config.model_dump(mode="json"),
            objective=config.objective,
            rival=rival,
            ratio=ratio,
            training=f"{kind}, seeds {first} to {last - 1}, search seed {config.seed}",
            validation=f"{kind}, seeds {VALIDATION_SEEDS} to {VALIDATION_SEEDS + config.validation_draws - 1}, "
            f"generation {generation}",
        )


def export_weights(path: str | Path, out: str | Path, *, states: int = 500, seed: int = 0) -> Bundle:
    """Write the bundle of a result of ``hpcai train cluster``, and return it as it reads again.

    The graph is compared with the compiled policy on ``states`` drawn situations. Raises InputError if ``path`` is no
    such result, ExportError if the graph does not give what the policy gives.
    """
    check_can_be_written(out)
    found = read_found(path)
    kind = KINDS[found.config.learn]
    files = {POLICY: weighted_graph(kind.inputs[0].name, str(kind.inputs[0].shape[0]), found.table)}
    draft = _manifest(found, kind)
    compared = _check(found, Bundle("draft", draft, files | {SUMS: b""}, ""), states, seed)
    checked = {
        "states": compared.states,
        "against": kind.against,
        "largest_difference": compared.difference,
        "tolerance": TOLERANCE,
        "choices": compared.choices,
    }
    manifest = draft.model_copy(update={"checked": checked})
    return write_bundle(out, manifest, files | {MODEL_CARD: bundle_card(manifest).encode()})


def read_found(path: str | Path) -> Found:
    """Return the result in a file. Raises InputError if it is none of ``hpcai train cluster``."""
    where = f"export {path}"
    try:
        result: Any = json.loads(Path(path).read_text("utf-8"))
        fields, weights, validation = dict(result["config"]), dict(result["weights"]), list(result["validation"])
        learned = str(fields.get("learn"))
        history = [(int(generation), float(score)) for generation, score in validation]
        given = {str(name): float(weight) for name, weight in weights.items()}
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: expected a result of hpcai train cluster") from error
    if learned not in KINDS or not history:
        raise InputError(f"{where}: expected a result of hpcai train cluster that learned placement or victims")
    unknown = [name for name in given if name not in LEARNED[learned][0]]
    if unknown or not np.isfinite(list(given.values())).all():
        raise InputError(f"{where}: weights: expected numbers for {LEARNED[learned][0][0]!r} and the like, "
                         f"found {unknown[0] if unknown else 'one that is not finite'!r}")  # fmt: skip
    return Found(Path(path).stem, validated(ClusterTraining, fields, where), given, history)


def _manifest(found: Found, kind: Kind) -> Manifest:
    return Manifest(
        domain=kind.domain,
        name=found.name,
        kind="formula",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hpcai=version("hpcai"),
        inputs=kind.inputs,
        outputs=(Tensor(name="cost", dtype="float64", shape=(kind.inputs[0].shape[0],), meaning=kind.output),),
        policy={"discipline": found.discipline.model_dump(mode="json", exclude_unset=True)},
        search=found.search,
        seed=found.config.seed,
        fallback=kind.fallback,
    )


def _check(found: Found, draft: Bundle, states: int, seed: int) -> Compared:
    if found.config.learn == "placement":
        compared = compare_placement(PlacementPolicy(draft), found.weights, states, seed)
    else:
        compared = compare_preemption(PreemptionPolicy(draft), states, seed)
    if compared.difference > TOLERANCE or compared.other_choices:
        raise ExportError(
            f"export {found.name}: policy.onnx differs from the policy by {compared.difference:.3g}, relative, and in "
            f"{compared.other_choices} of {compared.choices} choices; expected at most {TOLERANCE:g} and none"
        )
    return compared

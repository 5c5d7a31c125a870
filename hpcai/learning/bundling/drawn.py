"""Drawn situations on which an exported placement or choice of victims is compared with the compiled one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine, Network, NodeGroup
from hpcai.jit import jit
from hpcai.live.cluster.placement import Floats, PlacementPolicy, Step, count, features_of
from hpcai.live.cluster.preemption import Need, PreemptionPolicy, Victim, with_victims
from hpcai.live.cluster.preemption import features_of as features_of_victims
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.victims import learned_cost
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import PLACE, POD, Nodes, Rule, make_nodes, make_rule, place_pod
from hpcai.scheduling.placement.learned_gangs import best_node
from hpcai.scheduling.placement.nodes import GIB, gpu_kinds
from hpcai.scheduling.placement.pods import ANY

CHOICES: Final = 3  # nodes that are compared in each situation, each the best once those before it have no room


@dataclass
class Compared:
    """What a comparison found."""

    states: int = 0
    difference: float = 0.0  # the largest of costs, relative where they are beyond 1
    choices: int = 0
    other_choices: int = 0  # in which the graph chose worse than the policy

    def note(self, ours: Floats, theirs: Floats) -> None:
        """Compare costs of one situation."""
        self.states += 1
        apart = np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)
        self.difference = max(self.difference, float(apart.max(initial=0.0)))

    def choose(self, ours: Floats, theirs: int) -> None:
        """Compare a choice; what the graph finds equally good, to the last digits, is the same."""
        self.choices += 1
        least = float(ours.min())
        self.other_choices += int(ours[theirs] > least + 1e-9 * max(abs(least), 1.0))


@dataclass(frozen=True)
class Situation:
    """A gang of which some pods are placed, the nodes, and what the workload asks for."""

    nodes: Nodes
    pod: NDArray[np.void]
    target: NDArray[np.void]
    step: Step


def compare_placement(policy: PlacementPolicy, weights: Mapping[str, float], states: int, seed: int) -> Compared:
    """Compare costs and choices of nodes on ``states`` drawn situations."""
    compared = Compared()
    for machine in range(states):
        if compared.states == states:
            break
        for at in situations(np.random.default_rng([seed, machine]), 20):
            count(at.nodes, at.pod, at.step.left + at.step.placed)
            if compared.states < states and np.count_nonzero(at.nodes.room[0]) > 1:
                _compare_nodes(compared, policy, make_rule("learned-gang", at.target, weights=weights), at)
    return compared


def _compare_nodes(compared: Compared, policy: PlacementPolicy, rule: Rule, at: Situation) -> None:
    seen = features_of(at.nodes, at.pod, at.target, at.step)
    costs = policy.costs(seen, at.step)
    roomy = np.isfinite(costs)
    compared.note(costs[roomy], seen[roomy] @ rule.weights.reshape(2, -1)[at.step.size])
    for _ in range(min(CHOICES, int(roomy.sum()))):
        chosen = _best(at.nodes, at.pod, rule, *at.step)
        compared.choose(costs, chosen)
        costs[chosen], at.nodes.room[0, chosen] = np.inf, 0


@jit
def _best(nodes: Nodes, pod: NDArray[np.void], rule: Rule, left: int, placed: int, leaf: int) -> int:
    return best_node(nodes, pod[0], rule, left, placed, leaf)


def situations(rng: np.random.Generator, count: int) -> Iterator[Situation]:
    """Yield ``count`` situations on a drawn machine that fills up."""
    machine = _machine(rng)
    nodes, kinds = make_nodes(machine), len(gpu_kinds(machine))
    target = _pods(rng, kinds, 6)
    target["weight"] = rng.dirichlet(np.ones(6))
    filler = make_rule("random-fit", seed=int(rng.integers(2**31)))
    held = np.zeros(1, dtype=PLACE)
    for _ in range(count):
        for pod in _pods(rng, kinds, 6):
            _place(nodes, pod.reshape(1), filler, held)
        nodes.traffic[:] = rng.uniform(0, 1.5, len(nodes.traffic))
        left, placed = (1, 0) if rng.random() < 0.3 else (int(rng.integers(1, 12)), int(rng.integers(0, 4)))
        step = Step(left, placed, int(rng.integers(len(nodes.leaf_gpu))))
        yield Situation(nodes, _pods(rng, kinds, 1), target, step)


@jit
def _place(nodes: Nodes, pod: NDArray[np.void], rule: Rule, held: NDArray[np.void]) -> bool:
    return place_pod(nodes, pod[0], -1, rule, held[0])


def _machine(rng: np.random.Generator) -> Machine:
    groups = tuple(
        NodeGroup(
            name=f"g{k}",
            count=int(rng.integers(2, 24)),
            cpus=int(rng.integers(8, 128)),
            memory_gib=float(rng.integers(64, 1024)),
            gpus=int(rng.choice([1, 2, 4, 8])),
            gpu_kind=f"kind{k}",
            gpu_speed=float(rng.uniform(0.5, 3)),
        )
        for k in range(int(rng.integers(1, 4)))
    )
    network = Network(topology="fat-tree", nodes_per_switch=int(rng.integers(2, 12)))
    return Machine(name="drawn", groups=groups, network=network)


def _pods(rng: np.random.Generator, kinds: int, n: int) -> NDArray[np.void]:
    pods = np.zeros(n, dtype=POD)
    pods["gpu"] = rng.choice([0, 250, 500, MILLI, MILLI, 2 * MILLI, 4 * MILLI, 8 * MILLI], n)
    pods["cpu"] = rng.integers(0, 8 * MILLI, n)
    pods["memory"] = rng.integers(0, 32, n) * GIB
    pods["kinds"] = np.where(rng.random(n) < 0.7, ANY, rng.integers(1, 1 << kinds, n))
    return pods


def compare_preemption(policy: PreemptionPolicy, states: int, seed: int) -> Compared:
    """Compare costs and choices of victims on ``states`` drawn situations."""
    compared, rng = Compared(), np.random.default_rng(seed)
    for _ in range(states):
        victims = [_victim(rng) for _ in range(int(rng.integers(1, 30)))]
        need = Need(float(rng.integers(1, 64)), float(rng.integers(0, 32)), float(rng.choice([4, 8])))
        cluster = with_victims(policy.empty, victims, need)
        costs = policy.weighted.costs(features_of_victims(cluster))
        theirs = np.empty(len(victims))
        _costs(cluster, theirs)
        compared.note(costs, theirs)
        compared.choose(costs, int(theirs.argmin()))
    return compared


@jit
def _costs(st: Cluster, out: Floats) -> None:
    for v in range(out.shape[0]):
        out[v] = learned_cost(st, 0, v + 1)


def _victim(rng: np.random.Generator) -> Victim:
    pods, age = int(rng.integers(1, 9)), float(rng.exponential(3e4))
    return Victim(
        gpus=float(pods * rng.choice([1, 2, 4, 8])),
        nodes=tuple(sorted(rng.integers(0, 4, pods).tolist())),
        age=age,
        unsaved=age * float(rng.random()),
        estimate=float(rng.exponential(6e4)) + 1.0,
        saves=bool(rng.random() < 0.5),
        stops=int(rng.integers(0, 3)),
        rank=int(rng.integers(0, 2)),
    )

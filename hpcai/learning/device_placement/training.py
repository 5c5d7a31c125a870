"""A training of a device placement policy from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hpcai.device_placement.learned.network import Network, NetworkMeta, read_network
from hpcai.device_placement.learned.proposing import Proposer
from hpcai.errors import InputError
from hpcai.evaluation.progress import Progress
from hpcai.learning.clock import Clock
from hpcai.learning.device_placement.config import DeviceTraining
from hpcai.learning.device_placement.instances import Instance, draw_instances
from hpcai.learning.device_placement.lessons import decoder_of, lesson, sample
from hpcai.learning.device_placement.policy import Policy, seen_of
from hpcai.learning.device_placement.run_folder import DeviceRunFolder

_TRAINING, _VALIDATION = 0, 1  # parts that instances are drawn for
_DRAWN = 32  # placements of each instance of validation
_LARGEST_STEP = 1.0  # norm of a gradient


@dataclass(frozen=True)
class DeviceTrained:
    """What came out, in validation: ``drawn`` of :class:`_Score`, before and at its best."""

    begun: float
    best: float
    interrupted: bool = False


@dataclass(frozen=True)
class _Score:
    """Geometric means over instances of step times, to the least possible without transfers."""

    greedy: float  # of what the policy chooses
    drawn: float  # of the best of that and of _DRAWN; what a network is chosen by, since so it is used


def train_devices(config: DeviceTraining, quiet: bool = True) -> DeviceTrained:
    """Learn a policy and write it into its folder, the best so far in validation at all times.

    An interrupt ends it with that. Raises InputError for a graph or a network that cannot be used.
    """
    folder = DeviceRunFolder(config)
    torch.set_num_threads(1)  # small networks gain nothing from more
    torch.manual_seed(config.seed)
    policy = _make_policy(config)
    instances = draw_instances(config, config.instances, _TRAINING)
    unseen = draw_instances(config, config.validation, _VALIDATION)
    scores: list[float] = []
    clock = Clock(config.limits)

    def validate() -> None:
        found = _score(policy, unseen, config.seed)
        row = {"updates": clock.steps, "seconds": round(clock.seconds, 1)}
        folder.append(row | {"greedy": found.greedy, "drawn": found.drawn})
        if not scores or found.drawn < min(scores):
            folder.write_network(Network(policy.weights(), NetworkMeta(graphs=config.graphs)))
        scores.append(found.drawn)

    interrupted = False
    try:
        validate()
        _learn(config, policy, instances, clock, validate, quiet)
        if clock.steps % config.validate_every:
            validate()
    except KeyboardInterrupt:
        interrupted = True
    if not scores:
        raise KeyboardInterrupt
    folder.finish()
    return DeviceTrained(scores[0], min(scores), interrupted)


def _make_policy(config: DeviceTraining) -> Policy:
    learner = config.learner
    policy = Policy(learner.hidden, learner.rounds)
    if config.begin is not None:
        weights = read_network(config.begin).weights
        if (len(weights.out), len(weights.own)) != (learner.hidden, learner.rounds):
            found = f"{len(weights.out)} hidden values and {len(weights.own)} rounds"
            raise InputError(f"begin {config.begin}: found {found}, expected those of the learner")
        policy.load(weights)
    return policy


def _learn(
    config: DeviceTraining,
    policy: Policy,
    instances: Sequence[Instance],
    clock: Clock,
    validate: Callable[[], None],
    quiet: bool,
) -> None:
    learner, rng = config.learner, np.random.default_rng((config.seed, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=learner.learning_rate)
    seen = [seen_of(instance.units) for instance in instances]
    with Progress(1000, "per mille of the budget", quiet) as progress:
        while not clock.over:
            i = int(rng.integers(len(instances)))
            found = sample(instances[i], decoder_of(policy, instances[i]), learner.drawn, rng)
            loss = lesson(policy, seen[i], found, learner)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(policy.parameters(), _LARGEST_STEP)
            for group in optimizer.param_groups:  # falls to a tenth, so that the last steps settle
                group["lr"] = learner.learning_rate * 0.1**clock.spent
            optimizer.step()
            clock.steps += 1
            progress.reach(int(1000 * clock.spent))
            if clock.steps % config.validate_every == 0:
                validate()


def _score(policy: Policy, instances: Sequence[Instance], seed: int) -> _Score:
    found = []
    for instance in instances:
        proposer = Proposer(instance.units, decoder_of(policy, instance), seed)
        greedy, drawn = proposer.best_guess()[None], proposer.propose(_DRAWN)[0]
        found.append([instance.costs(places).min() for places in (greedy, np.vstack([greedy, drawn]))])
    return _Score(*np.exp(np.log(found).mean(axis=0)).tolist())

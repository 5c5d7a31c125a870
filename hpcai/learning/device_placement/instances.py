"""What is learned on: graphs on devices, drawn from a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hpcai.device_placement.devices import Devices, alike, pairwise
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.learned.annealing import costs
from hpcai.device_placement.learned.construction import State, Task, make_state, make_task
from hpcai.device_placement.learned.units import Units, make_units
from hpcai.device_placement.machine_devices import HOST
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.zoo import build
from hpcai.learning.device_placement.config import DeviceTraining
from hpcai.learning.device_placement.generated import KIND, generate


@dataclass
class Instance:
    """A graph on devices."""

    units: Units
    task: Task = field(init=False)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.task = make_task(self.units)
        self.state = make_state(self.task)

    def costs(self, places: Ints) -> Floats:
        """Return the costs (k,) of placements (k, u): seconds to the least, more where memory lacks."""
        found: Floats = costs(self.units, places) / self.task.scale
        return found


def draw_instances(config: DeviceTraining, count: int, part: int) -> list[Instance]:
    """Return instances; those of another ``part`` are others. Raises InputError for a graph that cannot be read."""
    rng = np.random.default_rng((config.seed, part))
    known = {source: _load(source) for source in config.graphs if source != "generated"}
    sources = [str(rng.choice(config.graphs)) for _ in range(count)]
    graphs = [generate(rng) if source == "generated" else varied(known[source], config.vary, rng) for source in sources]
    return [Instance(make_units(*_placed_on(graph, config, rng))) for graph in graphs]


def _load(source: str) -> OperatorGraph:
    return build(source[4:], (KIND, HOST)) if source.startswith("zoo:") else read_graph(source)


def varied(graph: OperatorGraph, spread: float, rng: np.random.Generator) -> OperatorGraph:
    """Return the graph with the seconds and bytes of each operator off by a factor of its own."""

    def factor() -> Floats:
        return rng.lognormal(0.0, spread, len(graph))

    seconds, sent = factor(), factor() * rng.lognormal(0.0, spread)
    return replace(
        graph,
        forward=graph.forward * seconds,
        backward=graph.backward * seconds * rng.lognormal(0.0, spread / 4),
        weights=graph.weights * factor(),
        activations=graph.activations * sent,
        output=graph.output * sent,
    )


def _placed_on(graph: OperatorGraph, config: DeviceTraining, rng: np.random.Generator) -> tuple[OperatorGraph, Devices]:
    """Return the graph with devices that are alike."""
    kind, count = graph.device_kinds[0], int(rng.choice(config.devices))
    spans = (config.bandwidth, config.latency, config.pressure)
    bandwidth, latency, pressure = (float(np.exp(rng.uniform(*np.log(span)))) for span in spans)
    alone = StepSimulator(graph, alike(kind, 1, memory=np.inf, bandwidth=1.0))
    needed = float(alone.time(np.zeros(len(graph), np.int64)).peak[0])
    hosts = int(HOST in graph.device_kinds and rng.random() < config.host)
    memory = np.array([max(needed / count / pressure, 1.0)] * count + [np.inf] * hosts)
    between = np.full((len(memory), len(memory)), bandwidth * 1e9)
    return graph, pairwise([kind] * count + [HOST] * hosts, memory, between, latency * 1e-6)

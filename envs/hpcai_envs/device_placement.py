"""``hpcai/DevicePlacement-v0``: the operators of a model on several devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.device_placement.devices import Devices, alike
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.learned.construction import CHOICES, allowed, clear, make_state, make_task, observe, put
from hpcai.device_placement.learned.encoder import FEATURES, unit_features
from hpcai.device_placement.learned.units import make_units
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.zoo import MODELS, build
from hpcai.errors import InputError

GIB = 2.0**30
Observation = dict[str, NDArray[np.float32]]
RenderMode = Literal["ansi"]


class DevicePlacementEnv(gym.Env[Observation, np.int64]):
    """A model of a step of training or inference; the agent says on which device each group of operators runs.

    Operators are grouped (:mod:`hpcai.device_placement.learned.units`) and placed one group a step, inputs before what
    needs them. ``graph`` is a file, a name of the zoo, or a graph; ``devices`` a number of devices that are alike, with
    ``memory`` in GiB, ``bandwidth`` in GB/s and ``latency`` in µs between any two, or devices.

    ## Action space
    ``Discrete(devices)``. :meth:`action_masks` has the devices that can run the group and whose memory suffices for its
    weights and activations, or else those with most memory left; another one counts as the first of these.

    ## Observation space
    ``unit`` float32 (features,) in 0..1, the columns of :data:`hpcai.device_placement.learned.encoder.FEATURES`, about
    the group at hand; ``devices`` float32 (devices, features) in 0..1, the columns of
    :data:`hpcai.device_placement.learned.construction.CHOICES`: where its inputs and its siblings are, when it could
    start and end, and each device's load and memory.

    ## Rewards
    How much shorter the simulated step has become, to the least seconds that a step can take without transfers. What is
    not placed yet counts as on the device where everything was at first, so that an episode's rewards add up to the
    step of that placement less the final one. A byte that is lacking costs seconds, too: all of one device's memory as
    much as ten times the work.

    ## Starting state, episode end
    Nothing is placed, or all is on the quickest single device; the last group. ``info`` then holds ``placement``,
    the device of each operator, ``seconds`` and ``excess``, bytes.

    ## Version history
    v0: first.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        graph: str | Path | OperatorGraph = "inception_v3",
        devices: int | Devices = 4,
        *,
        memory: float = 16.0,
        bandwidth: float = 10.0,
        latency: float = 5.7,
        weight_copies: float | None = None,
        render_mode: RenderMode | None = None,
    ) -> None:
        """Raise InputError if the graph cannot be used, or the devices have no costs in it."""
        graph = graph if isinstance(graph, OperatorGraph) else _graph(graph)
        if isinstance(devices, int):
            if devices < 1 or memory <= 0 or bandwidth <= 0 or latency < 0:
                raise InputError("devices: expected at least 1, with memory and bandwidth above 0, latency from 0")
            size, speed = memory * GIB, bandwidth * 1e9
            devices = alike(graph.device_kinds[0], devices, memory=size, bandwidth=speed, latency=latency * 1e-6)
        self.render_mode = render_mode
        self.units = make_units(graph, devices, weight_copies)
        self.task = make_task(self.units)
        self.state = make_state(self.task)
        self._features = unit_features(self.units).astype(np.float32)
        self._seen = np.zeros((len(devices), len(CHOICES)))
        self._mask = np.zeros(len(devices), np.int64)
        self._now, self._cost = 0, 0.0
        self._first = self._best_alone()
        self.observation_space = cast(
            Any,
            spaces.Dict(
                {
                    "unit": spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32),
                    "devices": spaces.Box(0.0, 1.0, self._seen.shape, np.float32),
                }
            ),
        )
        self.action_space = cast(Any, spaces.Discrete(len(devices)))

    def _best_alone(self) -> NDArray[np.int64]:
        """Return (u,) the best of all on one device, what that cannot run on the quickest for it."""
        seconds = self.task.seconds
        alone = [np.where(np.isfinite(row), k, seconds.argmin(axis=0)) for k, row in enumerate(seconds)]
        return min(alone, key=self._cost_of)

    def _cost_of(self, places: NDArray[np.int64]) -> float:
        seconds, excess = self._time(places)
        lacking = min(excess / float(np.minimum(self.task.capacity, 1e18).mean()), 1e6)
        return min(seconds / self.task.scale, 1e6) + 10.0 * lacking

    def _time(self, places: NDArray[np.int64]) -> tuple[float, float]:
        timing = self.units.simulator.time(self.units.groups_placed(places))
        return timing.seconds, timing.excess

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin anew; there are no ``options``, and InputError if some are given."""
        super().reset(seed=seed)
        if options:
            raise InputError(f"reset option {next(iter(options))!r}: expected none")
        clear(self.state)
        self._now, self._cost = 0, self._cost_of(self._first)
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place the group at hand."""
        mask = self.action_masks()
        put(self.task, self.state, self._now, int(action) if mask[action] else int(mask.argmax()))
        self._now += 1
        places = np.where(self.state.place < 0, self._first, self.state.place)
        before, self._cost = self._cost, self._cost_of(places)
        over = self._now == len(self.units)
        info: dict[str, Any] = {}
        if over:
            seconds, excess = self._time(places)
            info = {"placement": self.units.operators_placed(places), "seconds": seconds, "excess": excess}
        return self._observation(), before - self._cost, over, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Return the devices (d,) that the group at hand may go to; all once nothing is left."""
        if self._now == len(self.units):
            return np.ones(len(self._mask), np.bool_)
        allowed(self.task, self.state, self._now, self._mask)
        return self._mask.astype(np.bool_)

    def _observation(self) -> Observation:
        v = min(self._now, len(self.units) - 1)
        observe(self.task, self.state, v, self._seen)
        return {"unit": self._features[v].copy(), "devices": self._seen.astype(np.float32)}

    def render(self) -> Any:
        """Return the devices with the groups and seconds of work that they have, as text."""
        if self.render_mode != "ansi":
            return None
        names, place = self.units.simulator.devices.names, self.state.place
        loads = [f"{name}: {(place == k).sum()} groups, {self.state.work[k]:.4g} s" for k, name in enumerate(names)]
        return "\n".join([f"group {self._now} of {len(self.units)}", *loads])


def _graph(source: str | Path) -> OperatorGraph:
    if str(source) in MODELS:
        return build(str(source))
    if not Path(source).is_file():
        raise InputError(f"graph {source}: expected a file or a model of the zoo ({', '.join(MODELS)})")
    return read_graph(source)

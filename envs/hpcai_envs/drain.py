"""``hpcai/Drain-v0``: which suspicious nodes to drain, so that gangs are kept off them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.checkpoints.of_log import in_full_service, machine_nodes
from hpcai.faults.checkpoints.waste import daly_interval
from hpcai.faults.draining.risk import DAY, counts_by_step, counts_within, estimates, fit_risk
from hpcai.faults.outages import outages
from hpcai.records.failures import read_failures
from hpcai.simulation.faults.drain_replay import COLUMNS, DRAINED, FREE, USEFUL, GangMachine, GangSetting, NodeFaults

Part = Literal["train", "test", "all"]
Floats = NDArray[np.float64]
Observed = dict[str, Any]

_SHARES = {"train": (0.1, 0.6), "test": (0.6, 1.0), "all": (0.1, 1.0)}
NODE_FEATURES = {
    "risk": "expected rate of failures over the machine's mean: ln, over 5",
    "failures_7": "failures in the last 7 days: ln(1 + x)",
    "failures_30": "failures in the last 30 days: ln(1 + x)",
    "failures_90": "failures in the last 90 days: ln(1 + x)",
    "in_gang": "1 if it works in a gang",
    "down": "1 if it is down",
    "drained": "1 if it is drained",
}
MACHINE_FEATURES = {
    "free": "share of nodes that are up, not drained and in no gang",
    "waiting": "share of gangs that wait for a node",
    "down": "share of nodes that are down",
    "left": "share of the episode that is left",
}


class DrainEnv(gym.Env[Observed, NDArray[np.int8]]):
    """Gangs run on a machine whose nodes fail; at every epoch the agent says which of the most suspicious are drained.

    ## Action space
    ``MultiBinary(asked)``: whether each of the nodes shown, riskiest first, is drained until the next epoch. All others
    are not. A drained node gets no gang and leaves its own when a less risky node is free; gangs prefer nodes of
    little risk in any case.

    ## Observation space
    ``nodes`` float32 (asked, len(NODE_FEATURES)) and ``machine`` float32 (len(MACHINE_FEATURES),), both in -3..3.

    ## Rewards
    The node time of the epoch that was useful, less ``drained_price`` times that for which nodes were drained, in per
    cent of all. ``info`` holds the shares by kind. Work since a checkpoint counts with the next one.

    ## Starting state, episode end
    A time drawn from ``part`` of the log (train: the first 60 % of the time of full service, test: the rest); no gang
    has begun. Truncated after ``epochs``. The rates that make the risk are fitted to the first 60 %. Without a ``log``
    every episode draws faults of ``nodes`` nodes, of which some are lemons: a gamma of shape 0.3 and mean 1 /
    ``node_mtbf``.

    ## Options of reset
    ``begin`` (s of the log).

    ## Version history
    v0: first.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        log: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        system: str = "",
        nodes: int = 64,
        node_mtbf: float = 60 * DAY,
        gang: int = 8,
        spare: float = 0.1,
        asked: int = 8,
        write: float = 600.0,
        restart: float = 600.0,
        down: float = 300.0,
        epoch: float = DAY,
        epochs: int = 60,
        drained_price: float = 0.0,
        part: Part = "train",
        render_mode: Literal["ansi"] | None = None,
    ) -> None:
        """Raise InputError if the log or a setting cannot be used."""
        if part not in get_args(Part):
            raise InputError(f"part {part!r}: expected one of {', '.join(get_args(Part))}")
        if epochs < 1 or not epoch > 0 or not node_mtbf > 0 or not 0 <= spare < 1:
            raise InputError(f"epochs {epochs}, epoch {epoch}, node_mtbf {node_mtbf}, spare {spare}: out of range")
        self.render_mode, self.drained_price = render_mode, drained_price
        self._epoch, self._epochs, self._mtbf = epoch, epochs, node_mtbf
        self._drawn = log is None
        if log is None:
            self.nodes, length = nodes, 400 * DAY
            self._faults, self._watched = self._draw(np.random.default_rng(0), length), 0.0
            self._begin, self._end, fitted = 100 * DAY, length, length
        else:
            self._read(log, options or {}, system)
            low, high = self._begin, self._end
            self._watched, fitted = low, low + _SHARES["train"][1] * (high - low)
            self._begin, self._end = (low + share * (high - low) for share in _SHARES[part])
        if self._end - self._begin < epochs * epoch:
            raise InputError(f"epochs {epochs}: expected at most {int((self._end - self._begin) / epoch)}")
        if not 1 <= asked <= self.nodes or not 1 <= gang <= int(self.nodes * (1 - spare)):
            raise InputError(f"asked {asked}, gang {gang}: expected 1 or more, of {self.nodes} nodes less the spares")
        self._fit(fitted)
        interval = daly_interval(write, self._mtbf / gang)
        self._setting = GangSetting(gang, int(self.nodes * (1 - spare)) // gang, interval, write, restart, down)
        self.asked = asked
        self.action_space = spaces.MultiBinary(asked)
        self.observation_space = spaces.Dict(
            {
                "nodes": spaces.Box(-3.0, 3.0, (asked, len(NODE_FEATURES)), np.float32),
                "machine": spaces.Box(-3.0, 3.0, (len(MACHINE_FEATURES),), np.float32),
            }
        )

    def _read(self, path: str, options: Mapping[str, Any], system: str) -> None:
        log = read_failures(path, **options)
        machine, of = machine_nodes(log, (system,) if system else ()), outages(log)
        self.nodes = len(machine)
        self._begin, self._end = in_full_service(log, machine)
        here = np.isin(of.node, machine) & (of.start >= self._begin)
        order = np.argsort(of.start[here], kind="stable")
        repair = np.where(np.isfinite(of.end), of.end - of.start, 3600.0)[here][order]
        self._faults = NodeFaults(of.start[here][order], np.searchsorted(machine, of.node[here][order]), repair)

    def _draw(self, rng: np.random.Generator, length: float) -> NodeFaults:
        """Return faults of a machine some of whose nodes are lemons."""
        rate = rng.gamma(0.3, 1 / 0.3, self.nodes) / self._mtbf
        node = np.repeat(np.arange(self.nodes), rng.poisson(rate * length))
        time = rng.uniform(0, length, len(node))
        order = np.argsort(time)
        return NodeFaults(time[order], node[order], rng.exponential(0.2 * DAY, len(node)))

    def _fit(self, until: float) -> None:
        """Fit the weights of the risk, and the mean rate, to faults before ``until`` (s)."""
        of = self._faults
        epochs = np.arange(self._watched + 0.1 * (until - self._watched), until, DAY)
        known = of.time < until
        time, node = of.time[known], of.node[known]
        seen = estimates(time, node, self.nodes, epochs[:-1], self._watched)
        self._risk = fit_risk(seen, counts_by_step(time, node, self.nodes, epochs), DAY)
        self._mtbf = self.nodes * (until - self._watched) / max(len(time), 1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        """Begin an episode; see the class for ``options``. Raises InputError for an option that cannot be used."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := set(options) - {"begin"}:
            raise InputError(f"reset option {unknown.pop()!r}: expected begin")
        length = self._epochs * self._epoch
        begin = float(options.get("begin", self.np_random.uniform(self._begin, self._end - length)))
        if self._drawn:
            self._faults, begin = self._draw(self.np_random, 100 * DAY + length), 100 * DAY
        self._times: Floats = begin + self._epoch * np.arange(self._epochs + 1, dtype=np.float64)
        of = self._faults
        self._risks = self._risk(estimates(of.time, of.node, self.nodes, self._times, self._watched))
        self._counts = {
            days: counts_within(of.time, of.node, self.nodes, self._times, days * DAY) for days in (7, 30, 90)
        }
        self._machine = GangMachine(self._setting, self.nodes, of, begin)
        self._at, self._sum = 0, np.zeros(len(COLUMNS))
        return self._observe(), {"begin": begin}

    def _observe(self) -> Observed:
        risk, st = self._risks[self._at], self._machine.state
        self._shown = np.argsort(-risk, kind="stable")[: self.asked]
        shown = self._shown
        columns = [
            np.log(risk[shown] / risk.mean() + 1e-3) / 5.0,
            *(np.log1p(self._counts[days][self._at][shown]) for days in (7, 30, 90)),
            st.gang[shown] >= 0,
            st.back[shown] > -np.inf,
            st.drained[shown],
        ]
        free = (st.gang < 0) & (st.back == -np.inf) & ~st.drained
        machine = [free.mean(), np.isinf(st.since).mean(), (st.back > -np.inf).mean(), 1 - self._at / self._epochs]
        return {
            "nodes": np.clip(np.stack(columns, axis=1), -3, 3).astype(np.float32),
            "machine": np.array(machine, dtype=np.float32),
        }

    def step(self, action: NDArray[np.int8]) -> tuple[Observed, float, bool, bool, dict[str, Any]]:
        """Drain the nodes that the action names and go on to the next epoch."""
        drained = np.zeros(self.nodes, dtype=np.bool_)
        drained[self._shown] = np.asarray(action, dtype=np.bool_)
        row = self._machine.play(float(self._times[self._at + 1]), drained, self._risks[self._at])
        self._at += 1
        over = self._at == self._epochs
        if over:
            row = row + self._machine.stop()
        self._sum += row
        total = self.nodes * self._epoch
        reward = 100.0 * float(row[USEFUL] - self.drained_price * row[DRAINED]) / total
        shares = {name: float(row[i]) / total for i, name in enumerate(COLUMNS[: FREE + 1])}
        return self._observe(), reward, False, over, shares

    def render(self) -> Any:
        """Return where the node time went, as text."""
        total = max(float(self._sum[: FREE + 1].sum()), 1.0)
        lines = [f"{name} {self._sum[i] / total:.4f}" for i, name in enumerate(COLUMNS[: FREE + 1])]
        return "\n".join([*lines, f"nodes down {int((self._machine.state.back > -np.inf).sum())}"])

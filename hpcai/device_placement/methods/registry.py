"""The methods by name, each with its source in a line."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.problem import DEFAULTS, Options
from hpcai.device_placement.methods.searching import Curve
from hpcai.errors import InputError


class Method(NamedTuple):
    """A method; its module is imported when it is first used."""

    module: str
    searches: bool  # within a budget of evaluations and seconds, with a curve
    source: str


class Placed(NamedTuple):
    """What a method found."""

    placement: Ints  # (n,) device of each operator
    seconds: float  # that the method took
    curve: Curve | None  # of a search


METHODS: Final = {
    "single": Method("single", False, "all on the best single device"),
    "chunks": Method("chunks", False, "pieces of the topological order, of equal time"),
    "expert": Method("expert", False, "layers in turn, as experts do; Mirhoseini et al. 2017"),
    "metis": Method("metis", False, "multilevel partitioning; Karypis and Kumar 1998"),
    "min-cut": Method("min_cut", False, "recursive minimum cuts with balance; after Mirhoseini et al. 2017"),
    "pipedream": Method("pipedream", False, "stages of a pipeline by dynamic programming; Narayanan et al. 2019"),
    "heft": Method("heft", False, "list scheduling by upward rank; Topcuoglu et al. 2002"),
    "m-etf": Method("etf", False, "earliest task first with memory; Jeon et al. 2020"),
    "m-sct": Method("sct", False, "favourite children by a linear program; Jeon et al. 2020"),
    "milp": Method("milp", False, "mixed-integer program of a relaxed step; HiGHS"),
    "cross-entropy": Method("cross_entropy", True, "chances shifted to the best draws; Rubinstein 1999"),
    "annealing": Method("annealing", True, "simulated annealing; Kirkpatrick et al. 1983"),
    "local-search": Method("local_search", True, "iterated local search; Lourenco et al. 2003"),
    "halving": Method("halving", True, "annealing of many beginnings by list scheduling, halved"),
    "reinforce": Method("reinforce", True, "a policy over groups of this graph alone; after Mirhoseini et al. 2017"),
    "zero-shot": Method("zero_shot", True, "the best of 100 placements that a network draws, which learned elsewhere"),
    "policy": Method("policy", True, "draws from the network, and what is learned of this graph on the way"),
    "learned": Method("learned", True, "the network draws and learns on, halving goes on from the best"),
}


def run(name: str, graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Placed:
    """Return what a method finds.

    Raises InputError if there is no such method, the graph has no costs for a kind of device, or an operator can run
    nowhere.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"method {name!r}: expected one of {', '.join(METHODS)}{hint}")
    method = METHODS[name]
    module: Any = import_module(f"hpcai.device_placement.methods.{method.module}")
    began = time.monotonic()
    if method.searches:
        search: Callable[..., tuple[Ints, Curve]] = module.search
        placement, curve = search(graph, devices, options)
        return Placed(placement, time.monotonic() - began, curve)
    placement = module.place(graph, devices, options)
    return Placed(placement, time.monotonic() - began, None)

"""What jobs send over the network: where they are, the step time that follows, and the links they share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.network.catalogue import model_record, trained_model
from hpcai.cluster.network.fabric import Fabric, Room, make_fabric, make_room
from hpcai.cluster.network.fair_share import Filling, Flows, make_filling, make_flows
from hpcai.cluster.network.training import MODEL, links_of, span_of, step_on
from hpcai.cluster.spec import Machine
from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.work import Workload
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import Nodes, Rule, make_nodes, make_rule, place_gang, remove
from hpcai.scheduling.placement.pods import PLACE


class Traffic(NamedTuple):
    """Jobs J; a job's speed is measured against that on the empty machine, as close together as can be."""

    fabric: Fabric
    room: Room
    models: NDArray[np.void]  # MODEL (M,)
    flows: Flows  # of each job
    filling: Filling
    node: NDArray[np.int64]  # (most pods of a job,) to work in: where its pods are
    gpus: NDArray[np.int64]  # likewise, how many GPUs each has
    step: NDArray[np.float64]  # (J,) s per step on the empty machine; 0 for a job that trains no model
    gpu_speed: NDArray[np.float64]  # (J,) of the GPUs it would have there


def make_traffic(workload: Workload, machine: Machine) -> Traffic:
    """Return the traffic of jobs that have not begun. Raises InputError if a model is not in the catalogue."""
    work = workload.work
    fabric = make_fabric(machine)
    flows = make_flows(len(work), 2 * int(work["most"].sum()))
    flows.first[:] = 2 * work["entries"]
    models = np.zeros(max(len(workload.models), 1), dtype=MODEL)
    for m, name in enumerate(workload.models):
        models[m] = model_record(trained_model(name))
    most = int(work["most"].max(initial=1))
    traffic = Traffic(
        fabric=fabric,
        room=make_room(fabric),
        models=models,
        flows=flows,
        filling=make_filling(fabric, flows),
        node=np.zeros(most, dtype=np.int64),
        gpus=np.zeros(most, dtype=np.int64),
        step=np.zeros(len(work)),
        gpu_speed=np.ones(len(work)),
    )
    _set_references(traffic, workload, machine)
    return traffic


def _set_references(traffic: Traffic, workload: Workload, machine: Machine) -> None:
    """Say how fast each job is on the empty machine; like jobs are as fast as each other."""
    work = workload.work
    if len(work) == 0:
        return
    alike = np.column_stack([work[name] for name in ("type", "tasks", "model")])
    kinds, which = np.unique(alike, axis=0, return_inverse=True)
    steps, speeds = np.zeros(len(kinds)), np.ones(len(kinds))
    held = np.zeros(len(traffic.node), dtype=PLACE)
    refer(traffic, make_nodes(machine), make_rule("topology-aware"), workload.types, kinds, held, steps, speeds)
    traffic.step[:] = steps[which.reshape(-1)]
    traffic.gpu_speed[:] = speeds[which.reshape(-1)]


@jit
def refer(
    traffic: Traffic, nodes: Nodes, rule: Rule, types: Any, kinds: NDArray[np.int64], held: Any, steps: Any, speeds: Any
) -> None:
    """Write the s per step and the speed of the GPUs of each of ``kinds`` (type, tasks, model) on the empty nodes.

    They stay 0 and 1 for who has no GPU, or no room; ``held`` has room for the most tasks.
    """
    for i in range(kinds.shape[0]):
        pod, tasks, model = types[kinds[i, 0]], kinds[i, 1], kinds[i, 2]
        if pod.gpu == 0 or not place_gang(nodes, pod, -1, rule, held[:tasks]):
            continue
        node, gpus = traffic.node[:tasks], traffic.gpus[:tasks]
        for k in range(tasks):
            node[k], gpus[k] = held[k].node, (pod.gpu + MILLI - 1) // MILLI
            remove(nodes, pod, held[k])
        span = span_of(traffic.fabric, node, gpus, traffic.room)
        speeds[i] = span.speed
        if model >= 0:
            steps[i] = step_on(traffic.models[model], span)[0]


@jit
def look_where(traffic: Traffic, j: int, work: Any, places: Any, communicates: bool) -> float:
    """Return the speed of job ``j`` with its pods at ``places``, links to itself, and note which links it uses.

    Relative to its speed on the empty machine with as many pods as its record has.
    """
    tasks = places.shape[0]
    node, gpus = traffic.node[:tasks], traffic.gpus[:tasks]
    for k in range(tasks):
        node[k], gpus[k] = places[k].node, (work.gpu + MILLI - 1) // MILLI
    span = span_of(traffic.fabric, node, gpus, traffic.room)
    flows = traffic.flows
    flows.number[j], flows.demand[j] = 0, 0.0
    if traffic.step[j] == 0.0 or not communicates:
        grown = speed_up(tasks, work.scaling) / speed_up(work.tasks, work.scaling)
        return float(grown * span.speed / traffic.gpu_speed[j])
    step, flows.demand[j] = step_on(traffic.models[work.model], span)
    first = flows.first[j]
    if flows.demand[j] > 0:
        end = first + 2 * tasks
        flows.number[j] = links_of(
            traffic.fabric, node, gpus, traffic.room, flows.links[first:end], flows.held[first:end]
        )
    return float(traffic.step[j] / step * tasks / work.tasks)


@jit
def speed_up(tasks: int, parallel: float) -> float:
    """Return by how much ``tasks`` pods are faster than one, by Amdahl's law with a parallel part."""
    return float(1.0 / (1.0 - parallel + parallel / tasks))

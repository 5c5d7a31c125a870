"""How much room there could be: the nodes without all whom a job of some class could ever stop or shrink.

Who does not fit there need not be planned for.
"""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.ahead import copy_nodes, copy_of
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.victims import could_shrink, could_stop
from hpcai.scheduling.placement import Nodes
from hpcai.scheduling.placement.gangs import has_count
from hpcai.scheduling.placement.nodes import give_back


@jit
def fits_without_others(st: Cluster, j: int) -> bool:
    """Return whether job ``j`` would have room if all left whom a job of its class could ever stop or shrink."""
    work = st.work[j]
    return has_count(cleared(st, work.rank), st.types[work.type], st.run[j].tasks)


@jit
def cleared(st: Cluster, rank: int) -> Nodes:
    """Return the nodes as they would be if all left whom a job of class ``rank`` could ever stop or shrink."""
    nodes, ahead, at = copy_of(st, rank), st.ahead, st.at[0]
    if ahead.changed[rank] == at.changed and ahead.now[rank] == at.now:
        return nodes
    ahead.changed[rank], ahead.now[rank] = at.changed, at.now
    copy_nodes(st.nodes, nodes)
    for i in range(at.running):
        v = st.running[i]
        work = st.work[v]
        for k in range(work.entries + stays(st, rank, v), work.entries + st.run[v].tasks):
            give_back(nodes, st.types[work.type], st.places[k])
    return nodes


@jit
def stays(st: Cluster, rank: int, v: int) -> int:
    """Return how many pods job ``v`` keeps whatever jobs of class ``rank`` make it give."""
    if could_stop(st, rank, v):
        return 0
    return int(st.work[v].least if could_shrink(st, rank, v) else st.run[v].tasks)

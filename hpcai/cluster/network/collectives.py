"""Time and traffic of an allreduce in the alpha-beta model, by algorithm; pure functions without a clock.

Let p GPUs on m nodes reduce S bytes, g the most of them on one node, B_in the bandwidth between GPUs of a node, B_out
that out of a node (both per direction), and a_in, a_out the latency of a hop within and between nodes:

- ring, over all GPUs, a node's side by side: ``2 (p - m) a_in + 2 (m - 1) a_out + 2 (p - 1) / p S / min(B_in, B_out)``
- tree, the double binary tree of NCCL over nodes and a chain within each: ``2 (g - 1) a_in + 2 ceil(log2 m) a_out +
  2 S / min(B_in, B_out)``
- hierarchical, reduce-scatter in each node, a ring over nodes for each part, allgather: ``2 (g - 1) a_in +
  2 (m - 1) a_out + 2 (g - 1) / g S / B_in + 2 (m - 1) / m S / B_out``

Sources: Patarasuk and Yuan (JPDC 2009) for the ring; Sanders, Speck and Traff (Parallel Computing 2009) for the tree,
which sends as much as a pipeline; NCCL, src/graph/tuning.cc, for the sums of latencies along the path of one piece.
Where an algorithm has k leaf switches to cross, the fewest possible hops do so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from hpcai.jit import jit

RING, TREE, HIERARCHICAL, BEST = range(4)
ALGORITHMS: Final = {"ring": RING, "tree": TREE, "hierarchical": HIERARCHICAL, "best": BEST}


class Span(NamedTuple):
    """Where the GPUs of a job are, and what joins them."""

    gpus: int
    nodes: int
    leaves: int
    most: int  # GPUs on one node
    inside: float  # B/s between GPUs of a node, the slowest's
    outside: float  # B/s out of a node and a leaf, the slowest's; inf on one node
    hop: float  # s from GPU to GPU in a node
    leaf_hop: float  # s between nodes under one leaf switch
    spine_hop: float  # s between nodes under different leaf switches
    speed: float  # of the slowest GPU, P100 = 1


@jit
def allreduce(algorithm: int, size: float, messages: float, span: Span) -> tuple[float, float]:
    """Return seconds for ``size`` bytes in ``messages`` calls, and bytes put on each link out of a node, each way.

    BEST is the quickest of the others, the earlier one of ALGORITHMS if equal.
    """
    if algorithm == RING:
        return ring(size, messages, span)
    if algorithm == TREE:
        return tree(size, messages, span)
    if algorithm == HIERARCHICAL:
        return hierarchical(size, messages, span)
    best, volume = ring(size, messages, span)
    for other in (TREE, HIERARCHICAL):
        seconds, sent = tree(size, messages, span) if other == TREE else hierarchical(size, messages, span)
        if seconds < best:
            best, volume = seconds, sent
    return best, volume


@jit
def ring(size: float, messages: float, span: Span) -> tuple[float, float]:
    """Return seconds and bytes on each link out of a node, of one ring over all GPUs."""
    between = (span.nodes - span.leaves) * span.leaf_hop + (span.leaves - 1) * span.spine_hop
    latency = 2 * ((span.gpus - span.nodes) * span.hop + between)
    sent = 2 * (span.gpus - 1) / span.gpus * size
    return messages * latency + sent / min(span.inside, span.outside), sent


@jit
def tree(size: float, messages: float, span: Span) -> tuple[float, float]:
    """Return seconds and bytes on each link out of a node, of a double binary tree over nodes."""
    across = np.ceil(np.log2(span.leaves))
    below = np.ceil(np.log2(span.nodes)) - across
    latency = 2 * ((span.most - 1) * span.hop + below * span.leaf_hop + across * span.spine_hop)
    sent = 2 * size if span.gpus > 1 else 0.0
    return messages * latency + sent / min(span.inside, span.outside), sent


@jit
def hierarchical(size: float, messages: float, span: Span) -> tuple[float, float]:
    """Return seconds and bytes on each link out of a node, of rings within nodes and between them."""
    between = (span.nodes - span.leaves) * span.leaf_hop + (span.leaves - 1) * span.spine_hop
    latency = 2 * ((span.most - 1) * span.hop + between)
    within = 2 * (span.most - 1) / span.most * size
    sent = 2 * (span.nodes - 1) / span.nodes * size
    return messages * latency + within / span.inside + sent / span.outside, sent

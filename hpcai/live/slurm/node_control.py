"""Draining nodes of a live Slurm, and giving them back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hpcai.errors import InputError
from hpcai.live.slurm import from_text
from hpcai.live.slurm.client import Node, SchedulerGoneError
from hpcai.live.slurm.shell import Shell

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REASON: Final = re.compile(r" Reason=(.*?)(?: \[[^\[\]]*@\d+\])?$")  # the last field; then who gave it, and when
_NO_ANSWER: Final = re.compile(r"Unable to contact|Connection refused|timed out", re.I)


@dataclass(frozen=True)
class NodesSeen:
    """The nodes at one moment (Unix time), and the reasons that stand at those that are drained or down."""

    at: float
    nodes: tuple[Node, ...]
    reasons: Mapping[str, str]


def nodes_seen(shell: Shell, at: float) -> NodesSeen:
    """Return the nodes as they stand. Raises SchedulerGoneError if Slurm does not answer."""
    text = shell.run("scontrol", "--oneliner", "show", "node")
    nodes = from_text.nodes(text)
    lines = (line.strip() for line in text.splitlines() if line.startswith("NodeName="))
    found = {node.name: _REASON.search(line) for node, line in zip(nodes, lines, strict=True)}
    return NodesSeen(at, nodes, {name: match[1].strip() for name, match in found.items() if match})


def drain(shell: Shell, node: str, reason: str) -> str:
    """Drain a node: its jobs go on, and no new one begins there. Return why that failed, '' if it did not."""
    return _update(shell, node, "state=drain", f"reason={reason}")


def give_back(shell: Shell, node: str) -> str:
    """End the drain of a node; one that is down stays down. Return why that failed, '' if it did not."""
    return _update(shell, node, "state=undrain")


def _update(shell: Shell, node: str, *words: str) -> str:
    """Raises InputError if it is no name of a node, SchedulerGoneError if there is no answer."""
    if not _NAME.fullmatch(node) or node.upper() == "ALL":  # which Slurm takes for every node
        raise InputError(f"node {node!r}: not a name of a node of Slurm")
    done = shell.start("scontrol", "update", f"nodename={node}", *words)
    said = done.stderr.strip().splitlines()
    if said and _NO_ANSWER.search(said[-1]):
        raise SchedulerGoneError(f"scontrol: {said[-1]}")
    return (said[-1] if said else f"exit code {done.returncode}") if done.returncode else ""

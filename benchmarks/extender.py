"""Milliseconds of the scheduler extender's replies: a real server in a process of its own, one connection kept open.

    PYTHONPATH=. python benchmarks/extender.py [--nodes 200] [--pods 1000] [--requests 2000] [--score topology]
                                              [--whole] [--tls] [--placement-bundle P] [--preemption-bundle P]

Prints one JSON line each for filter, prioritize and preempt (a pod on each of 20 nodes as victim): median, p99 and the
longest, seen from the client. ``--whole``
sends the nodes whole, as kube-scheduler does with ``nodeCacheCapable: false``; ``--tls`` serves with TLS and asks for a
token, as deploy/kubernetes does (needs openssl). Figures depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from hpcai.live.bundle import read_bundle
from hpcai.live.kubernetes.api import TokenFile
from hpcai.live.kubernetes.extender import Limits, extender_app
from hpcai.live.kubernetes.learned import Learned, LivePlacement, LivePreemption
from hpcai.live.kubernetes.metrics import ExtenderMetrics
from hpcai.live.kubernetes.objects import Keys
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.kubernetes.server import Listen, server
from hpcai.live.kubernetes.view import ClusterView
from hpcai.live.kubernetes.warm_up import warm_up_learned
from tests.live.kubernetes_objects import gang, node, pod


def known(n_nodes, n_pods):
    """A cluster of racks of 16 nodes that pods of 1 GPU are on, and a gang of which half is placed."""
    nodes = [node(f"n{i:04d}", rack=f"r{i // 16}") for i in range(n_nodes)]
    pods = [pod(f"p{i}", 1, node=f"n{(i * 7) % n_nodes:04d}") for i in range(n_pods)]
    members = gang("g", 8, 2)
    for i, member in enumerate(members[:4]):
        member["spec"]["nodeName"] = f"n{i:04d}"
    return nodes, pods + members


def secrets_in(folder):
    """A certificate for this computer with its key, and a token."""
    paths = [folder / name for name in ("tls.crt", "tls.key", "token")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", paths[1]]
    subprocess.run([*command, "-out", paths[0]], check=True, capture_output=True)
    paths[2].write_text("swordfish")
    return paths


def serve(nodes, pods, score, tls, bundles, pipe):
    """Serve on a free port, which is told through the pipe, until the process is ended."""
    view = ClusterView(Keys())
    view.replace_nodes(nodes)
    view.replace_pods(pods)
    view.lost = dict.fromkeys(view.lost, float("inf"))
    certificate, key, token = secrets_in(Path(tempfile.mkdtemp())) if tls else (None, None, None)
    limits = Limits(TokenFile(token) if tls else None)
    placement, preemption = (read_bundle(path) if path else None for path in bundles)
    learned = Learned(placement and LivePlacement(placement), preemption and LivePreemption(preemption))
    warm_up_learned(learned)
    app = extender_app(view, SCORES[score], ExtenderMetrics(), limits, learned=learned)
    serving, bound = server(app, Listen("127.0.0.1", 0, certificate, key))
    pipe.send(bound.getsockname()[1])
    asyncio.run(serving.serve(sockets=[bound]))


def timed(port, verb, body, requests, tls):
    """Milliseconds of each request, the first tenth left out."""
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer swordfish"}
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took = []
    for _ in range(requests + requests // 10):
        begun = time.perf_counter()
        connection.request("POST", f"/{verb}", body, headers)
        reply = connection.getresponse()
        reply.read()
        took.append((time.perf_counter() - begun) * 1e3)
        assert reply.status == 200
    return np.array(took[requests // 10 :])


def main():
    """Measure all verbs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--score", choices=sorted(SCORES), default="topology")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--placement-bundle")
    parser.add_argument("--preemption-bundle")
    given = parser.parse_args()
    nodes, pods = known(given.nodes, given.pods)
    asked = {"Pod": pods[-1], "Nodes": None, "NodeNames": [each["metadata"]["name"] for each in nodes]}
    if given.whole:
        asked |= {"Nodes": {"metadata": {}, "items": nodes}, "NodeNames": None}
    victims = {f"n{i:04d}": [p for p in pods if p["spec"].get("nodeName") == f"n{i:04d}"][:2] for i in range(20)}
    metas = {n: {"Pods": [{"UID": p["metadata"]["uid"]} for p in of_node]} for n, of_node in victims.items()}
    bodies = dict.fromkeys(("filter", "prioritize"), json.dumps(asked).encode())
    bodies["preempt"] = json.dumps({"Pod": pods[-1], "NodeNameToMetaVictims": metas}).encode()
    bundles = (given.placement_bundle, given.preemption_bundle)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(nodes, pods, given.score, given.tls, bundles, theirs)
    )
    process.start()
    try:
        port = ours.recv()
        for verb, body in bodies.items():
            took = timed(port, verb, body, given.requests, given.tls)
            line = {
                "verb": verb,
                "nodes": given.nodes,
                "pods": len(pods),
                "score": given.placement_bundle or given.score,
                "tls": given.tls,
                "bytes": len(body),
            }
            line |= {"median_ms": np.median(took), "p99_ms": np.percentile(took, 99), "longest_ms": took.max()}
            print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()}))
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()

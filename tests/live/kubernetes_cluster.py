"""A private Kubernetes control plane on this computer, for tests: etcd, kube-apiserver and kube-scheduler.

There is no kubelet: nodes are Node objects whose status is written, and pods that are bound stay where they are.
deploy/kubernetes/build-kubernetes.sh makes the programs; put its DIR/bin on the PATH.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

PROGRAMS = ("etcd", "kube-apiserver", "kube-scheduler", "openssl")


def missing() -> str | None:
    """Return which program is not there, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(absent)} not on the PATH (deploy/kubernetes/build-kubernetes.sh)" if absent else None


class Cluster:
    """A running control plane, and its objects through the API of an administrator."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token_file = folder, folder / "token"
        self.url, self.authority = "", folder / "certs" / "apiserver.crt"
        self._token = secrets.token_hex(16)
        self._stack = ExitStack()
        self.token_file.write_text(self._token)
        (folder / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        self.client = httpx.Client()

    def start(self) -> None:
        """Start etcd and the API server and wait for them."""
        etcd, peer, port = free_ports(3)
        key, where = self.folder / "sa.key", f"http://127.0.0.1:{etcd}"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self._daemon(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={where}",
            f"--advertise-client-urls={where}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        self._daemon(
            "kube-apiserver",
            f"--etcd-servers={where}",
            f"--cert-dir={self.folder}/certs",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
        )
        self.url = f"https://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {self._token}"}
        self.client.close()
        self.client = httpx.Client(base_url=self.url, headers=headers, verify=False, timeout=30.0)
        wait_until(lambda: self.client.get("/readyz").status_code == 200)
        wait_until(lambda: self.client.get("/api/v1/namespaces/default").status_code == 200)

    def schedule(self, extender: dict[str, Any]) -> None:
        """Start kube-scheduler with an extender."""
        (self.folder / "kubeconfig").write_text(json.dumps(self._kubeconfig()))
        config = {
            "apiVersion": "kubescheduler.config.k8s.io/v1beta1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": f"{self.folder}/kubeconfig", "qps": 1000, "burst": 1000},
            "leaderElection": {"leaderElect": False},
            "extenders": [extender],
        }
        (self.folder / "scheduler.json").write_text(json.dumps(config))
        (port,) = free_ports(1)
        self._daemon(
            "kube-scheduler",
            f"--config={self.folder}/scheduler.json",
            f"--authentication-kubeconfig={self.folder}/kubeconfig",
            f"--authorization-kubeconfig={self.folder}/kubeconfig",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--port=0",
            f"--cert-dir={self.folder}/certs",
        )

    def add_node(self, item: dict[str, Any]) -> None:
        """Make a node that is ready and write what it has."""
        name, labels = item["metadata"]["name"], item["metadata"]["labels"]
        self.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        conditions = [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]
        status = {**item["status"], "capacity": item["status"]["allocatable"], "conditions": conditions}
        self._patch(f"/api/v1/nodes/{name}/status", {"status": status})
        self._patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})  # a new node is tainted as not ready

    def create(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        reply = self.client.post(path, json=item)
        assert reply.is_success, reply.text
        made: dict[str, Any] = reply.json()
        return made

    def places(self) -> dict[str, str]:
        """Return the node of each pod, '' where it waits."""
        items = self.client.get("/api/v1/namespaces/default/pods").json()["items"]
        return {item["metadata"]["name"]: item["spec"].get("nodeName", "") for item in items}

    def close(self) -> None:
        """End what was started, the last first."""
        self.client.close()
        self._stack.close()

    def _patch(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        reply = self.client.patch(path, json=body, headers=headers)
        assert reply.is_success, reply.text

    def _daemon(self, program: str, *options: str) -> None:
        log = self._stack.enter_context((self.folder / f"{program}.log").open("wb"))
        self._stack.enter_context(running([program, *options], log))

    def _kubeconfig(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": self._token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A control plane without a scheduler, gone with the block."""
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()


@contextmanager
def running(command: list[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs as long as the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(true: Callable[[], bool], seconds: float = 60.0, pause: float = 0.1) -> None:
    """Wait until it is true; what does not answer yet is waited for."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(pause)

"""The configuration of a private Slurm: what it shall have, and the files in which its daemons read so."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

DATABASE_PASSWORD = "private"  # of a database that listens on this computer only and holds what a test puts in it

_CONF = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports.controller}
AuthType=auth/munge
# A job that was put back waits until its old credentials have expired: 2 minutes unless told, 5 s at least.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
# This host need not own cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
MailProg=/bin/true
InactiveLimit=0
KillWait=2
MaxJobCount=20000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
# A pass a second, over the whole queue.
SchedulerParameters=sched_interval=1,sched_min_interval=100000,default_queue_depth=10000,bf_interval=1,\
bf_max_job_test=10000,bf_continue
"""
# Without a weight every job has priority 1, and what Nice takes off and SiteFactor adds is cut off there.
_PRIORITY = {
    "multifactor": "PriorityType=priority/multifactor\nPriorityWeightPartition=1000000\n",
    "basic": "PriorityType=priority/basic\n",
}
_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports.accounting}
# sacct and sacctmgr look here for the socket of munge, not at AuthInfo.
AccountingStoragePass={folder}/munge.sock
AccountingStorageTRES=gres/gpu
"""
_DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.accounting}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports.database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct
"""
_REST = "AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key={folder}/jwt.key\n"
_JOBCOMP = "JobCompType=jobcomp/filetxt\nJobCompLoc={folder}/jobcomp.log\n"
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}{gres}\n"
_PARTITION = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=100 OverSubscribe=NO State=UP\n"


@dataclass(frozen=True)
class Setup:
    """What a private Slurm has; memory in MiB. Accounting also counts GPUs (AccountingStorageTRES)."""

    nodes: int = 2
    cpus: int = 4  # of a node
    memory: int = 4000
    gpus: int = 0
    accounting: bool = False
    rest: bool = False
    jobcomp: bool = False
    priority: Literal["multifactor", "basic"] = "multifactor"

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(f"n{i}" for i in range(1, self.nodes + 1))


class Ports(NamedTuple):
    """Where the daemons listen, on 127.0.0.1."""

    controller: int
    accounting: int
    database: int
    rest: int
    nodes: tuple[int, ...]


def write_files(folder: Path, setup: Setup) -> Ports:
    """Write into an empty folder all that the daemons read; return the ports that were chosen."""
    controller, accounting, database, rest, *nodes = _free_ports(4 + setup.nodes)
    ports = Ports(controller, accounting, database, rest, tuple(nodes))
    places = {"folder": folder, "ports": ports, "host": socket.gethostname().partition(".")[0]}
    parts = [_CONF, _PRIORITY[setup.priority]]
    parts += [_ACCOUNTING] * setup.accounting + [_REST] * setup.rest + [_JOBCOMP] * setup.jobcomp
    parts += ["GresTypes=gpu\n"] * bool(setup.gpus)
    conf = "".join(parts).format(**places)
    gres = f" Gres=gpu:{setup.gpus}" if setup.gpus else ""
    size = {"cpus": setup.cpus, "memory": setup.memory, "gres": gres, "host": places["host"]}
    conf += "".join(
        _NODE.format(name=name, port=port, **size) for name, port in zip(setup.node_names, nodes, strict=True)
    )
    (folder / "slurm.conf").write_text(conf + _PARTITION)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    (folder / "gres.conf").write_text(_devices(folder, setup.gpus))
    (folder / "state").mkdir()
    for node in setup.node_names:
        (folder / f"spool-{node}").mkdir()
    _write_secret(folder / "munge.key", secrets.token_bytes(128))
    _write_secret(folder / "jwt.key", secrets.token_bytes(32))
    _write_secret(folder / "slurmdbd.conf", _DBD.format(password=DATABASE_PASSWORD, **places).encode())
    return ports


def _devices(folder: Path, gpus: int) -> str:
    """Return gres.conf; its GPUs are plain files: with a count alone a node would register none."""
    if not gpus:
        return ""
    (folder / "gpus").mkdir()
    for i in range(gpus):
        (folder / "gpus" / f"gpu{i}").touch()
    return f"Name=gpu File={folder}/gpus/gpu[0-{gpus - 1}]\n"


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below those that the kernel gives to clients and apart by process."""
    ports: list[int] = []
    candidate = 17000 + os.getpid() * 10 % 10000
    while len(ports) < count:
        candidate += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        ports.append(candidate)
    return ports

"""A private Slurm of two nodes on this computer, for tests: its own key, ports and folder, no systemd, no accounting.

Debian's slurmd may run several times on one host under different node names and ports, so nothing is emulated:
what runs here is what runs on a cluster, less its cgroups.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("n1", "n2")
PROGRAMS = ("/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/srun", "/usr/bin/sbatch")

_CONF = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
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
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=NO State=UP
"""


def missing() -> str | None:
    """Return why no cluster can be started here, or None if one can."""
    absent = [program for program in PROGRAMS if not Path(program).exists()]
    if absent:
        return f"not installed: {', '.join(absent)} (packages munge, slurmctld, slurmd, slurm-client)"
    return None if os.geteuid() == 0 else "daemons that start jobs need root"


@contextmanager
def cluster() -> Iterator[Path]:
    """Start a cluster and yield its slurm.conf; whatever happens, all of it is stopped and removed."""
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))  # the path of a Unix socket must be short
    folder.chmod(0o755)
    daemons: list[subprocess.Popen[bytes]] = []
    conf = folder / "slurm.conf"
    env = os.environ | {"SLURM_CONF": str(conf)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)

    def daemon(*command: str) -> None:
        with open(folder / "daemons.log", "ab") as log:
            bound = ["/usr/bin/setpriv", "--pdeathsig", "KILL", *command]  # it dies with the tests
            daemons.append(subprocess.Popen(bound, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def ready() -> bool:
        states = run("sinfo", "--noheader", "--Node", "--format=%t").stdout.split()
        return states.count("idle") == len(NODES)

    try:
        _write_files(folder, conf)
        sock = f"{folder}/munge.sock"
        daemon(
            *("/usr/sbin/munged", "--foreground", "--force", f"--socket={sock}", f"--key-file={folder}/munge.key"),
            *(f"--log-file={folder}/munged.log", f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed"),
        )
        _wait_for(lambda: run("munge", "-S", sock, "-n").returncode == 0, "munged", folder)
        daemon("/usr/sbin/slurmctld", "-D", "-f", str(conf))
        _wait_for(lambda: run("scontrol", "ping").returncode == 0, "slurmctld", folder)
        for node in NODES:
            daemon("/usr/sbin/slurmd", "-D", "-N", node, "-f", str(conf))
        _wait_for(ready, "the nodes", folder)
        yield conf
    finally:
        if len(daemons) > 1:
            _end_jobs(run)
        for process in reversed(daemons):
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _write_files(folder: Path, conf: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    ports = _free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=4000 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:], strict=True)
    )
    conf.write_text(_CONF.format(host=host, folder=folder, ports=ports, nodes=nodes))
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    (folder / "state").mkdir()
    for node in NODES:
        (folder / f"spool-{node}").mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))


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


def _wait_for(condition: Callable[[], bool], what: str, folder: Path, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            logs = "\n".join(f"{log.name}: {log.read_text()[-1000:]}" for log in sorted(folder.glob("*.log")))
            raise TimeoutError(f"{what} of the private Slurm did not start in {seconds:g} s\n{logs}")
        time.sleep(0.1)


def _end_jobs(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Cancel all jobs and wait until their processes are gone."""
    try:
        run("scancel", "--user=root")
        until = time.monotonic() + 10
        while time.monotonic() < until and run("squeue", "--noheader").stdout.strip():
            time.sleep(0.2)
    except subprocess.TimeoutExpired:
        pass  # the controller does not answer; it is ended next


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

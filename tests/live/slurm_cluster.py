"""A private Slurm on this computer, for tests and to try things: its own keys, ports and folder, no systemd.

Debian's slurmd may run several times on one host under different node names and ports, so nothing is emulated:
what runs here is what runs on a cluster, less its cgroups; GPUs are plain files. By hand:

    python -m tests.live.slurm_cluster up /tmp/slurm --nodes 4 --gpus 8 --accounting --rest
    export SLURM_CONF=/tmp/slurm/slurm.conf      # then sinfo, sbatch, squeue, scontrol, sacct work as usual
    python -m tests.live.slurm_cluster down /tmp/slurm
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.live.slurm_files import DATABASE_PASSWORD, Ports, Setup, write_files

PROGRAMS = ("usr/sbin/munged", "usr/sbin/slurmctld", "usr/sbin/slurmd", "usr/bin/srun", "usr/bin/sbatch")
ACCOUNTING_PROGRAMS = ("usr/sbin/slurmdbd", "usr/sbin/mariadbd", "usr/lib/*/slurm-wlm/accounting_storage_mysql.so")
REST_PROGRAMS = ("usr/sbin/slurmrestd", "usr/lib/*/slurm-wlm/auth_jwt.so")
PLAIN = Setup()
LONGEST_FOLDER = 80  # bytes: the path of a Unix socket is short

_DATABASE = f"""\
create database slurm_acct;
create user 'slurm'@'127.0.0.1' identified by '{DATABASE_PASSWORD}';
grant all on slurm_acct.* to 'slurm'@'127.0.0.1';
"""


def missing(setup: Setup = PLAIN) -> str | None:
    """Return why no such cluster can be started here, or None if one can."""
    needed = PROGRAMS + ACCOUNTING_PROGRAMS * setup.accounting + REST_PROGRAMS * setup.rest
    absent = [f"/{program}" for program in needed if not any(Path("/").glob(program))]
    if absent:
        return f"not installed: {', '.join(absent)} (packages: .ci/services)"
    return None if os.geteuid() == 0 else "daemons that start jobs need root"


@dataclass
class Cluster:
    """A private Slurm in its folder. ``bound``: its daemons die with this process, else they outlive it."""

    folder: Path
    setup: Setup
    ports: Ports
    bound: bool
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)
    controller: subprocess.Popen[bytes] | None = None

    @property
    def conf(self) -> Path:
        """Its slurm.conf: commands with this in SLURM_CONF talk to it."""
        return self.folder / "slurm.conf"

    @property
    def rest_url(self) -> str:
        """Where slurmrestd listens."""
        return f"http://127.0.0.1:{self.ports.rest}"

    def run(self, *command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm, with ``said`` as its input."""
        env = os.environ | {"SLURM_CONF": str(self.conf)}
        return subprocess.run(command, env=env, input=said, capture_output=True, text=True, timeout=30, check=False)

    def token(self, seconds: int = 3600) -> str:
        """Return a token that stands for root at slurmrestd."""
        return self.run("scontrol", "token", f"lifespan={seconds}").stdout.strip().removeprefix("SLURM_JWT=")

    def start_controller(self) -> None:
        """Start slurmctld, which goes on from the state that it saved."""
        self.controller = self.daemon("/usr/sbin/slurmctld", "-D", "-f", str(self.conf))
        self.wait_for(lambda: self.run("scontrol", "ping").returncode == 0, "slurmctld")

    def stop_controller(self) -> None:
        """End slurmctld; jobs go on."""
        assert self.controller is not None
        self.controller.terminate()
        self.controller.wait(timeout=30)

    def daemon(self, *command: str, user: str = "root", **env: str) -> subprocess.Popen[bytes]:
        """Start a program that stays in the foreground, and note its process id."""
        bound = ["/usr/bin/setpriv", "--pdeathsig", "KILL"] if self.bound else []
        if user != "root":
            # Once more: whoever changes users is no longer killed with its parent.
            bound = ["/usr/bin/setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", *bound]
        env = os.environ | {"SLURM_CONF": str(self.conf)} | env
        with open(self.folder / "daemons.log", "ab") as log:
            process = subprocess.Popen(
                [*bound, *command], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.daemons.append(process)
        with open(self.folder / "pids", "a") as pids:
            pids.write(f"{process.pid}\n")
        return process

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                logs = "\n".join(f"{log.name}: {log.read_text()[-1000:]}" for log in sorted(self.folder.glob("*.log")))
                raise TimeoutError(f"{what} of the private Slurm did not start in {seconds:g} s\n{logs}")
            time.sleep(0.1)


@contextmanager
def cluster(setup: Setup = PLAIN) -> Iterator[Cluster]:
    """Start a cluster and yield it; whatever happens, all of it is stopped and removed."""
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    started = None
    try:
        started = Cluster(folder, setup, write_files(folder, setup), bound=True)
        _start(started)
        yield started
    finally:
        down(folder)
        for process in started.daemons if started else ():
            process.wait()


def up(folder: Path, setup: Setup) -> Cluster:
    """Start a cluster that runs until :func:`down`."""
    folder.mkdir(parents=True)
    started = Cluster(folder, setup, write_files(folder, setup), bound=False)
    try:
        _start(started)
    except BaseException:
        down(folder)
        raise
    return started


def down(folder: Path) -> None:
    """Cancel all jobs, end the daemons and remove the folder."""
    pids = [pid for pid in _noted(folder) if not _gone(pid, folder)]
    if len(pids) > 1:
        _end_jobs(folder)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while not _gone(pid, folder):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
    _end_steps(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _start(new: Cluster) -> None:
    new.folder.chmod(0o755)
    sock, conf = f"{new.folder}/munge.sock", str(new.conf)
    new.daemon(
        *("/usr/sbin/munged", "--foreground", "--force", f"--socket={sock}", f"--key-file={new.folder}/munge.key"),
        *(f"--log-file={new.folder}/munged.log", f"--pid-file={new.folder}/munged.pid"),
        f"--seed-file={new.folder}/munge.seed",
    )
    new.wait_for(lambda: new.run("munge", "-S", sock, "-n").returncode == 0, "munged")
    if new.setup.accounting:
        _start_accounting(new)
    new.start_controller()
    for node in new.setup.node_names:
        new.daemon("/usr/sbin/slurmd", "-D", "-N", node, "-f", conf)
    new.wait_for(lambda: _states(new).count("idle") == new.setup.nodes, "the nodes")
    if new.setup.rest:
        _start_rest(new)


def _states(new: Cluster) -> list[str]:
    return new.run("sinfo", "--noheader", "--Node", "--format=%t").stdout.split()


def _start_accounting(new: Cluster) -> None:
    data, sock = f"--datadir={new.folder}/database", f"--socket={new.folder}/database.sock"
    made = new.run(
        *("mariadb-install-db", "--no-defaults", "--user=root", data, "--skip-test-db"),
        "--auth-root-authentication-method=socket",
    )
    (new.folder / "mariadb-install.log").write_text(made.stdout + made.stderr)
    new.daemon(
        *("/usr/sbin/mariadbd", "--no-defaults", "--user=root", data, sock, "--bind-address=127.0.0.1"),
        *(f"--port={new.ports.database}", f"--pid-file={new.folder}/mariadbd.pid"),
        *("--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"),
    )
    sql = ("mariadb", "--no-defaults", sock, "--user=root")
    new.wait_for(lambda: new.run(*sql, said="select 1;").returncode == 0, "mariadbd")
    new.run(*sql, said=_DATABASE)
    new.daemon("/usr/sbin/slurmdbd", "-D")
    new.wait_for(lambda: new.run("sacctmgr", "--noheader", "show", "cluster").returncode == 0, "slurmdbd")
    new.run("sacctmgr", "--immediate", "add", "cluster", "private")


def _start_rest(new: Cluster) -> None:
    """Start slurmrestd, which refuses to run as root: it acts as whoever a token names."""
    sockets = new.folder / "rest"
    sockets.mkdir()
    sockets.chmod(0o777)
    listen = (f"unix:{sockets}/slurmrestd.sock", f"127.0.0.1:{new.ports.rest}")
    new.daemon(
        "/usr/sbin/slurmrestd", "-f", str(new.conf), "-a", "rest_auth/jwt", *listen, user="nobody", SLURM_JWT="daemon"
    )
    new.wait_for(lambda: _listens(new.ports.rest), "slurmrestd")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _end_jobs(folder: Path) -> None:
    """Cancel all jobs and wait until their processes are gone."""
    env = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def run(*command: str) -> str:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=False).stdout

    try:
        run("scancel", "--user=root")
        until = time.monotonic() + 10
        while time.monotonic() < until and run("squeue", "--noheader").strip():
            time.sleep(0.2)
    except subprocess.TimeoutExpired:
        pass  # the controller does not answer; it is ended next


def _end_steps(folder: Path) -> None:
    """Kill the jobs that go on because there was no controller any more to cancel them."""
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        if _gone(pid, folder) or not _read(process / "cmdline").startswith(b"slurmstepd"):
            continue
        children = [int(child) for task in process.glob("task/*/children") for child in _read(task).split()]
        with suppress(ProcessLookupError):
            for child in children:
                os.killpg(os.getpgid(child), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _noted(folder: Path) -> list[int]:
    noted = folder / "pids"
    return [int(line) for line in noted.read_text().split()] if noted.exists() else []


def _gone(pid: int, folder: Path) -> bool:
    """Whether that process has ended, or is another one by now."""
    try:
        # One that has ended but was not waited for has no environment left.
        return f"SLURM_CONF={folder}/slurm.conf".encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return True


def main() -> None:
    """``up`` and ``down`` by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.slurm_cluster", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start a cluster in a new folder")
    stop = commands.add_parser("down", help="end it and remove the folder")
    for command in (start, stop):
        command.add_argument("folder", type=lambda text: Path(text).absolute())
    for option in fields(Setup):
        flag, default = f"--{option.name}", option.default
        if isinstance(default, bool):
            start.add_argument(flag, action="store_true")
        elif option.name == "priority":
            start.add_argument(flag, choices=("multifactor", "basic"), default=default)
        else:
            start.add_argument(flag, type=int, default=default)
    given = vars(parser.parse_args())
    command, folder = given.pop("command"), given.pop("folder")
    if command == "up":
        _up_by_hand(parser, folder, Setup(**given))
    elif not (folder / "pids").exists():
        parser.error(f"{folder}: no cluster was started here")
    else:
        down(folder)


def _up_by_hand(parser: argparse.ArgumentParser, folder: Path, setup: Setup) -> None:
    if reason := missing(setup):
        parser.error(reason)
    if folder.exists():
        parser.error(f"{folder}: is there already, expected a new folder")
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        parser.error(f"{folder}: too long a path for Unix sockets, expected {LONGEST_FOLDER} characters at most")
    started = up(folder, setup)
    print(f"export SLURM_CONF={started.conf}")
    if setup.rest:
        print(f"export SLURMRESTD_URL={started.rest_url}")
        print("export $(scontrol token lifespan=3600)   # SLURM_JWT")


if __name__ == "__main__":
    main()

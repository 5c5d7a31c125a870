"""The adapter that drains, as a service: what it is made of, its clock, its signals, its end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib.metadata import version

from hpcai.errors import InputError
from hpcai.live.bundle import read_bundle
from hpcai.live.decision_log import DecisionLog
from hpcai.live.faults.drainer import Drainer
from hpcai.live.lock import only_one
from hpcai.live.signals import taken
from hpcai.live.slurm.drain import DrainAdapter, DrainCycle, keep_books, release
from hpcai.live.slurm.drain_config import DrainConfig
from hpcai.live.slurm.drain_ledger import DrainLedger
from hpcai.live.slurm.node_control import nodes_seen
from hpcai.live.slurm.shell import Shell


class DrainService:
    """An adapter with everything that it needs, laid out in its folder."""

    def __init__(self, config: DrainConfig) -> None:
        """Raises InputError if the bundle or what lies in the folder cannot be used."""
        self.config = config
        drainer = Drainer(read_bundle(config.bundle, config.digest))
        if drainer.needs_telemetry and config.telemetry is None:
            raise InputError(f"bundle {config.bundle}: its detector looks at telemetry; expected --telemetry TABLE")
        with ExitStack() as opened:
            opened.enter_context(only_one(config.state))
            self.ledger = DrainLedger(config.ledger_path)
            self._log = opened.enter_context(closing(_open_log(config)))
            self.adapter = DrainAdapter(config, drainer, self.ledger, self._log)
            self._opened = opened.pop_all()
        self._over = threading.Event()
        self._log.begin(
            "start",
            at=time.time(),
            hpcai=version("hpcai"),
            digest=drainer.bundle.digest,
            config=config.model_dump(mode="json"),
            found=list(self.ledger.held),
        )
        self._log.flush()

    def run(self, cycles: int | None = None, told: Callable[[DrainCycle], None] | None = None) -> None:
        """Go on until SIGTERM or SIGINT ends it, or for ``cycles``; ``told`` is told of each.

        Drains stand when it ends, and the next run gives them back when their time is over; :func:`undo` gives back all
        of them at once, and so does SIGUSR1, after which it goes on without draining.
        """

        def kill() -> None:
            self.adapter.killed = True

        done = 0
        with taken({signal.SIGTERM: self._over.set, signal.SIGINT: self._over.set, signal.SIGUSR1: kill}):
            try:
                while not self._over.is_set() and (cycles is None or done < cycles):
                    begun = time.monotonic()
                    cycle = self.adapter.cycle()
                    done += 1
                    if told is not None:
                        told(cycle)
                    if cycles is None or done < cycles:
                        self._over.wait(max(self.config.interval - (time.monotonic() - begun), 0.0))
            finally:
                self._log.write("stop", at=time.time(), left=list(self.ledger.held))
                self._log.flush()
                self._opened.close()


def undo(config: DrainConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """Give back every node that the ledger in the folder knows of; return those, and why others were not.

    Raises SchedulerGoneError if Slurm does not answer, InputError if an adapter is at work there.
    """
    if not config.ledger_path.is_file():
        return (), {}
    shell = Shell(config.timeout)
    with only_one(config.state), closing(_open_log(config)) as log:
        ledger = DrainLedger(config.ledger_path)
        taken_over = keep_books(ledger, nodes_seen(shell, time.time()))
        done, failed = release(ledger, shell, list(ledger.held))
        log.write("undone", at=time.time(), released=done, failed=failed, taken_over=taken_over)
        log.flush()
    return done, failed


def _open_log(config: DrainConfig) -> DecisionLog:
    """Return the decision log. Raises InputError if it cannot be written."""
    try:
        return DecisionLog(config.log_path, config.log_bytes, config.log_files)
    except OSError as error:
        raise InputError(f"{config.log_path}: cannot be written: {error.strerror}") from error

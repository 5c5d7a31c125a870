"""The adapter as a service: what it is made of, its clock, its signals, its end."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hpcai.cluster.spec import load_machine
from hpcai.errors import HpcaiError, InputError
from hpcai.live.decision_log import DecisionLog
from hpcai.live.lock import only_one
from hpcai.live.ranking import BundleRanker, load_ranker
from hpcai.live.signals import taken
from hpcai.live.slurm.adapter import Adapter, put_back
from hpcai.live.slurm.client import Before, How, Poll, SlurmClient, Written
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.config import AdapterConfig
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.slurm.history import Accounting
from hpcai.live.slurm.ledger import Ledger

if TYPE_CHECKING:
    pass

_say = logging.getLogger("hpcai.live")

LAST_TRIES: Final = 5
"""Times that restoring is tried at the end while Slurm does not answer."""


def make_client(config: AdapterConfig) -> SlurmClient:
    """Return how Slurm is talked to: its REST service where one is named, else its commands."""
    if config.client == "rest" or (config.client == "auto" and config.url is not None):
        from hpcai.live.slurm.rest import Rest

        return Rest(
            config.url or "",
            how=config.how,
            user=config.rest_user or "",
            token_file=config.token_file,
            timeout=config.timeout,
        )
    return CommandLine(how=config.how, timeout=config.timeout)


class Service:
    """An adapter with everything that it needs, laid out in its folder."""

    def __init__(self, config: AdapterConfig) -> None:
        """Raises InputError if the bundle, the machine or what lies in the folder cannot be used."""
        self.config = config
        self.ranker = load_ranker(config.bundle, config.digest)
        with ExitStack() as opened:
            opened.enter_context(only_one(config.state))
            self.ledger = Ledger(config.ledger_path, config.how)
            self._log = opened.enter_context(closing(_open_log(config)))
            self.adapter = _adapter(config, make_client(config), self.ranker, self._log, self.ledger)
            self._opened = opened.pop_all()
        self._over = threading.Event()
        self._log_start()

    def _log_start(self) -> None:
        self._log.begin(
            "start",
            at=time.time(),
            hpcai=version("hpcai"),
            digest=self.ranker.bundle.digest,
            config=self.config.model_dump(mode="json"),
            found=list(self.ledger.before),
        )
        self._log.flush()

    def run(self, cycles: int | None = None, told: Callable[[Cycle], None] | None = None) -> None:
        """Go on until a signal ends it, or for ``cycles``; ``told`` is told of each.

        Whatever an earlier run changed and did not put back is put back first, and at the end everything is.
        SIGTERM and SIGINT end it; SIGUSR1 puts everything back and goes on without acting.
        """
        with self._signals():
            self._restore(1)
            try:
                done = 0
                while not self._over.is_set() and (cycles is None or done < cycles):
                    begun = time.monotonic()
                    cycle = self.adapter.cycle()
                    done += 1
                    if told is not None:
                        told(cycle)
                    if cycles is None or done < cycles:
                        self._over.wait(max(self.config.interval - (time.monotonic() - begun), 0.0))
            finally:
                self._restore(LAST_TRIES)
                self._log.write("stop", at=time.time(), left=list(self.ledger.before))
                self._log.flush()
                self._opened.close()

    def _restore(self, tries: int) -> None:
        for remaining in range(tries - 1, -1, -1):
            try:
                self.adapter.restore()
                return
            except HpcaiError as error:
                _say.warning("values cannot be put back: %s; the ledger keeps them", error)
                if remaining:
                    time.sleep(1.0)

    def _signals(self) -> AbstractContextManager[None]:
        """Take the signals that end the service or throw the kill switch."""

        def kill() -> None:
            self.adapter.killed = True

        end = self._over.set
        return taken({signal.SIGTERM: end, signal.SIGINT: end, signal.SIGUSR1: kill})


def _adapter(
    config: AdapterConfig, client: SlurmClient, ranker: BundleRanker, log: DecisionLog, ledger: Ledger
) -> Adapter:
    """Return an adapter with the machine and the history that its configuration and its policy ask for."""
    machine = load_machine(config.machine) if config.machine is not None else None
    past = Accounting(config.timeout) if ranker.policy.learns else None
    return Adapter(config, client, ranker, log, ledger, machine=machine, past=past)


def _open_log(config: AdapterConfig) -> DecisionLog:
    """Return the decision log. Raises InputError if it cannot be written."""
    try:
        return DecisionLog(config.log_path, config.log_bytes, config.log_files)
    except OSError as error:
        raise InputError(f"{config.log_path}: cannot be written: {error.strerror}") from error


def dry_run(config: AdapterConfig) -> Cycle:
    """Look once and write nothing, not even into the folder; what an adapter at work has changed is seen.

    Raises InputError if something cannot be used, HpcaiError if Slurm or the policy do not answer.
    """
    ranker = load_ranker(config.bundle, config.digest)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.json", config.how)
        ledger.before = dict(Ledger(config.ledger_path, config.how).before)
        log = DecisionLog(Path(folder) / "decisions.jsonl")
        looking = config.model_copy(update={"mode": "shadow", "calm": 1, "state": folder})
        client = _ReadOnly(make_client(config))
        cycle = _adapter(looking, client, ranker, log, ledger).cycle()
        log.close()
    if cycle.plan is None:
        raise HpcaiError(f"no order: {cycle.fallback}")
    return cycle


class _ReadOnly:
    """A client that writes nothing, whatever it is told."""

    def __init__(self, client: SlurmClient) -> None:
        self._client = client

    @property
    def how(self) -> How:
        return self._client.how

    def poll(self) -> Poll:
        return self._client.poll()

    def write(self, changes: Mapping[str, int]) -> Written:
        return Written(())

    def put_back(self, before: Mapping[str, Before]) -> Written:
        return Written(())


def restore(config: AdapterConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put back everything that the ledger in the folder knows of; return the ids of those put back and those not.

    Raises HpcaiError if Slurm does not answer, InputError if an adapter is at work there.
    """
    if not config.ledger_path.is_file():
        return (), ()
    with only_one(config.state):
        ledger = Ledger(config.ledger_path, config.how)
        if not ledger.before:
            return (), ()
        client = make_client(config)
        done = put_back(client, ledger, client.poll())
        return done, tuple(ledger.before)

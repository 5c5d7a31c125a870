"""Slurm's own commands, started without a shell."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from hpcai.errors import InputError
from hpcai.live.slurm.client import SchedulerGoneError

_HABITS: Final = ("SQUEUE_", "SPRIO_")


class Shell:
    """Starts Slurm's commands. SLURM_CONF and the rest of the environment say which Slurm."""

    def __init__(self, timeout: float = 30.0, folder: str = "") -> None:
        """``timeout`` of each command, in s; ``folder`` where the commands lie, '': on the PATH."""
        self._timeout, self._folder = timeout, folder

    def start(self, *command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """Return a command that has ended, however; ``said`` is its input.

        Raises SchedulerGoneError if it takes too long, InputError if it cannot be run.
        """
        program = os.path.join(self._folder, command[0])
        # Times are printed as Unix times, and no user's habits change what is printed.
        env = {name: value for name, value in os.environ.items() if not name.startswith(_HABITS)}
        env |= {"SLURM_TIME_FORMAT": "%s", "LC_ALL": "C.UTF-8"}
        try:
            return subprocess.run(
                [program, *command[1:]],
                input=said, env=env, capture_output=True, timeout=self._timeout, check=False, encoding="utf-8",
                errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SchedulerGoneError(f"{command[0]}: no answer in {self._timeout:g} s") from error
        except OSError as error:
            raise InputError(f"{program}: cannot be run, expected Slurm's commands: {error.strerror}") from error

    def run(self, *command: str) -> str:
        """Return what a command printed. Raises SchedulerGoneError if it failed."""
        return answer(self.start(*command), " ".join(command[:4]))


def answer(done: subprocess.CompletedProcess[str], command: str) -> str:
    """Return what a command printed. Raises SchedulerGoneError, calling it ``command``, if it failed."""
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise SchedulerGoneError(f"{command}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout

"""Slurm through its own commands, on a computer where they work: squeue, scontrol, sprio."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from hpcai.errors import FormatError, InputError
from hpcai.live.slurm import from_json, from_text
from hpcai.live.slurm.changes import in_order
from hpcai.live.slurm.client import Before, How, Job, Poll, SchedulerGoneError, Written
from hpcai.live.slurm.shell import Shell, answer
from hpcai.records.readers import _slurm

Form = Literal["json", "text"]

_KEYS: Final[Mapping[How, str]] = {"site_factor": "SiteFactor", "nice": "Nice", "priority": "Priority"}
_FOR_JOB: Final = re.compile(r"(?P<why>.*) for job (?P<job>\d+(_\d+)?)")
_OF_TASKS: Final = re.compile(r"(?P<array>\d+)_\[?(?P<tasks>\d[\d,\-]*)(%\d+)?\]?: (?P<why>.*)")
_NO_ANSWER: Final = re.compile(r"Unable to contact|Unexpected message received|Connection refused|timed out", re.I)
_NO_JSON: Final = re.compile(r"unrecognized option|Requested JSON|json.*(not|no|unable)|unable to (find|load)", re.I)
_TAKEN: Final = "No error"


class CommandLine:
    """Talks to Slurm through its commands. SLURM_CONF and the rest of the environment say which Slurm."""

    def __init__(
        self, how: How = "site_factor", form: Form | None = None, timeout: float = 30.0, folder: str = ""
    ) -> None:
        """Ask nothing yet.

        Args:
            how: what is written.
            form: whether jobs are read as JSON or as text; None: JSON where squeue can.
            timeout: of each command, in s.
            folder: where the commands lie; '': on the PATH.
        """
        self._how = how
        self._form = form
        self._shell = Shell(timeout, folder)

    @property
    def how(self) -> How:
        """What :meth:`write` changes."""
        return self._how

    def poll(self) -> Poll:
        """Return how things stand. Raises SchedulerGoneError if there is no answer."""
        at = time.time()
        jobs = self._jobs()
        if self._how == "site_factor":
            jobs = from_text.with_site_factors(jobs, self._site_factors())
        return Poll(
            at=at,
            source=self._form or "text",
            jobs=jobs,
            nodes=from_text.nodes(self._shell.run("scontrol", "--oneliner", "show", "node")),
            partitions=from_text.partitions(self._shell.run("scontrol", "--oneliner", "show", "partition")),
        )

    def write(self, changes: Mapping[str, int]) -> Written:
        """Give each job (by its id) a value of ``how``, all in one scontrol. Raises SchedulerGoneError."""
        key = _KEYS[self._how]
        return self._tell([(job, f"update JobId={job} {key}={value}") for job, value in in_order(changes, self._how)])

    def put_back(self, before: Mapping[str, Before]) -> Written:
        """Give each job what it had before. Raises SchedulerGoneError if there is no answer.

        A priority written by hand is never computed again, and took the nice value away; under priority/multifactor
        such jobs are released, which ends that, and get their nice values. Under priority/basic a release would put
        them at the end of the queue, so there the earlier priority is written.
        """
        if self._how != "priority" or not self._computes_priorities():
            return self.write({job: earlier.value for job, earlier in before.items()})
        lines = [(job, f"release {job}") for job, _ in in_order(dict.fromkeys(before, 1), "priority")]
        nice = {job: earlier.nice for job, earlier in before.items() if earlier.nice}
        return self._tell(lines + [(job, f"update JobId={job} Nice={value}") for job, value in in_order(nice, "nice")])

    def _computes_priorities(self) -> bool:
        config = self._shell.run("scontrol", "show", "config")
        return re.search(r"^PriorityType\s*=\s*priority/multifactor", config, re.M) is not None

    def _jobs(self) -> tuple[Job, ...]:
        if self._form != "text":
            found = self._json_jobs()
            if found is not None:
                self._form = "json"
                return found
            self._form = "text"
        squeue = ("squeue", "--noheader", "--all", "--array-unique", f"--Format={from_text.SQUEUE_FORMAT}")
        jobs = from_text.jobs(self._shell.run(*squeue))
        if any(job.node_names and job.gpus for job in jobs):
            jobs = from_text.with_indices(jobs, self._shell.run("scontrol", "--details", "--oneliner", "show", "job"))
        return jobs

    def _json_jobs(self) -> tuple[Job, ...] | None:
        """Return the jobs as squeue lists them in JSON; None if this one has none and that was left open."""
        done = self._shell.start("squeue", "--json")
        if done.returncode and self._form is None and _NO_JSON.search(done.stderr):
            return None
        reply = _parsed(answer(done, "squeue --json"), "squeue --json")
        if errors := from_json.errors(reply):  # it ends as if all were well
            raise SchedulerGoneError(f"squeue --json: {errors[0]}")
        return from_json.jobs(reply, "squeue --json")

    def _site_factors(self) -> str:
        """Return what sprio says. Raises InputError where priorities are not computed from factors."""
        done = self._shell.start("sprio", "--noheader", f"--format={from_text.SPRIO_FORMAT}")
        if done.returncode and not self._computes_priorities():
            raise InputError("site factors need priority/multifactor; expected nice or priority to be written")
        return answer(done, "sprio")

    def _tell(self, lines: Sequence[tuple[str, str]]) -> Written:
        """Have one scontrol obey a line for each job; return for which jobs it did."""
        if not lines:
            return Written(())
        done = self._shell.start("scontrol", said="".join(f"{line}\n" for _, line in lines))
        jobs = list(dict.fromkeys(job for job, _ in lines))
        failed, rest = _complaints(done.stderr, frozenset(jobs))
        if silent := [why for why in (*rest, *failed.values()) if _NO_ANSWER.search(why)]:
            raise SchedulerGoneError(f"scontrol: {silent[0]}")
        if done.returncode and not failed:
            raise SchedulerGoneError(f"scontrol: {rest[0] if rest else f'exit code {done.returncode}'}")
        return Written(tuple(job for job in jobs if job not in failed), {j: failed[j] for j in jobs if j in failed})


def _parsed(text: str, command: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise FormatError(f"{command}: not JSON: {error}") from error


def _complaints(said: str, changed: frozenset[str]) -> tuple[dict[str, str], list[str]]:
    """Return why Slurm did not take the change of which job, and the lines that are about no job.

    Each task of an array may have its own answer: a change of the array is taken if one task took it, and has
    nothing to do with tasks that were ``changed`` themselves.
    """
    failed: dict[str, str] = {}
    taken: set[str] = set()
    rest = []
    for line in filter(None, map(str.strip, said.splitlines())):
        if found := _FOR_JOB.fullmatch(line):
            failed[found["job"]] = found["why"]
        elif found := _OF_TASKS.fullmatch(line):
            tasks = _slurm.node_names(f"{found['array']}_[{found['tasks']}]")
            about = tasks if changed.issuperset(tasks) else (found["array"], *tasks)
            if found["why"] == _TAKEN:
                taken.update(about)
            else:
                failed.update(dict.fromkeys(about, found["why"]))
        else:
            rest.append(line)
    return {job: why for job, why in failed.items() if job not in taken}, rest

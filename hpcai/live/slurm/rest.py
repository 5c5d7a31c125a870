"""Slurm through its REST service, slurmrestd, whatever version of its interface it serves."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx

from hpcai.errors import InputError
from hpcai.live.slurm import from_json
from hpcai.live.slurm.changes import in_order
from hpcai.live.slurm.client import Before, How, Poll, SchedulerGoneError, Written, present_value

NEWEST: Final = 44  # of the versions v0.0.N that are tried where the service does not say what it serves
OLDEST: Final = 36

_VERSION: Final = re.compile(r"/slurm/v0\.0\.(\d+)/jobs/?")
_AT_ONCE: Final = 8  # changes under way
_UNIX: Final = "unix:"


class Rest:
    """Talks to slurmrestd with a token (JWT)."""

    def __init__(
        self,
        url: str,
        how: How = "nice",
        *,
        user: str = "",
        token_file: str | Path | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            url: http://host:port, or unix:/path of its socket.
            how: what is written; older versions of the interface know no site factor.
            user: whom the token stands for; '': the user of this process.
            token_file: holds the token, or SLURM_JWT=token as scontrol token prints it, and is read anew at each
                call; None: the token is in the environment, as SLURM_JWT.
            timeout: of each request, in s.
            transport: what carries the requests; None: what the URL says.
        """
        if url.startswith(_UNIX):
            base, transport = "http://localhost", transport or httpx.HTTPTransport(uds=url.removeprefix(_UNIX))
        elif url.startswith(("http://", "https://")):
            base = url.rstrip("/")
        else:
            raise InputError(f"slurmrestd {url!r}: expected http://host:port or unix:/path")
        self._url = url
        self._how = how
        self._user = user or os.environ.get("USER") or "root"
        self._token_file = token_file
        # The environment may name proxies; what Slurm listens on is not behind one.
        self._http = httpx.Client(base_url=base, transport=transport, timeout=timeout, trust_env=False)
        self._version = ""
        self._numbers: dict[str, int] = {}  # of the tasks of arrays, as last polled

    @property
    def how(self) -> How:
        """What :meth:`write` changes."""
        return self._how

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self) -> Poll:
        """Return how things stand. Raises SchedulerGoneError if there is no answer."""
        at, source = time.time(), f"rest {self._served()}"
        jobs = from_json.jobs(self._get("jobs"), source)
        self._numbers = {job.id: job.number for job in jobs if job.array_id and str(job.number) != job.array_id}
        return Poll(
            at=at,
            source=source,
            jobs=jobs,
            nodes=from_json.nodes(self._get("nodes"), source),
            partitions=from_json.partitions(self._get("partitions"), source),
        )

    def write(self, changes: Mapping[str, int]) -> Written:
        """Give each job (by its id) a value of ``how``, several at once. Raises SchedulerGoneError."""
        ordered = in_order(changes, self._how)
        self._served()
        headers = self._headers()

        def change(job_and_value: tuple[str, int]) -> str:
            return self._change(*job_and_value, headers)

        arrays = [item for item in ordered if "_" not in item[0]]
        said: dict[str, str] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for items in (arrays, ordered[len(arrays) :]):  # a task keeps its own value only if it is written later
                said |= dict(zip((job for job, _ in items), pool.map(change, items), strict=True))
        return Written(tuple(job for job in changes if not said[job]), {job: said[job] for job in changes if said[job]})

    def put_back(self, before: Mapping[str, Before]) -> Written:
        """Give each job what it had before. Raises SchedulerGoneError if there is no answer.

        A priority stays written by hand: REST has no release.
        """
        return self.write({job: earlier.value for job, earlier in before.items()})

    def _change(self, job: str, value: int, headers: Mapping[str, str]) -> str:
        """Change one job and return what Slurm has against it, or ''."""
        path = f"/slurm/{self._version}/job/{self._numbers.get(job, job)}"
        reply = self._ask("POST", path, headers, json={self._how: value})
        if not (errors := from_json.errors(reply)):
            return ""
        # 22.05 says of every array that its change failed, and by no number why.
        if not any(error.get("error_number") for error in reply["errors"]) and self._has(job, value):
            return ""
        return errors[0]

    def _has(self, job: str, value: int) -> bool:
        array = job.partition("_")[0]
        listed = from_json.jobs(self._get(f"job/{array}"), f"rest {self._version}")
        return any(present_value(found, self._how) == value for found in listed if job in (found.id, found.array_id))

    def _get(self, what: str) -> Any:
        reply = self._ask("GET", f"/slurm/{self._version}/{what}", self._headers())
        if errors := from_json.errors(reply):
            raise SchedulerGoneError(f"slurmrestd {self._url}: {what}: {errors[0]}")
        return reply

    def _served(self) -> str:
        """Return the newest version of the interface that is served, found out once."""
        if not self._version:
            spec = self._spec()
            numbers = sorted(int(found[1]) for path in spec.get("paths", ()) if (found := _VERSION.fullmatch(path)))
            version = f"v0.0.{numbers[-1]}" if numbers else self._tried()
            if numbers:
                self._check_how(spec, version)
            self._version = version
        return self._version

    def _spec(self) -> Mapping[str, Any]:
        response = self._send("GET", "/openapi/v3", self._headers())
        spec = _json(response) if response.is_success else None
        return spec if isinstance(spec, dict) else {}

    def _tried(self) -> str:
        for n in range(NEWEST, OLDEST - 1, -1):
            if self._send("GET", f"/slurm/v0.0.{n}/ping", self._headers()).is_success:
                return f"v0.0.{n}"
        raise InputError(f"slurmrestd {self._url}: serves none of v0.0.{OLDEST} to v0.0.{NEWEST}, expected one of them")

    def _check_how(self, spec: Mapping[str, Any], version: str) -> None:
        """Raise InputError if that version cannot change what is to be written."""
        known = _keys_of_a_change(spec, version)
        if known and self._how not in known:
            raise InputError(
                f"slurmrestd {self._url}: {version} cannot change {self._how} of a job, "
                "expected nice or priority (or use the command line)"
            )

    def _headers(self) -> dict[str, str]:
        return {"X-SLURM-USER-NAME": self._user, "X-SLURM-USER-TOKEN": self._token()}

    def _token(self) -> str:
        if self._token_file is None:
            token, where = os.environ.get("SLURM_JWT", ""), "environment variable SLURM_JWT"
        else:
            where = f"token file {self._token_file}"
            try:
                token = Path(self._token_file).read_text("ascii")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{where}: cannot be read, expected what scontrol token prints") from error
        token = token.strip().removeprefix("SLURM_JWT=")
        if not re.fullmatch(r"[\w.\-]+", token):
            raise InputError(f"{where}: no token there, expected what scontrol token prints")
        return token

    def _ask(self, method: str, path: str, headers: Mapping[str, str], **body: Any) -> Any:
        response = self._send(method, path, headers, **body)
        if response.status_code in (401, 403):
            raise InputError(f"slurmrestd {self._url}: {response.status_code} for user {self._user}, expected a token")
        reply = _json(response)
        if not isinstance(reply, dict):
            raise SchedulerGoneError(f"slurmrestd {self._url}: {response.status_code} without JSON for {path}")
        return reply

    def _send(self, method: str, path: str, headers: Mapping[str, str], **body: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, headers=dict(headers), **body)
        except httpx.HTTPError as error:
            raise SchedulerGoneError(f"slurmrestd {self._url}: {error or type(error).__name__}") from error


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _keys_of_a_change(spec: Mapping[str, Any], version: str) -> set[str]:
    """Return what may be changed of a job, as the description of the interface has it; empty if it does not say."""
    try:
        change = spec["paths"][f"/slurm/{version}/job/{{job_id}}"]["post"]
        schema = change["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return set(schema["properties"])
    except (KeyError, TypeError):
        return set()

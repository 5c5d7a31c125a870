"""What an adapter to Slurm is asked to do, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, seconds_in, validated
from hpcai.live.slurm.client import How, Job


def _time(value: Any) -> Any:
    """Let '10s', '5m' or '2d' stand for seconds."""
    seconds = seconds_in(value) if isinstance(value, str) else None
    return value if seconds is None else seconds


Seconds = Annotated[float, BeforeValidator(_time), Field(gt=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Scope(BaseModel):
    """Whose jobs are put in order: those of all that is named, and of everybody where nothing is.

    An account or user that is excluded is never touched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: Names = ()
    accounts: Names = ()
    users: Names = ()
    exclude_accounts: Names = ()
    exclude_users: Names = ()

    def holds(self, job: Job) -> bool:
        """Whether a job is in the scope. One that waits for several partitions is if all of them are."""
        partitions = set(job.partition.split(","))
        return (
            (not self.partitions or partitions <= set(self.partitions))
            and (not self.accounts or job.account in self.accounts)
            and (not self.users or job.user in self.users)
            and job.account not in self.exclude_accounts
            and job.user not in self.exclude_users
        )


class AdapterConfig(BaseModel):
    """An adapter to Slurm.

    ``mode`` shadow writes nothing and says what it would have done. ``longest_delay``: a job that has waited so long
    is not put behind its place in the site's own order any more; ``farthest``: no job is put more places behind it.
    ``strange``: share of the queue's jobs beyond the range of the training from which on the policy is not followed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Source
    digest: str | None = None
    mode: Literal["shadow", "act"] = "shadow"
    interval: Seconds = 10.0
    client: Literal["auto", "commands", "rest"] = "auto"
    url: str | None = None  # of slurmrestd; unix:/path for a socket
    token_file: Source | None = None
    rest_user: str | None = None
    how: How = "site_factor"
    scope: Scope = Scope()
    machine: Source | None = None
    state: Source = "hpcai-slurm"  # folder of the ledger, the decision log and the kill switch
    most_changes: Positive = 1000  # in a cycle
    longest_delay: Seconds = 2 * 86400.0
    farthest: Positive | None = None
    strange: Share = 0.25
    calm: Positive = 3  # good cycles after a fallback before the policy is followed again
    timeout: Seconds = 30.0  # of each answer, of Slurm and of the policy
    stale: Seconds = 60.0  # age at which what is known is too old to act on
    log_bytes: Positive = 50_000_000
    log_files: Positive = 14

    @model_validator(mode="before")
    @classmethod
    def _what_is_written(cls, fields: Any) -> Any:
        """By default a site factor, which the REST services of older versions do not take: there a nice value."""
        if isinstance(fields, dict) and fields.get("how") is None:
            rest = fields.get("client") == "rest" or fields.get("url") is not None
            return {**fields, "how": "nice" if rest else "site_factor"}
        return fields

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.client == "rest" and self.url is None:
            raise ValueError("client 'rest': expected url, where slurmrestd listens")
        return self

    @property
    def log_path(self) -> Path:
        """The decision log."""
        return Path(self.state) / "decisions.jsonl"

    @property
    def ledger_path(self) -> Path:
        """What was changed, and what stood there before."""
        return Path(self.state) / "ledger.json"

    @property
    def kill_switch(self) -> Path:
        """The file that ends all acting while it is there."""
        return Path(self.state) / "STOP"


def make_adapter_config(fields: Mapping[str, Any], where: str = "live slurm") -> AdapterConfig:
    """Return the configuration that ``fields`` describe. Raises InputError, one line, if they describe none."""
    return validated(AdapterConfig, fields, where)


def load_adapter_config(path: str | Path, overrides: Mapping[str, Any]) -> AdapterConfig:
    """Return the configuration in a YAML file with ``overrides`` laid over it. Raises InputError if there is none."""
    fields = read_mapping(path)
    scopes = [part for part in (fields.get("scope"), overrides.get("scope")) if isinstance(part, dict)]
    if len(scopes) == 2:  # a word on the command line takes nobody's exclusion away
        overrides = {**overrides, "scope": scopes[0] | scopes[1]}
    return make_adapter_config(fields | dict(overrides), str(path))

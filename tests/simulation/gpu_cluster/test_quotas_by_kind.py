"""Quotas by GPU kind, as Kueue's flavours: 16 P100 and 32 V100, hand-worked."""

from __future__ import annotations

import pytest

from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from tests.simulation.gpu_cluster.test_replay import played, table

OLD, NEW, ANY = ({"gpus": 8.0, "pods": 2, "gpu_kind": kind} for kind in ("P100", "V100", ""))
LONG = {"run_time": 5000.0, "checkpoint_interval": float("inf")}


def test_each_kind_has_a_quota_of_its_own():
    """Tenant a may have eight of each: its second job of a kind waits although GPUs of it are free."""
    quotas = {"a": Quota(gpus={"P100": 8, "V100": 8}, borrow=0)}
    assert played(table(OLD, OLD, NEW, NEW), quotas=quotas).jobs["start"].tolist() == [0, 100, 0, 100]


def test_a_job_of_any_kind_has_the_first_that_its_quota_allows():
    """A V100 has 1.6 times the speed of a P100."""
    quotas = {"a": Quota(gpus={"P100": 8, "V100": 16}, borrow=0)}
    outcome = played(table(ANY, ANY, ANY, ANY), quotas=quotas).jobs
    assert outcome["start"].tolist() == [0, 0, 0, 62.5]
    assert outcome["end"].tolist() == [100, 62.5, 62.5, 125]
    none = {"a": Quota(gpus={"V100": 8}, borrow=0)}
    assert played(table(ANY, ANY), quotas=none).jobs["start"].tolist() == [0, 62.5]


def test_what_is_borrowed_of_one_kind_is_taken_back_of_that_kind():
    """Tenant a borrows all GPUs; b has quota of V100 alone, and takes back the two jobs' worth that it needs."""
    quotas = {"a": Quota(gpus={"P100": 16, "V100": 16}), "b": Quota(gpus={"V100": 16})}
    jobs = table(
        *(OLD | LONG for _ in range(2)),
        *(NEW | LONG for _ in range(4)),
        {"gpus": 16.0, "pods": 2, "gpu_kind": "", "submit": 100.0, "tenant": "b"},
    )
    outcome = played(jobs, quotas=quotas).jobs
    assert outcome["start"].iloc[-1] == 100
    assert outcome["stops"].tolist()[:2] == [0, 0]
    assert outcome["stops"].sum() == 2
    assert played(jobs, quotas=quotas, reclaim=False).jobs["start"].iloc[-1] == 5000


def test_nobody_takes_back_a_kind_that_it_cannot_use():
    quotas = {"a": Quota(gpus={"P100": 8, "V100": 32}), "b": Quota(gpus={"P100": 8})}
    jobs = table(
        *(OLD | LONG for _ in range(2)),
        NEW | {"submit": 100.0, "tenant": "b", "run_time": 10.0},
        OLD | {"submit": 200.0, "tenant": "b", "run_time": 10.0},
    )
    outcome = played(jobs, quotas=quotas).jobs
    assert outcome["start"].tolist() == [0, 0, 100, 200]  # the third borrows, and stops nobody
    assert outcome["stops"].sum() == 1


def test_the_limit_of_borrowing_is_by_kind():
    quotas = {"a": Quota(gpus={"P100": 0}, borrow={"P100": 8, "V100": 0}), "b": Quota(gpus={"P100": 16, "V100": 32})}
    assert played(table(OLD, OLD, ANY), quotas=quotas).jobs["start"].tolist() == [0, 100, 200]


def test_an_elastic_job_grows_within_its_kind():
    quotas = {"a": Quota(gpus={"P100": 8, "V100": 4}, borrow=0)}
    job = {"gpus": 2.0, "min_gpus": 1.0, "max_gpus": 32.0, "gpu_kind": "", "scaling": 1.0, "run_time": 9000.0}
    events = played(table(job), quotas=quotas, resize_interval=0.0).events
    assert events["tasks"].max() == 8


def test_a_grand_challenge_takes_all_kinds():
    quotas = {"a": Quota(gpus={"P100": 8, "V100": 8})}
    whole = {"gpus": 48.0, "pods": 12, "gpu_kind": "", "qos": "grand-challenge"}
    assert played(table(OLD | LONG, whole | {"submit": 10.0}), quotas=quotas).jobs["start"].tolist() == [0, 10]


def test_wrong_quotas():
    with pytest.raises(InputError, match="quotas: a: no GPU kind 'H100'; small has P100, V100"):
        played(table(OLD), quotas={"a": Quota(gpus={"H100": 8})})
    with pytest.raises(ValueError, match="expected GPUs by kind of all tenants, or of none"):
        Discipline(quotas={"a": Quota(gpus=8), "b": Quota(gpus={"P100": 8})})

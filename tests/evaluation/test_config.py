"""One configuration object, and errors of one line."""

from __future__ import annotations

import pytest

from hpcai.errors import InputError
from hpcai.evaluation.config import load_config, make_config, split_outside_parentheses


def test_defaults():
    config = make_config({"trace": "log.swf"})
    assert config.trace == ("log.swf",)
    assert (config.part_used, config.window_shape, config.objective) == (
        "test",
        (50, 1024),
        "mean_bounded_slowdown",
    )
    assert config.baseline_entry.label == "FCFS with EASY"


def test_paths_and_numbers_pass_for_text(tmp_path):
    config = make_config({"trace": tmp_path / "log.swf", "machine": 256})
    assert (config.trace, config.machine) == ((str(tmp_path / "log.swf"),), "256")


def test_all_means_the_whole_log_unless_a_part_is_named():
    assert make_config({"trace": "x", "windows": "all"}).part_used == "all"
    assert make_config({"trace": "x", "windows": "all", "part": "test"}).part_used == "test"


def test_policies_times_backfills_and_what_a_named_policy_sets_itself():
    config = make_config(
        {
            "trace": ["a", "b"],
            "policies": ["fcfs", {"name": "oracle", "ordering": "saf", "estimate": "actual"}],
            "backfill": ["none", "easy"],
            "kill_at_limit": True,
        }
    )
    assert [(e.name, e.backfill) for e in config.entries] == [
        ("fcfs", "none"),
        ("fcfs", "easy"),
        ("oracle", "none"),
        ("oracle", "easy"),
    ]
    assert config.entries[-1].policy.estimate == "actual"
    assert config.entries[-1].policy.kill_at_limit
    assert config.entries[0].policy.estimate == "requested"
    own = make_config({"trace": "a", "policies": [{"name": "x", "backfill": "none"}]})
    assert [entry.backfill for entry in own.entries] == ["none"]


def test_a_comma_inside_parentheses_splits_nothing():
    assert split_outside_parentheses("fcfs, expr:max(size,min(wait,2)),sjf,") == [
        "fcfs",
        "expr:max(size,min(wait,2))",
        "sjf",
    ]
    config = make_config({"trace": "x", "policies": "fcfs,expr:max(size,2)"})
    assert [entry.name for entry in config.entries] == ["fcfs", "expr:max(size,2)"]


def test_yaml_with_overrides(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("trace: log.swf\npolicies: [fcfs, saf]\nseed: 3\n")
    config = load_config(path, {"seed": 4, "windows": "2x10"})
    assert (config.seed, config.windows, len(config.entries)) == (4, "2x10", 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "trace: required, not given"),
        ({"trace": "x", "polices": ["fcfs"]}, "unknown key 'polices'; did you mean 'policies'?"),
        (
            {"trace": "x", "windows": "50*10"},
            "windows: expected 'all' or NxM such as '50x1024', found '50*10'",
        ),
        ({"trace": "x", "seed": -1}, "seed: input should be greater than or equal to 0, found -1"),
        ({"trace": "x", "backfill": "eazy"}, "backfill.0: input should be 'none', 'easy' or 'conservative'"),
        ({"trace": "x", "policies": "fcfs,fcfs"}, "policies: 'fcfs' with backfill 'easy' is given twice"),
        ({"trace": "x", "policies": "recorded"}, "policies: the name 'recorded' stands for"),
        ({"trace": "x", "policies": "fcsf"}, "policies: ordering 'fcsf': expected"),
        ({"trace": "x", "policies": "expr:size +"}, "policies: "),
        ({"trace": "x", "objective": "jobs"}, "objective 'jobs': expected a metric that has a better side"),
        ({"trace": "x", "baseline": "sjff"}, "baseline 'sjff': expected the name of one of the policies"),
        ({"trace": "x", "windows": "2x10", "warmup": 10}, "warmup 10 leaves nothing to measure"),
    ],
)
def test_errors_are_one_line_that_names_the_key(fields, message):
    with pytest.raises(InputError) as caught:
        make_config(fields, "run.yaml")
    text = str(caught.value)
    assert text.startswith(f"run.yaml: {message}")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [("- 1\n", "expected a mapping, found list"), ("a: [", "not YAML"), ("", "expected a mapping")],
)
def test_files_that_are_no_configuration(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_the_result_of_a_run_is_a_policy_that_the_configuration_holds_in_full(tmp_path):
    (tmp_path / "policy.yaml").write_text("ordering: 'expr:a * size'\nparameters: {a: 2.0}\nbackfill: easy\n")
    run = f"run:{tmp_path}"
    config = make_config({"trace": "x", "policies": f"fcfs,{run}", "backfill": "none"})
    assert [(e.name, e.backfill) for e in config.entries] == [("fcfs", "none"), (run, "easy")]
    learned = {"name": run, "ordering": "expr:a * size", "parameters": {"a": 2.0}, "backfill": "easy"}
    assert config.as_dict()["policies"] == ["fcfs", learned]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected policy.yaml in the folder of a training run, found none"),
        ("ordering: fcfs\nseed: 1\n", "unknown key 'seed'"),
        ("- fcfs\n", "expected a mapping"),
        ("ordering: sfaf\n", "ordering 'sfaf'"),
    ],
)
def test_runs_without_a_policy(tmp_path, content, message):
    if content is not None:
        (tmp_path / "policy.yaml").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        make_config({"trace": "x", "policies": [f"run:{tmp_path}"]})
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        make_config({"trace": "x", "policies": [f"run:{tmp_path}/none"]})

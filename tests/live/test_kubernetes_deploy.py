"""The manifests, the dashboard and the commands name the same things."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_group

from hpcai.live.kubernetes.commands import kubernetes_app
from hpcai.live.kubernetes.metrics import ControllerMetrics, ExtenderMetrics

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"


def _objects(name: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((DEPLOY / name).read_text()) if item]


@pytest.mark.parametrize("name", ["extender", "controller"])
def test_a_deployment_calls_its_command_and_may_do_little(name: str) -> None:
    spec = _objects(f"{name}.yaml")[0]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"][:3] == ["live", "kubernetes", name]
    get_group(kubernetes_app).commands[name].make_context(name, container["args"][3:])  # knows every option
    assert spec["serviceAccountName"] in {each["metadata"]["name"] for each in _objects("rbac.yaml")}
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert {"livenessProbe", "readinessProbe"} <= set(container)


def test_roles_name_every_verb_and_resource() -> None:
    roles = [each for each in _objects("rbac.yaml") if each["kind"] == "ClusterRole"]
    assert len(roles) == 5
    assert "*" not in str([role["rules"] for role in roles])


def test_the_dashboard_shows_what_is_counted_and_all_of_it() -> None:
    counted = set()
    for registry in (ExtenderMetrics().registry, ControllerMetrics().registry):
        for family in registry.collect():
            counted.add(family.name + {"counter": "_total", "histogram": "_bucket"}.get(family.type, ""))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    shown = re.findall(r"hpcai_\w+", " ".join(t["expr"] for panel in dashboard["panels"] for t in panel["targets"]))
    assert set(shown) == counted

"""The manifests of config/kubernetes."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml
from tests.certificates import issue
from tests.unit.kubernetes.custom_resources import CUSTOM_RESOURCES
from tests.unit.kubernetes.manifests import KUBERNETES, build, find

from loqua_host.ops.access import PROBES
from loqua_host.settings.load import draft
from loqua_host.settings.resources import RESOURCES, Resources
from loqua_host.settings.secrets import HOST_SECRETS

ROOT = KUBERNETES.parents[1]
OVERLAYS = get_args(Resources)
SERVED = ("1.33", "1.37")
"""The oldest and the newest version of Kubernetes that the manifests are for."""

Manifests = Sequence[dict[str, Any]]


@pytest.fixture(params=OVERLAYS, ids=str)
def overlay(request: pytest.FixtureRequest) -> Resources:
    """Return the name of each overlay."""
    name: Resources = request.param
    return name


@pytest.fixture
def manifests(overlay: Resources) -> Manifests:
    """Return the manifests of each overlay."""
    return build(overlay)


@pytest.fixture
def pod(manifests: Manifests) -> dict[str, Any]:
    """Return the spec of a host's pod."""
    spec: dict[str, Any] = find(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the host's container, the only one."""
    [only] = pod["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def variables(manifests: Manifests) -> dict[str, str]:
    """Return the environment variables of the host."""
    data: dict[str, str] = find(manifests, "ConfigMap")["data"]
    return data


def test_each_class_of_the_guide_has_an_overlay() -> None:
    """And no other folder is one."""
    assert {it.name for it in KUBERNETES.iterdir() if it.is_dir()} == {"base", *OVERLAYS}


@pytest.mark.parametrize("version", SERVED, ids=str)
def test_kubernetes_accepts_each_manifest(manifests: Manifests, version: str) -> None:
    """By its published schemas, without unknown fields."""
    for manifest in manifests:
        if custom := CUSTOM_RESOURCES.get(manifest["kind"]):
            custom.model_validate(manifest)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_pod_has_the_resources_of_its_class(
    overlay: Resources, container: dict[str, Any], variables: dict[str, str]
) -> None:
    """And takes as many lessons as the class is for."""
    it = RESOURCES[overlay]
    limits = {"cpu": f"{it.cores * 1000}m", "memory": f"{it.gibibytes}Gi"}
    requests = {"cpu": f"{it.cores * 500}m", "memory": f"{it.gibibytes // 2}Gi"}
    assert container["resources"] == {"requests": requests, "limits": limits}
    assert variables["LOQUA_LESSONS__MAX_LESSONS"] == str(it.lessons[1])


def test_a_pod_has_no_privileges(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """The Pod Security Standard `restricted` and a read-only root require that."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "USER 10001" in (ROOT / "Dockerfile").read_text("utf-8")


def test_no_secret_is_in_a_manifest_or_in_the_environment(
    manifests: Manifests, container: dict[str, Any], variables: dict[str, str]
) -> None:
    """They are mounted: a process that is started beside the host shows tutors its environment."""
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    assert variables["LOQUA_SECRETS__FROM"] == "files"
    assert not HOST_SECRETS & variables.keys()
    assert "env" not in container
    assert container["envFrom"] == [
        {"configMapRef": {"name": find(manifests, "ConfigMap")["metadata"]["name"]}}
    ]


def test_what_the_variables_name_is_mounted(
    container: dict[str, Any], variables: dict[str, str]
) -> None:
    """The root file system is read-only."""
    mounted = {Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    tls = json.loads(variables["LOQUA_OPS__TLS"])
    named = [Path(tls["certificate"]), Path(tls["key"]), Path(variables["LOQUA_LEDGER__SPOOL"])]
    assert {path.parent for path in named} <= mounted
    assert Path(variables["LOQUA_SECRETS__FILES__DIRECTORY"]) in mounted


def test_the_variables_are_settings_that_fit_the_configuration_of_the_image(
    variables: dict[str, str], tmp_path: Path
) -> None:
    """With the certificate that a cluster mounts."""
    certificate = {"LOQUA_OPS__TLS": json.dumps(issue(tmp_path))}
    drafted = draft(ROOT / "config", variables | certificate)
    assert [str(problem) for problem in drafted.problems] == []


def test_probes_ask_what_needs_no_token(container: dict[str, Any]) -> None:
    """At the port of the ops address, encrypted."""
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {probe["path"] for probe in probes} <= PROBES
    assert {(probe["port"], probe["scheme"]) for probe in probes} == {("ops", "HTTPS")}
    host = yaml.safe_load((ROOT / "config/host.yaml").read_text("utf-8"))
    assert container["ports"] == [{"name": "ops", "containerPort": host["ops"]["port"]}]


def test_a_pod_has_time_to_drain_and_then_to_stop(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    """Kubernetes kills it after the grace period, whatever it does."""
    host = yaml.safe_load((ROOT / "config/host.yaml").read_text("utf-8"))
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:2] == ["loqua-host", "drain"]
    wait = float(command[command.index("--wait") + 1])
    stop = wait + host["lessons"]["drain_timeout"]
    assert pod["terminationGracePeriodSeconds"] >= stop + 20


def test_everything_selects_the_pods_of_its_class_alone(
    overlay: Resources, manifests: Manifests
) -> None:
    """Two classes in one namespace do not mix."""
    labels = {"app.kubernetes.io/name": "loqua-host", "loqua.app/resources": overlay}
    deployment = find(manifests, "Deployment")["spec"]
    assert deployment["template"]["metadata"]["labels"] == labels
    assert deployment["selector"]["matchLabels"] == labels
    for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        assert find(manifests, kind)["spec"]["selector"]["matchLabels"] == labels
    assert find(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert find(manifests, "Service")["spec"]["selector"] == labels
    names = {it["metadata"]["name"] for it in manifests if it["kind"] != "ConfigMap"}
    assert names == {f"loqua-host-{overlay}"}
    assert find(manifests, "ScaledObject")["spec"]["scaleTargetRef"]["name"] in names


def test_one_host_at_a_time_is_disrupted(manifests: Manifests) -> None:
    """And none before its successor is ready."""
    assert find(manifests, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    rolling = find(manifests, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in find(manifests, "Deployment")["spec"]


def test_tutors_do_not_reach_the_cloud_s_metadata_service(manifests: Manifests) -> None:
    """It hands out the machine's credentials."""
    policy = find(manifests, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    blocks = [to["ipBlock"] for rule in policy["egress"] for to in rule["to"] if "ipBlock" in to]
    assert [block["except"] for block in blocks] == [["169.254.0.0/16"]]


def test_metrics_arrive_as_alerts_and_queries_expect_them(
    overlay: Resources, manifests: Manifests
) -> None:
    """Prometheus writes underscores for what a label's name may not have."""
    spec = find(manifests, "PodMonitor")["spec"]
    assert spec["jobLabel"] == "app.kubernetes.io/name"
    assert 'up{job="loqua-host"}' in (ROOT / "config/prometheus/alerts.yaml").read_text("utf-8")
    [label] = spec["podTargetLabels"]
    selector = f'{{{re.sub(r"[^a-zA-Z0-9]", "_", label)}="{overlay}"}}'
    for trigger in find(manifests, "ScaledObject")["spec"]["triggers"]:
        selectors = re.findall(r"\{.*?\}", trigger["metadata"]["query"])
        assert set(selectors) == {selector}

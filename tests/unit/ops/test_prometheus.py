"""Alerts, runbooks, dashboard and definitions, compared with the exposed metrics."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loqua_host.core.versions import VersionStatus
from loqua_host.host_metrics import HostMetrics
from loqua_host.ops.health import assess
from loqua_host.ops.status import HostStatus
from loqua_host.records.regions import RegionState
from loqua_host.settings.regions import RegionSettings

CONFIG = Path(__file__).parents[3] / "config"
PROMETHEUS = CONFIG / "prometheus"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads((CONFIG / "grafana/loqua-host.json").read_text())[
    "panels"
]
QUERIES: list[str] = [target["expr"] for panel in PANELS for target in panel["targets"]]
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def exposed() -> Iterator[str]:
    """Yield the names of all series that a host may have."""
    metrics = HostMetrics()
    ending = VersionStatus("v1", deprecated=True, sunset=1.0)
    status = HostStatus(
        now=0.0,
        agent_jwt_left=1.0,
        user_token_left=1.0,
        certificate_left=1.0,
        api_version=ending,
        regions=RegionSettings(here="east", primary="west", secondary="east"),
        region_state=RegionState("west", 0.0),
    )
    metrics.watch(lambda: status, assess)
    for family in metrics.registry.collect():
        for ending in ENDINGS.get(family.type, ()):
            yield family.name + ending


NAMES = set(exposed())


def named_in(text: str) -> set[str]:
    """Return the figures of the host that a text names."""
    return set(re.findall(r"\bloqua_\w+", text))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_what_is_exposed_and_says_what_to_do(alert: dict[str, Any]) -> None:
    """With a severity, a sentence and a runbook of its own."""
    assert named_in(alert["expr"]) <= NAMES
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]
    runbook = (PROMETHEUS / alert["annotations"]["runbook"]).read_text()
    assert runbook.startswith(f"# {alert['alert']}\n")


def test_no_runbook_is_left_of_an_alert_that_went() -> None:
    """One page for each alert."""
    pages = {page.stem for page in (PROMETHEUS / "runbooks").glob("*.md")}
    assert pages == {alert["alert"] for alert in ALERTS}


def test_runbooks_name_figures_that_exist() -> None:
    """An operator has no time to look for others."""
    for page in (PROMETHEUS / "runbooks").glob("*.md"):
        assert named_in(page.read_text()) <= NAMES | {name.removesuffix("_total") for name in NAMES}


@pytest.mark.parametrize("query", QUERIES)
def test_a_panel_asks_for_what_is_exposed(query: str) -> None:
    """Or for what every process has."""
    assert named_in(query) <= NAMES
    assert "loqua_" in query or "process_" in query


def test_every_figure_is_defined() -> None:
    """In the table that operators read."""
    text = (PROMETHEUS / "README.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAMES}
    mine = {name for name in families if name.startswith("loqua_")}
    assert mine - named_in(text) == set()
    assert named_in(text) <= families | {"loqua_host"}


def promtool(*arguments: str | Path) -> None:
    """Run Prometheus's own checker."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH; Debian has it in the package prometheus")
    done = subprocess.run(  # noqa: S603  # arguments of this test
        [program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_a_healthy_host_wakes_nobody() -> None:
    """Prometheus itself evaluates the rules."""
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yaml").read_text())["tests"]
    assert {test["name"].partition(":")[0] for test in tests} == {
        "a healthy host",
        *(alert["alert"] for alert in ALERTS),
    }
    promtool("test", "rules", "alerts_test.yaml")


def test_prometheus_understands_each_panel_s_query(tmp_path: Path) -> None:
    """Each query becomes a rule, since promtool checks rules."""
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", file)

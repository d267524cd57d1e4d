"""A host on one machine: the image, config/compose.yaml, config/systemd."""

import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from loqua_host.dev.livekit_binary import VERSION
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HOST_SECRETS

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "Dockerfile"
UNIT = ROOT / "config/systemd/loqua-host.service"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "config/compose.yaml").read_text("utf-8")
)["services"]
OURS = ("api", "host", "speech")


def stop_seconds() -> float:
    """Return the maximum seconds from SIGTERM to the exit: lessons, and their records."""
    drain = HostSettings.model_fields["lessons"].get_default().drain_timeout
    return float(drain) + 20


def test_the_dockerfile_has_no_known_mistake() -> None:
    """Of those that hadolint knows."""
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run(  # noqa: S603  # arguments of this test
        [hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", OURS, ids=str)
def test_a_container_of_ours_has_no_privileges(name: str) -> None:
    """And a root that it cannot write."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "USER 10001" in DOCKERFILE.read_text("utf-8")


def test_each_service_comes_back_after_a_crash() -> None:
    """Its exit code does not matter."""
    assert {service["restart"] for service in SERVICES.values()} == {"always"}


def test_images_of_ours_are_targets_of_the_dockerfile() -> None:
    """Each of them is built by one service."""
    stages = {
        line.split(" AS ")[1]
        for line in DOCKERFILE.read_text("utf-8").splitlines()
        if " AS " in line
    }
    built = {it["image"]: it["build"]["target"] for it in SERVICES.values() if "build" in it}
    assert built == {name: name for name in (SERVICES[it]["image"] for it in OURS)}
    assert set(built) <= stages
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    assert {"parts", "production"} <= groups.keys()


def test_secrets_are_not_in_the_compose_file() -> None:
    """They are variables that must be set."""
    for service in SERVICES.values():
        for name in HOST_SECRETS & service.get("environment", {}).keys():
            assert "${" in service["environment"][name]
            assert ":?}" in service["environment"][name]


def test_the_host_finds_the_other_services() -> None:
    """The addresses are those at which they listen."""
    environ = SERVICES["host"]["environment"]
    assert SERVICES["api"]["command"][-1] in environ["API_BASE_URL"]
    settings = (ROOT / f"config/environments/{environ['LOQUA_ENVIRONMENT']}.yaml").read_text(
        "utf-8"
    )
    assert f"http://127.0.0.1:{SERVICES['speech']['command'][-1]}/v1" in settings
    assert {service["network_mode"] for service in SERVICES.values()} == {"host"}
    assert set(SERVICES["host"]["depends_on"]) == SERVICES.keys() - {"host"}


def test_livekit_is_the_version_that_the_tests_run() -> None:
    """Of the same tag."""
    assert SERVICES["livekit"]["image"] == f"livekit/livekit-server:{VERSION}"


def test_a_host_that_is_stopped_has_the_time_that_it_needs() -> None:
    """With Docker and with systemd."""
    assert float(SERVICES["host"]["stop_grace_period"].removesuffix("s")) >= stop_seconds()
    [seconds] = [
        line.partition("=")[2]
        for line in UNIT.read_text("utf-8").splitlines()
        if line.startswith("TimeoutStopSec=")
    ]
    assert float(seconds) >= stop_seconds()


@pytest.fixture
def systemd_analyze() -> str:
    """Return systemd's checker."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on PATH; Debian has it in the package systemd")
    return program


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that this machine has."""
    file = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace("/opt/loqua/venv/bin/loqua-host", "/bin/true")
    file.write_text(text, "utf-8")
    return file


def test_systemd_understands_the_unit(systemd_analyze: str, unit: Path) -> None:
    """Each line of it."""
    done = subprocess.run(  # noqa: S603  # arguments of this test
        [systemd_analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_calls_the_unit_s_exposure_ok(systemd_analyze: str, unit: Path) -> None:
    """At most 2 of 10."""
    command = [systemd_analyze, "security", "--offline=yes", "--threshold=20", unit]
    done = subprocess.run(  # noqa: S603  # arguments of this test
        command, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_starts_the_host_again_whatever_ended_it() -> None:
    """For as long as it takes."""
    lines = UNIT.read_text("utf-8").splitlines()
    assert {"Restart=always", "StartLimitIntervalSec=0", "NoNewPrivileges=yes"} <= set(lines)

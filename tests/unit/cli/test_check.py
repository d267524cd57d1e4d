"""`loqua-host check`: what would run, and every mistake at once."""

from pathlib import Path

import pytest
import yaml
from tests.certificates import issue

from loqua_host.cli.check import check
from loqua_host.configuration import Configuration
from loqua_host.errors import ConfigError

ENVIRON = {
    "AGENT_ID": "loqua-host-1",
    "API_BASE_URL": "http://127.0.0.1:9000",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "AGENT_JWT_TOKEN": "header.payload.signature",
    "SHARED_SECRET": "shared",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with one specialist."""
    directory = tmp_path / "config"
    (directory / "tutors").mkdir(parents=True)
    (directory / "host.yaml").touch()
    (directory / "tutors/grammar.yaml").write_text(
        "worker_type: explicit\nagent_name: grammar-specialist\nmax_concurrent_jobs: 2\n"
    )
    return directory


def test_a_sound_configuration_shows_what_would_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a tutor, and nothing on standard error."""
    assert check(config, ENVIRON) == 0
    printed = capsys.readouterr()
    headings, tutor = printed.out.splitlines()
    assert " ".join(headings.split()) == (
        "tutor plugin version dispatch agent name max jobs agent id"
    )
    assert " ".join(tutor.split()) == (
        "grammar grammar 1.0.0 explicit grammar-specialist 2 loqua-host-1"
    )
    assert printed.err == ""


def test_every_mistake_is_printed_once_with_its_mend(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Host file, tutor, plugin and secrets, whatever else is wrong."""
    (config / "host.yaml").write_text("logs: {level: loud}")
    (config / "tutors/grammar.yaml").write_text("worker_type: explicit\nplugin: latin\n")
    given = {name: value for name, value in ENVIRON.items() if name != "SHARED_SECRET"}
    assert check(config, given) == 1
    printed = capsys.readouterr()
    places = [line for line in printed.err.splitlines() if line and not line.startswith(" ")]
    assert [place.replace(f"{config}/", "") for place in places] == [
        "host.yaml: logs.level",
        "tutors/grammar.yaml: agent_name",
        "tutors/grammar.yaml: plugin",
        "SHARED_SECRET",
    ]
    mends = [line for line in printed.err.splitlines() if line.startswith("  → ")]
    assert len(mends) == len(places)
    assert " ".join(printed.out.splitlines()[1].split()) == "grammar latin - explicit - 2 -"


@pytest.mark.parametrize(("days", "status"), [(30, 0), (-1, 1)])
def test_a_certificate_that_has_expired_is_a_mistake(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], days: float, status: int
) -> None:
    """The host would run, and whoever checks certificates could not look into it."""
    given = issue(tmp_path, days=days)
    (config / "host.yaml").write_text(yaml.safe_dump({"ops": {"tls": given}}))
    assert check(config, ENVIRON) == status
    said = capsys.readouterr().err
    assert ("host.yaml: ops.tls.certificate\n  has expired\n" in said) == bool(status)


@pytest.mark.parametrize("spoilt", ["TMPDIR", "ledger.path", "ledger.spool", "SSL_CERT_FILE"])
def test_check_finds_of_this_machine_what_a_start_would_find(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoilt: str
) -> None:
    """In the same words."""
    (tmp_path / "file").touch()
    key, impossible = spoilt.rpartition(".")[2], str(tmp_path / "file" / "deeper")
    environ = dict(ENVIRON)
    if spoilt.isupper():
        environ[spoilt] = impossible
    else:
        (config / "host.yaml").write_text(f"ledger: {{{key}: {impossible}}}")
    with pytest.raises(ConfigError) as refused:
        Configuration(config, environ).read()
    [problem] = refused.value.problems
    assert problem.where.endswith(spoilt)
    assert check(config, environ) == 1
    told = capsys.readouterr().err
    assert f"{problem.where}\n  {problem.what}\n  → {problem.mend}\n" in told


def test_staging_is_warned_and_starts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is open to a network, and of secrets that are short or not there."""
    environ = ENVIRON | {"LOQUA_ENVIRONMENT": "staging", "API_BASE_URL": "http://api.loqua.app"}
    assert check(config, environ) == 0
    told = capsys.readouterr().err
    warned = [line.removeprefix("warning: ") for line in told.splitlines() if "warning: " in line]
    assert warned == ["API_BASE_URL", "LEDGER_KEY", "SHARED_SECRET", "LIVEKIT_API_SECRET"]
    configuration = Configuration(config, environ)
    _, secrets = configuration.read()
    assert [problem.where for problem in configuration.advice(secrets)] == warned

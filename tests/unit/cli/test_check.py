"""`loqua-host check`: the tutors that would run, and all mistakes at once."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from tests.certificates import issue

from loqua_host.cli.check import check_config
from loqua_host.configuration.configuration import Configuration
from loqua_host.errors import ConfigError
from loqua_host.settings.load import draft
from loqua_host.settings.sandbox import SandboxSettings
from loqua_host.settings.start import refuse_start

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
    """Return a configuration with one specialist."""
    directory = tmp_path / "config"
    (directory / "tutors").mkdir(parents=True)
    (directory / "host.yaml").write_text(
        f"ops: {{port: null}}\nledger: {{path: {tmp_path}/l.db}}\n"
    )
    (directory / "tutors/grammar.yaml").write_text(
        "worker_type: explicit\nagent_name: grammar-specialist\nmax_concurrent_jobs: 2\n"
    )
    return directory


def test_a_sound_configuration_shows_what_would_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a tutor, and nothing on standard error."""
    assert check_config(config, ENVIRON) == 0
    printed = capsys.readouterr()
    headings, tutor = printed.out.splitlines()
    assert " ".join(headings.split()) == (
        "tutor plugin version dispatch agent name max jobs agent id"
    )
    assert " ".join(tutor.split()) == (
        "grammar grammar 1.0.0 explicit grammar-specialist 2 loqua-host-1"
    )
    assert printed.err == ""


def test_every_mistake_is_printed_once_with_its_hint(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Host file, tutor, plugin and secrets, whatever else is wrong."""
    (config / "host.yaml").write_text("logs: {level: loud}")
    (config / "tutors/grammar.yaml").write_text("worker_type: explicit\nplugin: latin\n")
    given = {name: value for name, value in ENVIRON.items() if name != "SHARED_SECRET"}
    assert check_config(config, given) == 1
    printed = capsys.readouterr()
    places = [line for line in printed.err.splitlines() if line and not line.startswith(" ")]
    assert [place.replace(f"{config}/", "") for place in places] == [
        "host.yaml: logs.level",
        "tutors/grammar.yaml: agent_name",
        "tutors/grammar.yaml: plugin",
        "SHARED_SECRET",
    ]
    hints = [line for line in printed.err.splitlines() if line.startswith("  → ")]
    assert len(hints) == len(places)
    assert " ".join(printed.out.splitlines()[1].split()) == "grammar latin - explicit - 2 -"


@pytest.mark.parametrize(("days", "status"), [(30, 0), (-1, 1)])
def test_a_certificate_that_has_expired_is_a_mistake(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], days: float, status: int
) -> None:
    """The host would run, and whoever checks certificates could not look into it."""
    given = issue(tmp_path, days=days)
    (config / "host.yaml").write_text(yaml.safe_dump({"ops": {"tls": given}}))
    assert check_config(config, ENVIRON) == status
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
    assert check_config(config, environ) == 1
    output = capsys.readouterr().err
    assert f"{problem.where}\n  {problem.what}\n  → {problem.hint}\n" in output


def test_staging_is_warned_and_starts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is open to a network, and of secrets that are short or not there."""
    environ = ENVIRON | {"LOQUA_ENVIRONMENT": "staging", "API_BASE_URL": "http://api.loqua.app"}
    (config / "environments").mkdir()
    (config / "environments/staging.yaml").write_text("engines: {stt: null, tts: null}")
    assert check_config(config, environ) == 0
    output = capsys.readouterr().err
    warned = [line.removeprefix("warning: ") for line in output.splitlines() if "warning: " in line]
    assert warned == ["API_BASE_URL", "LEDGER_KEY", "SHARED_SECRET", "LIVEKIT_API_SECRET"]
    configuration = Configuration(config, environ)
    _, secrets = configuration.read()
    assert [problem.where for problem in configuration.advice(secrets)] == warned


def mistakes(config: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the report on a configuration that does not start."""
    assert check_config(config, environ) == 1
    return capsys.readouterr().err.replace(f"{config}/", "")


PRODUCTION = ENVIRON | {
    "LOQUA_ENVIRONMENT": "production",
    "API_BASE_URL": "https://api.example",
    "LIVEKIT_URL": "wss://livekit.example",
    **dict.fromkeys(("SHARED_SECRET", "LIVEKIT_API_SECRET", "LEDGER_KEY"), "s" * 32),
}


def test_production_without_its_file_and_engines_does_not_pass(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does root; `run` refuses the same."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    output = mistakes(config, PRODUCTION, capsys)
    assert "loqua-host run\n  would run as root" in output
    assert "environments/production.yaml\n  does not exist" in output
    assert "tutors/grammar.yaml: engines.stt\n  names no engine" in output
    assert "tutors/grammar.yaml: engines.tts\n  names no engine" in output
    settings = draft(config, PRODUCTION).settings
    assert settings is not None
    with pytest.raises(ConfigError, match="would run as root"):
        refuse_start(config, settings)


def test_a_sandbox_that_is_required_and_incomplete_does_not_pass(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel lacks is named; else it is only warned of."""
    monkeypatch.setattr("loqua_host.settings.start.sandbox_gaps", lambda: ("signals (Linux 6.12)",))
    settings = draft(config, ENVIRON).settings
    assert settings is not None
    refuse_start(config, settings)
    required = settings.model_copy(update={"sandbox": SandboxSettings(required=True)})
    with pytest.raises(ConfigError, match=r"sandbox.required: .*signals \(Linux 6.12\)"):
        refuse_start(config, required)


def test_an_agent_may_bring_its_own_engines(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file says so by null, and the environment's file may be empty."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (config / "environments").mkdir()
    (config / "environments/production.yaml").touch()
    with (config / "tutors/grammar.yaml").open("a") as file:
        file.write("engines: {stt: null, tts: null}\n")
    assert check_config(config, PRODUCTION) == 0
    assert capsys.readouterr().err == ""


def test_a_port_that_another_program_has_is_reported(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless that is a host that runs already."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (config / "environments").mkdir()
        (config / "environments/development.yaml").write_text(f"ops: {{port: {port}}}")
        threading.Thread(target=answer, args=(other, b"no host\n")).start()
        output = mistakes(config, ENVIRON, capsys)
        assert f"environments/development.yaml: ops.port\n  {port} is in use" in output
        threading.Thread(target=answer, args=(other, b"alive\n")).start()
        assert check_config(config, ENVIRON) == 0


def answer(server: socket.socket, body: bytes) -> None:
    """Answer one request over HTTP."""
    client, _ = server.accept()
    with client:
        client.recv(10_000)
        length = f"Content-Length: {len(body)}".encode()
        client.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\nConnection: close\r\n\r\n" + body)


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines_is_reported(
    config: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    """Before the start fails by it."""
    (config / "host.yaml").write_text(f"ops: {{address: {address}}}\nledger: {{path: l.db}}\n")
    output = mistakes(config, ENVIRON | {"OPS_TOKEN": "t" * 32}, capsys)
    assert "host.yaml: ops.address\n" in output
    assert "cannot be opened" in output


def test_a_ledger_that_cannot_be_used_is_reported(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory, another file, a way that leads through a file."""
    (tmp_path / "notes.txt").write_text("not a database")
    for path, why in (
        (tmp_path, "cannot be used: it is not a file"),
        (tmp_path / "notes.txt", "cannot be used: it is not a SQLite database"),
        (tmp_path / "notes.txt" / "l.db", "cannot be used: Not a directory"),
    ):
        (config / "host.yaml").write_text(f"ops: {{port: null}}\nledger: {{path: {path}}}\n")
        output = mistakes(config, ENVIRON, capsys)
        assert f"host.yaml: ledger.path\n  {path} {why}" in output


NOBODY = 65534


def unusable_to(user: int, *paths: Path) -> list[str]:
    """Return why a user who is not root cannot use each ledger's path."""
    code = (
        "import os; from pathlib import Path\n"
        "from loqua_host.settings.directories import ledger_fault\n"
        f"os.setgid({user}); os.setuid({user})\n"
        f"for path in {[*map(str, paths)]}: print(ledger_fault(Path(path)))"
    )
    command = (sys.executable, "-c", code)
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ours
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_ledger_that_is_another_users_is_reported() -> None:
    """Its file, its directory, or a directory on the way there."""
    with TemporaryDirectory(dir="/var/tmp") as name:  # where anybody may get
        directory = Path(name)
        directory.chmod(0o755)
        there = directory / "there.db"
        there.touch(mode=0o644)
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        paths = (directory / "none.db", there, closed / "l.db")
        in_theirs, file, on_the_way = unusable_to(NOBODY, *paths)
        assert "cannot be written to" in in_theirs
        assert file == "it belongs to another user"
        assert on_the_way == "Permission denied"

"""A refused start of an invalid configuration: all problems at once, each with its hint."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import yaml

ENVIRON = {
    "AGENT_ID": "loqua-test",
    "AGENT_JWT_TOKEN": "an.agents.jwt",
    "API_BASE_URL": "http://127.0.0.1:9",
    "DEV_AGENT_SECRET": "a shared secret of 32 characters",
    "LIVEKIT_URL": "ws://127.0.0.1:9",
    "LIVEKIT_API_KEY": "a-key",
    "LIVEKIT_API_SECRET": "a LiveKit secret of 32 characters",
}


def write(config: Path, files: dict[str, object]) -> None:
    """Write a configuration, each file as YAML."""
    for name, data in {"host.yaml": {}, **files}.items():
        file = config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(data))


def refusal(config: Path, **environ: str) -> str:
    """Start a host that refuses its configuration; return its standard error."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "loqua_host", "run", "--config", config],
        env=kept | ENVIRON | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def tutor(worker_type: str, **keys: object) -> dict[str, object]:
    """Return a tutor's file."""
    return {"worker_type": worker_type, "plugin": "grammar", **keys}


def test_all_mistakes_are_named_at_once_without_their_values(tmp_path: Path) -> None:
    """Mistakes in files, variables and production addresses come with place and hint.

    That `check` says the same, tests/unit/cli/test_check.py tells.
    """
    engine = {"use": "livekit.plugins.openai:TTS", "options": {"base_url": "http://speech/v1"}}
    files: dict[str, object] = {
        "host.yaml": {
            "lesons": {},
            "lessons": {"learner_timeout": 5},
            "engines": {"tts": engine},
        },
        "tutors/one.yaml": tutor("automatic"),
        "tutors/two.yaml": tutor("automatic", plugin="conversation"),
        "tutors/named.yaml": tutor("automatic", plugin="pronunciation", agent_name="me"),
        "tutors/nameless.yaml": tutor("explicit"),
        "tutors/absent.yaml": tutor("explicit", plugin="nowhere", agent_name="absent"),
        "tutors/twin.yaml": tutor("explicit", plugin="absent", agent_name="absent"),
        "tutors/typo.yaml": tutor("explicit", agent_name="typo", max_jobs=3),
        "tutors/grammar.yaml": tutor("explicit", agent_name="grammar"),
    }
    write(tmp_path, files)
    said = refusal(
        tmp_path,
        LOQUA_ENVIRONMENT="production",
        PROD_AGENT_SECRET="a shared secret of 32 characters",
        API_BASE_URL="http://api.loqua.app",
        LIVEKIT_URL="ws://livekit.loqua.app",
        AGENT_JWT_TOKEN="",
        LIVEKIT_API_SECRET="",
        LIVEKIT_AGENT_NAME="everybody",
        LIVEKIT_AGENT_NAME_OVERRIDE="everybody",
        LOQUA_LESSONS__MAX_LESSONS="hunter2",
        LOQUA_LESONS__TICK_EVERY="20",
        LOQUA_LIVEKIT__API_SECRET="hunter2",
        LOQUA_TUTORS__GRAMMAR__MAX_CONCURRENT_JOBS="0",
    )
    expected = [
        ("AGENT_JWT_TOKEN", "is not set"),
        ("LIVEKIT_API_SECRET", "is not set"),
        ("LIVEKIT_AGENT_NAME", "would rename every tutor", "unset it"),
        ("LIVEKIT_AGENT_NAME_OVERRIDE",),
        ("LOQUA_LESSONS__MAX_LESSONS", "should be auto or an integer from 1"),
        ("LOQUA_LESONS__TICK_EVERY", "did you mean LOQUA_LESSONS__TICK_EVERY?"),
        ("LOQUA_LIVEKIT__API_SECRET", "did you mean LIVEKIT_API_SECRET?"),
        ("LOQUA_TUTORS__GRAMMAR__MAX_CONCURRENT_JOBS", "greater than or equal to 1"),
        ("API_BASE_URL", "LIVEKIT_URL", "is not encrypted"),
        (f"{tmp_path}/host.yaml: engines.tts.options.base_url", "write https:// or wss://"),
        (f"{tmp_path}/host.yaml: lesons", "is not a known key", "write lessons"),
        (f"{tmp_path}/host.yaml: lessons.learner_timeout", "30", "seconds to wait"),
        (f"{tmp_path}/tutors/", "worker_type", "would join every room", "worker_type: explicit"),
        (f"{tmp_path}/tutors/named.yaml: agent_name", "no agent name", "agent_name: null"),
        (f"{tmp_path}/tutors/nameless.yaml: agent_name", "an agent name", "nameless-specialist"),
        (f"{tmp_path}/tutors/absent.yaml: plugin", "'nowhere' is not installed", "install"),
        (f"{tmp_path}/tutors/twin.yaml: agent_name", "same agent_name 'absent'", "its own"),
        (f"{tmp_path}/tutors/typo.yaml: max_jobs", "is not a known key", "max_concurrent_jobs"),
    ]
    assert [part for parts in expected for part in parts if part not in said] == []
    assert said.count("write https:// or wss://") == 3
    assert [it for it in ("hunter2", "everybody", ENVIRON["DEV_AGENT_SECRET"]) if it in said] == []


def test_an_ops_address_open_to_a_network_refuses_the_start_without_a_token(
    tmp_path: Path,
) -> None:
    """In development too: networks are not asked what they are for."""
    anywhere = {"ops": {"address": "0.0.0.0"}}  # noqa: S104  # what is refused
    write(tmp_path, {"host.yaml": anywhere, "tutors/grammar.yaml": tutor("automatic")})
    said = refusal(tmp_path)
    assert "OPS_TOKEN" in said
    assert "ops.address: 127.0.0.1" in said


def test_a_start_that_waits_for_its_secrets_ends_when_told_to(tmp_path: Path) -> None:
    """By a handler of its own: the first process of a container has none by default."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    with socket.create_server(("127.0.0.1", 0)) as vault:
        vault.settimeout(60)
        url = f"http://127.0.0.1:{vault.getsockname()[1]}"
        secrets = {"from": "vault", "vault": {"url": url}}
        write(
            tmp_path, {"host.yaml": {"secrets": secrets}, "tutors/grammar.yaml": tutor("automatic")}
        )
        command = [sys.executable, "-m", "loqua_host", "run", "--config", str(tmp_path)]
        host = subprocess.Popen(command, env=kept | ENVIRON | {"VAULT_TOKEN": "a-token"})  # noqa: S603  # our own command
        try:
            asked, _ = vault.accept()
            with asked:
                host.terminate()
                assert host.wait(60) == 128 + signal.SIGTERM
        finally:
            host.kill()
            host.wait()

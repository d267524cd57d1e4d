"""The host's files with secrets, which jobs must not read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loqua_host.settings.load import load_settings
from loqua_host.settings.protected_paths import protected_files

VAULT = {"url": "https://vault.example", "login": "kubernetes", "role": "loqua"}


@pytest.mark.parametrize(
    ("settings", "variables", "files"),
    [
        ({}, {}, []),
        ({"secrets": {"from": "files"}}, {}, ["/run/secrets"]),
        ({"secrets": {"from": "files", "files": {"directory": "/mnt"}}}, {}, ["/mnt"]),
        (
            {"secrets": {"from": "vault", "vault": {**VAULT, "service_account": "/mnt/token"}}},
            {},
            ["/mnt/token"],
        ),
        ({"secrets": {"from": "vault", "vault": {**VAULT, "login": "token"}}}, {}, []),
        (
            {"secrets": {"from": "aws"}},
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/mnt/token", "AWS_REGION": "eu-west-1"},
            ["/mnt/token"],
        ),
    ],
)
def test_what_leads_to_secrets_is_protected(
    config: Path,
    environ: dict[str, str],
    settings: dict[str, Any],
    variables: dict[str, str],
    files: list[str],
) -> None:
    """Mounted secrets, and what logs the host in where its secrets are."""
    (config / "host.yaml").write_text(yaml.safe_dump(settings))
    loaded = load_settings(config, environ)
    assert list(protected_files(loaded, environ | variables)) == [Path(file) for file in files]

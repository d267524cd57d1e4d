"""The configured source of secrets, and the sources that need no service."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loqua_host.core.secrets import Secret, SecretsSettings, look_up, open_source
from loqua_host.errors import ConfigError, SecretsError


def settings(place: str, **section: Any) -> SecretsSettings:
    """Return the section `secrets:`."""
    return SecretsSettings.model_validate({"from": place, **({place: section} if section else {})})


def values(secret: Secret | None) -> list[str] | None:
    """Return a secret's values, newest first."""
    return secret and [value.get_secret_value() for value in secret.values()]


def test_files_give_a_secret_and_the_one_before(tmp_path: Path) -> None:
    """The files are read again each time; line ends are removed."""
    source = open_source(settings("files", directory=tmp_path), {})
    assert source.fetch("SHARED_SECRET") is None
    (tmp_path / "SHARED_SECRET").write_text("one\n")
    assert values(look_up(source, "SHARED_SECRET")) == ["one"]
    (tmp_path / "SHARED_SECRET").write_text("two")
    (tmp_path / "SHARED_SECRET_PREVIOUS").write_text("one")
    assert values(source.fetch("SHARED_SECRET")) == ["two", "one"]


def test_a_mounted_secret_is_followed_as_kubernetes_swaps_it(tmp_path: Path) -> None:
    """The whole directory is a link that is turned to another one."""
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "SHARED_SECRET").write_text(number)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "SHARED_SECRET").symlink_to("..data/SHARED_SECRET")
    source = open_source(settings("files", directory=tmp_path), {})
    assert values(source.fetch("SHARED_SECRET")) == ["1"]
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert values(source.fetch("SHARED_SECRET")) == ["2"]


@pytest.mark.parametrize("spoil", ["no directory", "a directory", "no text"])
def test_a_file_that_cannot_be_read_is_no_missing_secret(tmp_path: Path, spoil: str) -> None:
    """The last value is kept then, and the message holds none."""
    directory = tmp_path / "gone" if spoil == "no directory" else tmp_path
    if spoil == "a directory":
        (tmp_path / "SHARED_SECRET").mkdir()
    if spoil == "no text":
        (tmp_path / "SHARED_SECRET").write_bytes(b"\xffs3cret")
    source = open_source(settings("files", directory=directory), {})
    with pytest.raises(SecretsError, match=r"SHARED_SECRET (cannot be read|is no UTF-8)") as raised:
        source.fetch("SHARED_SECRET")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("place", ["azure", "vault"])
def test_a_source_that_needs_an_address_says_so(place: str) -> None:
    """At the start."""
    with pytest.raises(ValidationError, match=f"from: {place} needs a section {place}: with"):
        settings(place)


@pytest.mark.parametrize(
    ("login", "names"),
    [("token", ["VAULT_TOKEN"]), ("approle", ["VAULT_ROLE_ID", "VAULT_SECRET_ID"])],
)
def test_a_vault_needs_what_its_login_takes(login: str, names: list[str]) -> None:
    """From the environment, where nothing else of it is."""
    with pytest.raises(ConfigError) as refused:
        open_source(settings("vault", url="http://127.0.0.1:9", login=login), {})
    assert [problem.where for problem in refused.value.problems] == names


def test_a_login_by_kubernetes_needs_a_role() -> None:
    """At the start."""
    with pytest.raises(ValidationError, match="login: kubernetes needs role:"):
        settings("vault", url="http://127.0.0.1:9", login="kubernetes")


def test_a_service_account_without_a_token_is_reported(tmp_path: Path) -> None:
    """A pod may be configured to have none."""
    file = tmp_path / "token"
    section = {"url": "http://127.0.0.1:9", "role": "loqua", "service_account": file}
    source = open_source(settings("vault", login="kubernetes", **section), {})
    with pytest.raises(SecretsError, match=f"the vault: .*{file}"):
        source.fetch("SHARED_SECRET")


@pytest.mark.parametrize(
    ("place", "client"), [("aws", "boto3"), ("azure", "azure.keyvault.secrets"), ("vault", "hvac")]
)
def test_a_client_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, place: str, client: str
) -> None:
    """With the extra that brings it."""
    monkeypatch.delitem(sys.modules, f"loqua_host.core.secrets.{place}", raising=False)
    for name in [name for name in sys.modules if name == client or name.startswith(f"{client}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, client, None)
    url = {} if place == "aws" else {"url": "https://127.0.0.1:9"}
    with pytest.raises(ConfigError, match=rf"from: {place}: needs .*install loqua-host\[{place}\]"):
        open_source(settings(place, **url), {"VAULT_TOKEN": "t"})


def test_a_client_that_cannot_be_made_refuses_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as AWS's without a region."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"secrets: from: aws: .*region"):
        open_source(settings("aws"), {})


def test_a_clients_own_variables_leave_no_trace() -> None:
    """They are lent to it while it is made, and are in no environment afterwards."""
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "k", "SHARED_SECRET": "s"}
    before = dict(os.environ)
    source = open_source(settings("aws", region="eu-central-1"), environ)
    assert dict(os.environ) == before
    assert source._client._request_signer._credentials.access_key == "id"  # type: ignore[attr-defined]

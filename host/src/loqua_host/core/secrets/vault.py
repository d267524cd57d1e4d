"""Secrets from HashiCorp Vault or OpenBao: version 2 of its key-value engine."""

import logging
import os
from collections.abc import Sequence
from math import inf

import hvac
from hvac.exceptions import InvalidPath, VaultError
from pydantic import SecretStr

from loqua_host.core.clock import Clock
from loqua_host.errors import SecretsError

from .lookup import stripped
from .port import Sealed, Secret
from .settings import VaultSettings

__all__ = ["VaultSecrets"]

PATIENCE = 3.0
"""Maximum seconds for a response."""


class VaultSecrets:
    """Read the key `value` of each secret's current and previous version; stay logged in.

    Args:
        settings: Where the vault and the secrets in it are, and how to log in.
        credentials: What that takes: a token that may read them, which is renewed where it can
            be; role id and secret id; or nothing, where a service account's token is in a file.
        clock: At half of a login's life there is another.
    """

    place = "the vault"

    def __init__(
        self, settings: VaultSettings, credentials: Sequence[SecretStr], clock: Clock
    ) -> None:
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        self._settings = settings
        self._clock = clock
        self._credentials = [stripped(it.get_secret_value()) for it in credentials]
        self._renew_at: float | None = None
        self._client = hvac.Client(
            url=str(settings.url),
            timeout=PATIENCE,
            # A vault often has a certificate of its operator's own authority.
            verify=os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or True,
        )

    def fetch(self, variable: str) -> Secret | None:
        """Return the secret at prefix and variable.

        Raises:
            SecretsError: The vault is out of reach, or refuses.
        """
        try:
            self._stay_logged_in()
            current, version = self._read(variable, None)
            previous = self._read(variable, version - 1)[0] if version > 1 else None
        except (VaultError, OSError) as error:
            # The token may be revoked: log in again, which does no harm if it is not.
            self._renew_at = None
            raise SecretsError(f"{self.place}: {_plain(error)}") from None
        except (LookupError, TypeError):
            raise SecretsError(
                f"{self.place}: what {self._settings.url} says is no vault's answer"
            ) from None
        return Secret(current, previous) if current else None

    def _read(self, variable: str, version: int | None) -> tuple[Sealed | None, int]:
        try:
            answer = self._client.secrets.kv.v2.read_secret_version(
                path=self._settings.prefix + variable,
                version=version,
                mount_point=self._settings.mount,
                raise_on_deleted_version=True,
            )
        except InvalidPath:
            return None, 0
        text = str(answer["data"]["data"].get("value", ""))
        return Sealed(text) if text else None, answer["data"]["metadata"]["version"]

    def _stay_logged_in(self) -> None:
        now = self._clock.monotonic()
        if self._renew_at is None or now >= self._renew_at:
            life = self._log_in()
            self._renew_at = now + life / 2

    def _log_in(self) -> float:
        """Log in, or renew a token that was given; gives for how many seconds."""
        match self._settings.login:
            case "token":
                return self._renew()
            case "approle":
                role_id, secret_id = self._credentials
                mount = self._settings.login_mount or "approle"
                answer = self._client.auth.approle.login(role_id, secret_id, mount_point=mount)
            case "kubernetes":
                token = stripped(self._settings.service_account.read_text())
                mount = self._settings.login_mount or "kubernetes"
                role = self._settings.role
                answer = self._client.auth.kubernetes.login(role, token, mount_point=mount)
        return float(answer["auth"]["lease_duration"]) or inf

    def _renew(self) -> float:
        if self._renew_at is not None:
            return float(self._client.auth.token.renew_self()["auth"]["lease_duration"])
        [self._client.token] = self._credentials
        life = self._client.auth.token.lookup_self()["data"]
        return float(life["ttl"]) if life["renewable"] else inf


def _plain(error: Exception) -> str:
    """Return the reason without the request, which names paths and not values but is long."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

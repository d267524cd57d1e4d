"""Secrets from HashiCorp Vault or OpenBao: version 2 of its key-value engine."""

import logging
import os

import hvac
from hvac.exceptions import InvalidPath, VaultError
from pydantic import SecretStr
from requests.exceptions import RequestException

from loqua_host.core.clock import Clock
from loqua_host.core.secrets.port import Sealed, Secret
from loqua_host.core.secrets.settings import VaultPlace
from loqua_host.errors import SecretsError

__all__ = ["VaultSecrets"]

PATIENCE = 3.0
"""Seconds for one answer."""


class VaultSecrets:
    """Reads the key `value` of each secret, and of its version before; keeps the token alive.

    Args:
        settings: Where the vault and the secrets in it are.
        token: A token that may read them; renewed at half of its life, where it can be.
        clock: When that is.
    """

    place = "the vault"

    def __init__(self, settings: VaultPlace, token: SecretStr, clock: Clock) -> None:
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        self._settings = settings
        self._clock = clock
        self._renew_at: float | None = None
        self._client = hvac.Client(
            url=str(settings.url),
            token=token.get_secret_value(),
            timeout=PATIENCE,
            # A vault often has a certificate of its operator's own authority.
            verify=os.environ.get("SSL_CERT_FILE") or True,
        )

    def fetch(self, variable: str) -> Secret | None:
        """Give the secret at prefix and variable.

        Raises:
            SecretsError: The vault is out of reach, or refuses.
        """
        try:
            self._keep_token()
            current, version = self._read(variable, None)
            previous = self._read(variable, version - 1)[0] if version > 1 else None
        except (VaultError, RequestException) as error:
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
        text = str(answer["data"]["data"].get("value", "")).strip()
        return Sealed(text) if text else None, answer["data"]["metadata"]["version"]

    def _keep_token(self) -> None:
        now = self._clock.monotonic()
        if self._renew_at is None:
            life = self._client.auth.token.lookup_self()["data"]
            self._renew_at = now + life["ttl"] / 2 if life["renewable"] else float("inf")
        elif now >= self._renew_at:
            life = self._client.auth.token.renew_self()["auth"]
            self._renew_at = now + life["lease_duration"] / 2


def _plain(error: Exception) -> str:
    """Give the reason without the request, which names paths and not values but is long."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

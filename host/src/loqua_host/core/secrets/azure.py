"""Secrets from Azure Key Vault."""

import logging
from operator import attrgetter

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

from loqua_host.errors import SecretsError

from .port import Sealed, Secret
from .settings import AzureSettings

__all__ = ["AzureSecrets"]


class AzureSecrets:
    """Read each secret's newest version, and the enabled version before it.

    Args:
        settings: Which vault, and how its secrets are named.
        credential: Who asks; without one, whoever Azure's clients find: AZURE_* variables, a
            workload identity, the machine.
        options: Further ones of Azure's client.
    """

    place = "Azure Key Vault"

    def __init__(
        self,
        settings: AzureSettings,
        credential: TokenCredential | None = None,
        **options: object,
    ) -> None:
        for name in ("azure", "msal"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._prefix = settings.prefix
        self._client = SecretClient(
            str(settings.url),
            credential or DefaultAzureCredential(),
            connection_timeout=2,
            read_timeout=3,
            retry_total=1,
            **options,
        )

    def fetch(self, variable: str) -> Secret | None:
        """Return the secret named by prefix and variable, with hyphens for its underscores.

        Raises:
            SecretsError: Azure is out of reach, or refuses.
        """
        name = (self._prefix + variable).replace("_", "-")
        try:
            return self._read(name)
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise SecretsError(f"{self.place}: {error.message}") from None

    def _read(self, name: str) -> Secret | None:
        current = self._client.get_secret(name)
        versions = [
            version
            for version in self._client.list_properties_of_secret_versions(name)
            if version.enabled and version.version != current.properties.version
        ]
        if not current.value:
            return None
        previous = None
        if versions:
            newest = max(versions, key=attrgetter("created_on"))
            previous = self._client.get_secret(name, newest.version).value
        return Secret(Sealed(current.value), Sealed(previous) if previous else None)

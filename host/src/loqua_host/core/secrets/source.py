"""The choice of the secrets' source by the section `secrets:`."""

from collections.abc import Mapping
from typing import cast

from pydantic import SecretStr

from loqua_host.core.clock import SystemClock
from loqua_host.errors import ConfigError, Problem, SecretsError
from loqua_host.system.environment import temporary_environ

from .environment import EnvironmentSecrets
from .files import FileSecrets
from .port import SecretsSource
from .settings import SecretsSettings, VaultSettings

__all__ = ["VAULT_LOGIN_PREFIXES", "open_source"]

VAULT_LOGIN_PREFIXES = ("AWS_", "AZURE_", "IDENTITY_", "MSI_")
"""The variables with the identity of vaults' clients."""

VAULT_LOGINS = {
    "token": ("VAULT_TOKEN",),
    "approle": ("VAULT_ROLE_ID", "VAULT_SECRET_ID"),
    "kubernetes": (),
}
"""The variables of each login method of a vault."""


def open_source(settings: SecretsSettings, environ: Mapping[str, str]) -> SecretsSource:
    """Return the place that the settings name.

    Raises:
        ConfigError: The client for that place is not installed, or cannot be made.
    """
    match settings.place:
        case "environment":
            return EnvironmentSecrets(environ)
        case "files":
            return FileSecrets(settings.files.directory)
    where = f"secrets: from: {settings.place}"
    try:
        with temporary_environ(environ, *VAULT_LOGIN_PREFIXES):
            return _connect(settings, environ)
    except ModuleNotFoundError as error:
        hint = f"install loqua-host[{settings.place}]"
        raise ConfigError([Problem(where, f"needs {error.name}", hint)]) from None
    except SecretsError as error:
        hint = f"fix the section {settings.place}: or the client's variables"
        raise ConfigError([Problem(where, str(error), hint)]) from None
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  # clients of vaults raise what they like
        what = f"the client cannot be created ({type(error).__name__})"
        hint = f"fix the section {settings.place}: or the client's variables"
        raise ConfigError([Problem(where, what, hint)]) from None


def _connect(settings: SecretsSettings, environ: Mapping[str, str]) -> SecretsSource:
    # Each client is an extra, and slow to import.
    if settings.place == "aws":
        from .aws import AwsSecrets  # noqa: PLC0415

        return AwsSecrets(settings.aws)
    if settings.place == "azure" and settings.azure:
        from .azure import AzureSecrets  # noqa: PLC0415

        return AzureSecrets(settings.azure)
    from .vault import VaultSecrets  # noqa: PLC0415

    vault = cast("VaultSettings", settings.vault)  # the settings' validation ensures it
    needed = VAULT_LOGINS[vault.login]
    hint = f"set this environment variable, which login: {vault.login} takes"
    problems = [Problem(it, "is not set", hint) for it in needed if not environ.get(it)]
    if problems:
        raise ConfigError(problems)
    return VaultSecrets(vault, [SecretStr(environ[it]) for it in needed], SystemClock())

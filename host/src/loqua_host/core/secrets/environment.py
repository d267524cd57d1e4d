"""Secrets from environment variables."""

from collections.abc import Mapping

from loqua_host.errors import ConfigError, Problem

from .lookup import stripped
from .port import CoreSecret, Sealed, Secret

__all__ = ["EnvironmentSecrets"]


class EnvironmentSecrets:
    """Read variables such as `SHARED_SECRET` and `SHARED_SECRET_PREVIOUS`.

    Taking a copy lets the process scrub its environment afterwards.
    """

    place = "the environment"

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = {variable: stripped(value) for variable, value in environ.items()}
        self._values = {variable: Sealed(value) for variable, value in values.items() if value}

    def fetch(self, variable: str) -> Secret | None:
        """Return the variable's value and that of its `_PREVIOUS`."""
        current = self._values.get(variable)
        return Secret(current, self._values.get(f"{variable}_PREVIOUS")) if current else None

    async def read(self, name: CoreSecret, *, fresh: bool = False) -> Secret:  # noqa: ARG002  # the port's; a copy never changes
        """Return the secret that has the name's own variable.

        Raises:
            ConfigError: The variable is unset or empty.
        """
        secret = self.fetch(name)
        if secret is None:
            hint = f"set the environment variable {name} to the value the Loqua admin gave you"
            raise ConfigError([Problem(name.value, "is not set", hint)])
        return secret

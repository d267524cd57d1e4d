"""Secrets from environment variables."""

from collections.abc import Mapping

from loqua_host.core.secrets.port import Sealed, Secret, SecretName
from loqua_host.errors import ConfigError, Problem

__all__ = ["EnvironmentSecrets"]


class EnvironmentSecrets:
    """Reads `SHARED_SECRET` and its like once, with `SHARED_SECRET_PREVIOUS` beside it.

    Taking a copy lets the process scrub its environment afterwards.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = {
            variable: Sealed(environ[variable].strip())
            for name in SecretName
            for variable in (name.value, f"{name}_PREVIOUS")
            if environ.get(variable, "").strip()
        }

    async def read(self, name: SecretName) -> Secret:
        """Give the variable's value and that of its `_PREVIOUS`.

        Raises:
            ConfigError: The variable is unset or empty.
        """
        current = self._values.get(name.value)
        if current is None:
            mend = f"set the environment variable {name} to the value the Loqua admin gave you"
            raise ConfigError([Problem(name.value, "is not set", mend)])
        return Secret(current, self._values.get(f"{name}_PREVIOUS"))

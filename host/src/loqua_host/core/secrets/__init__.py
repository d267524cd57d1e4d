"""Where secrets come from: a port, and the environment as its first provider."""

from loqua_host.core.secrets.environment import EnvironmentSecrets
from loqua_host.core.secrets.port import Sealed, Secret, SecretName, SecretsPort

__all__ = ["EnvironmentSecrets", "Sealed", "Secret", "SecretName", "SecretsPort"]

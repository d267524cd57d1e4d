"""Secrets from AWS Secrets Manager."""

import logging
import os

from boto3.session import Session
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from loqua_host.errors import SecretsError

from .port import Sealed, Secret
from .settings import AwsSettings

__all__ = ["AwsSecrets"]

PATIENCE = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})


class AwsSecrets:
    """Read each secret's staging labels AWSCURRENT and AWSPREVIOUS.

    Credentials come from where AWS's clients look: AWS_* variables, roles, the machine.

    Raises:
        SecretsError: What config and those variables say together makes no client.
    """

    place = "AWS Secrets Manager"

    def __init__(self, settings: AwsSettings) -> None:
        # Its debug log has the answers in full.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        self._prefix = settings.prefix
        endpoint = str(settings.endpoint) if settings.endpoint else None
        try:
            session = Session(region_name=settings.region)
            self._client = session.client(
                "secretsmanager",
                endpoint_url=endpoint,
                config=PATIENCE,
                verify=os.environ.get("SSL_CERT_FILE"),
            )
        except BotoCoreError as error:
            raise SecretsError(f"{self.place}: {error}") from None

    def fetch(self, variable: str) -> Secret | None:
        """Return the secret named by prefix and variable.

        Raises:
            SecretsError: AWS is out of reach, or refuses.
        """
        current = self._value(variable, "AWSCURRENT")
        return Secret(current, self._value(variable, "AWSPREVIOUS")) if current else None

    def _value(self, variable: str, stage: str) -> Sealed | None:
        try:
            answer = self._client.get_secret_value(
                SecretId=self._prefix + variable, VersionStage=stage
            )
        except self._client.exceptions.ResourceNotFoundException:
            return None
        except (BotoCoreError, ClientError) as error:
            raise SecretsError(f"{self.place}: {error}") from None
        text: str = answer.get("SecretString", "")
        return Sealed(text) if text else None

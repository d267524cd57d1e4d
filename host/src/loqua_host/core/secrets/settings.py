"""The section `secrets:` of config/host.yaml: the source of the secrets."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    model_validator,
)

from loqua_host.system.addresses import WEB, normalise

__all__ = [
    "Address",
    "AwsSettings",
    "AzureSettings",
    "FilesSettings",
    "SecretsSettings",
    "VaultSettings",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _normalise(address: object) -> object:
    return normalise(address, WEB) if isinstance(address, str) else address


Address = Annotated[HttpUrl, BeforeValidator(_normalise)]
"""An HTTP address; it may have a path."""

Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.-]*$", max_length=128)]


class FilesSettings(BaseModel):
    """Secrets in mounted files."""

    model_config = _FROZEN

    directory: Path = Field(
        default=Path("/run/secrets"), description="the directory with one file per secret"
    )


class AwsSettings(BaseModel):
    """AWS Secrets Manager."""

    model_config = _FROZEN

    region: str | None = Field(default=None, description="the region, or null for AWS_REGION")
    prefix: Prefix = Field(
        default="", description="the prefix of the secrets' names, such as loqua/"
    )
    endpoint: Address | None = Field(
        default=None, description="the address of a private endpoint, or null for the region's own"
    )


class AzureSettings(BaseModel):
    """Azure Key Vault."""

    model_config = _FROZEN

    url: Address = Field(description="the vault's address, such as https://loqua.vault.azure.net")
    prefix: Prefix = Field(
        default="", description="the prefix of the secrets' names, such as loqua-"
    )


class VaultSettings(BaseModel):
    """HashiCorp Vault or OpenBao."""

    model_config = _FROZEN

    url: Address = Field(description="the vault's address, such as https://vault.loqua.app:8200")
    mount: Prefix = Field(
        default="secret", description="the mount path of the key-value secrets engine"
    )
    prefix: Prefix = Field(
        default="loqua/", description="the prefix of the secrets' paths, such as loqua/"
    )
    login: Literal["token", "approle", "kubernetes"] = Field(
        default="token",
        description="token with VAULT_TOKEN, approle with VAULT_ROLE_ID and VAULT_SECRET_ID, or "
        "kubernetes with the service account's token",
    )
    login_mount: Prefix | None = Field(
        default=None, description="the mount path of the auth method, or null for its default"
    )
    role: str | None = Field(default=None, description="the role for login: kubernetes")
    service_account: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        description="the file with the service account's token, for login: kubernetes",
    )

    @model_validator(mode="after")
    def _has_its_role(self) -> Self:
        if self.login == "kubernetes" and not self.role:
            raise ValueError("login: kubernetes needs role:, the host's role in the vault")
        return self


class SecretsSettings(BaseModel):
    """The source of the host's secrets, and how often to check for rotated ones."""

    model_config = _FROZEN

    place: Literal["environment", "files", "aws", "azure", "vault"] = Field(
        default="environment",
        alias="from",
        description="environment, files, aws, azure or vault",
    )
    interval: float = Field(
        default=60,
        ge=1,
        le=3600,
        description="seconds between checks for rotated secrets, 1 to 3600",
    )
    files: FilesSettings = Field(default=FilesSettings(), description="the mounted secrets")
    aws: AwsSettings = Field(default=AwsSettings(), description="AWS Secrets Manager")
    azure: AzureSettings | None = Field(
        default=None, description="the section azure: with its url:"
    )
    vault: VaultSettings | None = Field(
        default=None, description="the section vault: with its url:"
    )

    @model_validator(mode="after")
    def _has_location(self) -> Self:
        if self.place in ("azure", "vault") and getattr(self, self.place) is None:
            raise ValueError(f"from: {self.place} needs a section {self.place}: with url:")
        return self

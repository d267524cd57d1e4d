"""The section `secrets:` of config/host.yaml: where secrets are, never what they are."""

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
"""Where something is reached over HTTP; a path is kept."""

Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.-]*$", max_length=128)]


class FilesSettings(BaseModel):
    """Mounted secrets."""

    model_config = _FROZEN

    directory: Path = Field(
        default=Path("/run/secrets"), description="the directory with a file for each secret"
    )


class AwsSettings(BaseModel):
    """AWS Secrets Manager."""

    model_config = _FROZEN

    region: str | None = Field(default=None, description="the region, or null for AWS_REGION")
    prefix: Prefix = Field(
        default="", description="what the secrets' names begin with, such as loqua/"
    )
    endpoint: Address | None = Field(
        default=None, description="a private endpoint's address, or null for the region's own"
    )


class AzureSettings(BaseModel):
    """Azure Key Vault."""

    model_config = _FROZEN

    url: Address = Field(description="the vault's address, such as https://loqua.vault.azure.net")
    prefix: Prefix = Field(
        default="", description="what the secrets' names begin with, such as loqua-"
    )


class VaultSettings(BaseModel):
    """HashiCorp Vault or OpenBao."""

    model_config = _FROZEN

    url: Address = Field(description="the vault's address, such as https://vault.loqua.app:8200")
    mount: Prefix = Field(default="secret", description="where the key-value engine is mounted")
    prefix: Prefix = Field(
        default="loqua/", description="what the secrets' paths begin with, such as loqua/"
    )
    login: Literal["token", "approle", "kubernetes"] = Field(
        default="token",
        description="token by VAULT_TOKEN, approle by VAULT_ROLE_ID and VAULT_SECRET_ID, or "
        "kubernetes by the service account's own token",
    )
    login_mount: Prefix | None = Field(
        default=None, description="where that way to log in is mounted, or null for its usual place"
    )
    role: str | None = Field(default=None, description="the role of a login by kubernetes")
    service_account: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        description="the file with the service account's token, for a login by kubernetes",
    )

    @model_validator(mode="after")
    def _has_its_role(self) -> Self:
        if self.login == "kubernetes" and not self.role:
            raise ValueError("login: kubernetes needs a role: that the vault has for the host")
        return self


class SecretsSettings(BaseModel):
    """Where the host's secrets are, and how often it looks for a change."""

    model_config = _FROZEN

    place: Literal["environment", "files", "aws", "azure", "vault"] = Field(
        default="environment",
        alias="from",
        description="environment, files, aws, azure or vault",
    )
    interval: float = Field(
        default=60, ge=1, le=3600, description="seconds between two look-ups, 1 to 3600"
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
    def _is_told_where(self) -> Self:
        if self.place in ("azure", "vault") and getattr(self, self.place) is None:
            raise ValueError(f"from: {self.place} needs a section {self.place}: with a url:")
        return self

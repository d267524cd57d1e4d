"""The section `regions:` of config/host.yaml."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from .section import Section

__all__ = ["RegionSettings"]

RegionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class RegionSettings(Section):
    """The active and the standby region."""

    here: RegionName = Field(
        description="the region of this host, primary or secondary; LOQUA_REGIONS__HERE sets it"
    )
    primary: RegionName = Field(description="the region that is active at first, such as eu-west-1")
    secondary: RegionName = Field(description="the standby region, such as eu-central-1")
    failover_after: float | None = Field(
        default=60,
        ge=30,
        le=3600,
        description="seconds without a ready host in the active region before the other one "
        "becomes active, 30 to 3600, or null for manual failover only",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.primary == self.secondary:
            raise ValueError("primary and secondary should be two regions")
        if self.here not in {self.primary, self.secondary}:
            raise ValueError(f"here should be {self.primary} or {self.secondary}")
        return self

"""Settings from several sources: environment variables, `.env`, files."""

from typing import Any, Self

from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

__all__ = ["LayeredSettings"]


class LayeredSettings(BaseSettings):
    """Settings that are read only from the sources passed to `read`.

    The environment of this process is not a source: a running host has emptied it, and tests
    create settings directly.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        case_sensitive=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings' own signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, highest precedence first: arguments of `read`, then `sources`."""
        sources: tuple[PydanticBaseSettingsSource, ...] = ()
        if isinstance(init_settings, InitSettingsSource):
            sources = init_settings.init_kwargs.pop("sources", ())
        return init_settings, *sources

    @classmethod
    def read(cls, sources: tuple[PydanticBaseSettingsSource, ...], **known: Any) -> Self:
        """Return the settings of these sources, merged.

        Args:
            sources: The sources, highest precedence first; mappings are merged.
            known: Values of the fields that no source may set.

        Raises:
            ValidationError: With every mistake.
        """
        written: dict[str, Any] = known | {"sources": sources}
        return cls(**written)

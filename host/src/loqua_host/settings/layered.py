"""Settings that several sources give together: variables, `.env`, files."""

from typing import Any, Self

from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

__all__ = ["LayeredSettings"]


class LayeredSettings(BaseSettings):
    """Settings that are read from the sources they are given, and from nothing else.

    This process's environment is none of them: a running host has emptied it, and whoever makes
    settings by hand means what they write.
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
        """Return the sources, strongest first: what is passed to `read`, then `sources`."""
        sources: tuple[PydanticBaseSettingsSource, ...] = ()
        if isinstance(init_settings, InitSettingsSource):
            sources = init_settings.init_kwargs.pop("sources", ())
        return init_settings, *sources

    @classmethod
    def read(cls, sources: tuple[PydanticBaseSettingsSource, ...], **known: Any) -> Self:
        """Return the settings that these sources say together.

        Args:
            sources: Where the settings are written, strongest first; mappings merge.
            known: What no source may say.

        Raises:
            ValidationError: With every mistake.
        """
        written: dict[str, Any] = known | {"sources": sources}
        return cls(**written)

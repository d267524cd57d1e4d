"""Reading and inspection of the whole configuration, at the start and at reloads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loqua_host.errors import ConfigError, Problem
from loqua_host.registry.inspection import Inspection, inspect_tutors, version_of
from loqua_host.settings.directories import directory_problems
from loqua_host.settings.host import HostSettings
from loqua_host.settings.load import draft
from loqua_host.settings.protected_paths import protected_files
from loqua_host.settings.secrets import HostSecrets, WantedSecrets, read_secrets
from loqua_host.settings.sources import read_sources

__all__ = ["Configuration", "Configured", "PluginVersions", "machine_problems"]

PluginVersions = Mapping[str, str | None]
"""The version of the distribution that each tutor's plugin comes with, by the tutor's name."""


def machine_problems(
    config: Path, environ: Mapping[str, str], settings: HostSettings, secrets: HostSecrets
) -> Iterator[Problem]:
    """Find what this machine lacks for a valid configuration."""
    where = read_sources(config, environ).host.where
    in_file = secrets.ledger_url is None
    return directory_problems(settings, environ, where, in_file=in_file)


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration and the inspections of its tutors."""

    written: HostSettings
    secrets: HostSecrets
    inspections: tuple[Inspection, ...]

    @property
    def problems(self) -> tuple[tuple[str, Problem], ...]:
        """The problems of the enabled tutors' plugins, each with the tutor's name."""
        return tuple((one.name, problem) for one in self.inspections for problem in one.problems)

    @property
    def sound(self) -> HostSettings:
        """The settings with only the enabled tutors that have no problems."""
        refused = {name for name, _ in self.problems}
        enabled = self.written.enabled_tutors
        tutors = tuple(tutor for tutor in enabled if tutor.name not in refused)
        return self.written.model_copy(update={"tutors": tutors})

    @property
    def versions(self) -> PluginVersions:
        """The versions of the inspected plugins."""
        return {one.name: one.version for one in self.inspections}


@dataclass(frozen=True, slots=True)
class Configuration:
    """config/ and the environment that the host was started with."""

    path: Path
    environ: Mapping[str, str] = field(repr=False)

    def read(self) -> tuple[HostSettings, HostSecrets]:
        """Read settings and secrets; this blocks while the source of the secrets responds.

        Raises:
            ConfigError: With all problems of both.
        """
        drafted = draft(self.path, self.environ)
        try:
            secrets = read_secrets(self.path, self.environ, WantedSecrets.by(drafted.settings))
        except ConfigError as error:
            raise ConfigError([*drafted.problems, *error.problems]) from None
        if drafted.settings is None or drafted.problems:
            raise ConfigError(list(drafted.problems))
        if problems := [*machine_problems(self.path, self.environ, drafted.settings, secrets)]:
            raise ConfigError(problems)
        return drafted.settings, secrets

    def advice(self, secrets: HostSecrets) -> tuple[Problem, ...]:
        """List the warnings, which do not prevent the start."""
        return (*draft(self.path, self.environ).advice, *secrets.advice)

    async def inspect(self, settings: HostSettings, secrets: HostSecrets) -> Configured:
        """Inspect the enabled tutors' plugins, each in a child process without secrets."""
        tutors = settings.enabled_tutors
        protected = self.protected(settings)
        found = await inspect_tutors(
            self.path, self.environ, tutors, settings.engines, protected=protected
        )
        return Configured(settings, secrets, found)

    def protected(self, settings: HostSettings) -> tuple[Path, ...]:
        """List the files that no process with a tutor's code may read."""
        return tuple(protected_files(settings, self.environ))

    def versions(self, settings: HostSettings) -> PluginVersions:
        """Return which versions of the enabled tutors' plugins are installed now."""
        return {tutor.name: version_of(tutor) for tutor in settings.enabled_tutors}

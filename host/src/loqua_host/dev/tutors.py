"""The choice of the tutors that the demo can run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loqua_host.errors import ConfigError, Problem
from loqua_host.registry.inspection import inspect_tutors
from loqua_host.settings.load import Draft, draft
from loqua_host.settings.tutors import TutorSettings, engine_secrets

__all__ = ["DemoTutors", "choose_tutors"]


@dataclass(frozen=True, slots=True)
class DemoTutors:
    """The tutors of config/tutors that the demo runs, and the others.

    Attributes:
        running: The tutors that can run here.
        left_out: Why each of the others cannot, by its name.
        variables: What config grants to the running ones and to engines.
    """

    running: tuple[TutorSettings, ...]
    left_out: Mapping[str, str]
    variables: Mapping[str, str] = field(repr=False)


async def choose_tutors(
    config: Path, environ: Mapping[str, str], given: Mapping[str, str]
) -> DemoTutors:
    """Remove the tutors that cannot run here from a copy of config/.

    Args:
        config: The copy.
        environ: The environment that the host is to have.
        given: Where the variables are that config grants to tutors and engines.

    Raises:
        ConfigError: Something is wrong with more than a tutor.
    """
    drafted = draft(config, environ)
    left_out = dict(_mistaken(config, drafted.problems))
    left_out |= {it.name: what for it in drafted.tutors if (what := _unset(it, given))}
    left_out |= await _refused(config, environ, drafted, left_out)
    for name in left_out:
        (config / "tutors" / f"{name}.yaml").unlink()
    running = tuple(it for it in drafted.tutors if it.enabled and it.name not in left_out)
    if running and (problems := draft(config, environ).problems):
        raise ConfigError(list(problems))
    shared = engine_secrets(drafted.settings.engines) if drafted.settings else frozenset[str]()
    granted = shared.union(*(tutor.secret_names for tutor in running))
    return DemoTutors(running, left_out, {name: given[name] for name in granted & given.keys()})


def _mistaken(config: Path, problems: Iterable[Problem]) -> Iterator[tuple[str, str]]:
    for file in (config / "tutors").glob("*.yaml"):
        for problem in problems:
            if problem.where.partition(": ")[0] == str(file):
                yield file.stem, str(problem)


def _unset(tutor: TutorSettings, given: Mapping[str, str]) -> str:
    unset = sorted(tutor.secret_names - given.keys()) if tutor.enabled else []
    return f"{' and '.join(unset)} not set" if unset else ""


async def _refused(
    config: Path, environ: Mapping[str, str], drafted: Draft, known: Mapping[str, str]
) -> dict[str, str]:
    if drafted.settings is None:
        return {}
    tutors = [tutor for tutor in drafted.tutors if tutor.enabled and tutor.name not in known]
    found = await inspect_tutors(config, environ, tutors, drafted.settings.engines)
    return {one.name: str(one.problems[0]) for one in found if one.problems}

"""Detection of a newly installed version."""

from importlib import metadata

import pytest

from loqua_host.system.installed import RUNNING, installed_over


def test_nothing_is_installed_over_a_host_at_its_start() -> None:
    """The installed version runs."""
    assert installed_over() is None


@pytest.mark.parametrize(
    ("found", "reported"),
    [
        pytest.param("9.0.0", "9.0.0", id="another-version"),
        pytest.param(RUNNING, None, id="the-same-again"),
        pytest.param(None, "nothing", id="while-it-is-being-installed"),
    ],
)
def test_the_version_that_is_there_now_counts(
    monkeypatch: pytest.MonkeyPatch, found: str | None, reported: str | None
) -> None:
    """Jobs would import from it."""

    def version(name: str) -> str:
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)
    assert installed_over() == reported

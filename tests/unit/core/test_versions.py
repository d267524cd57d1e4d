"""Which version is spoken, and what is made of its end."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from loqua_host.core.versions import Versions


@pytest.fixture
def versions() -> Versions:
    """Return a client that speaks a second version too."""
    return Versions(("v2", "v1"))


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (None, "v1"),
        ("", "v1"),
        ("v1", "v1"),
        ("v1, v2", "v2"),
        ("v2", "v2"),
        ("v3, v2", "v2"),
        ("v3", "v1"),
        ("v20", "v1"),
        ("nonsense", "v1"),
    ],
)
def test_the_best_that_both_speak_is_used(
    versions: Versions, offered: str | None, spoken: str
) -> None:
    """The API's offer decides; without one it stays v1."""
    versions.handle("v1", {} if offered is None else {"api-supported-versions": offered})
    assert versions.current == spoken


def test_an_offer_taken_back_is_followed(versions: Versions) -> None:
    """A rollback of the API brings the client back to v1; silence changes nothing."""
    versions.handle("v1", {"api-supported-versions": "v1, v2"})
    versions.handle("v2", {})
    assert versions.current == "v2"
    versions.handle("v2", {"api-supported-versions": "v1"})
    assert versions.current == "v1"


def test_the_client_names_what_it_speaks(versions: Versions) -> None:
    """Best first."""
    assert versions.accept == "v2, v1"


def test_this_client_speaks_v1() -> None:
    """There is no other yet."""
    assert Versions().accept == "v1"


def test_the_end_of_a_version_is_one_warning(versions: Versions, logs: list[Any]) -> None:
    """A thousand answers are one line, with the date; another version's end is another."""
    notice = {"deprecation": "@1688169599", "sunset": "Sat, 31 Dec 2027 23:59:59 GMT"}
    for _ in range(1000):
        versions.handle("v1", notice)
    versions.handle("v2", {})
    (line,) = logs
    assert line == {
        "event": "api.deprecated",
        "log_level": "warning",
        "version": "v1",
        "deprecation": "2023-06-30",
        "sunset": "2027-12-31",
    }
    versions.handle("v2", notice)
    assert len(logs) == 2


@pytest.mark.parametrize("name", ["deprecation", "sunset"])
def test_either_header_alone_is_enough(versions: Versions, logs: list[Any], name: str) -> None:
    """The field that did not come is None."""
    versions.handle("v1", {name: "true"})
    (line,) = logs
    assert line[name] == "true"
    assert [line["deprecation"], line["sunset"]].count(None) == 1


@given(st.text() | st.integers().map("@{}".format))
@example("@99999999999")
@example("Fri, 31 Dec 9999 23:59:59 -1200")
def test_no_header_whatever_breaks_the_warning(header: str) -> None:
    """Fuzzed: the day it names, or its words."""
    with capture_logs() as logs:
        Versions().handle("v1", {"sunset": header, "deprecation": "true"})
    assert logs[0]["deprecation"] == "true"

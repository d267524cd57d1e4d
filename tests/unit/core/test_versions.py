"""Negotiation of the API's version, and announcements of its end."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from loqua_host.core.versions import Versions, VersionStatus


def handle(
    versions: Versions, version: str, headers: dict[str, str], *, status: int = 200, now: float = 0
) -> bool:
    """Take in an answer; return whether its call has to be made in another version."""
    return versions.handle(version, status, headers, now)


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
    handle(versions, "v1", {} if offered is None else {"api-supported-versions": offered})
    assert versions.current == spoken


def test_an_offer_taken_back_is_followed(versions: Versions) -> None:
    """A rollback of the API brings the client back to v1; silence changes nothing."""
    handle(versions, "v1", {"api-supported-versions": "v1, v2"})
    handle(versions, "v2", {})
    assert versions.current == "v2"
    handle(versions, "v2", {"api-supported-versions": "v1"})
    assert versions.current == "v1"


def test_the_client_names_what_it_speaks(versions: Versions) -> None:
    """Best first."""
    assert versions.accept == "v2, v1"


def test_a_version_that_is_gone_is_left(versions: Versions) -> None:
    """Also without a word on what else there is; a second end leads nowhere."""
    assert handle(versions, "v1", {}, status=410)
    assert versions.current == "v2"
    assert handle(versions, "v2", {"api-supported-versions": "v3"}, status=404)
    assert versions.current == "v1"


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        pytest.param(404, "", id="nothing is said of versions"),
        pytest.param(404, "v1, v2", id="the version is offered"),
        pytest.param(410, "v1", id="what is gone is something else"),
        pytest.param(200, "v2", id="the call was processed"),
        pytest.param(500, "v2", id="it may have been processed"),
    ],
)
def test_a_call_is_not_made_again(versions: Versions, status: int, offered: str) -> None:
    """Unless the API lacks its version."""
    headers = {"api-supported-versions": offered}
    assert not handle(versions, "v1", headers, status=status)


def test_the_end_of_a_version_is_one_warning(versions: Versions, logs: list[Any]) -> None:
    """A thousand answers are one line, with the date; another version's end is another."""
    notice = {"deprecation": "@1688169599", "sunset": "Sat, 31 Dec 2027 23:59:59 GMT"}
    for _ in range(1000):
        handle(versions, "v1", notice)
    handle(versions, "v2", {"api-supported-versions": "v1, v2"})
    (line,) = logs
    assert line == {
        "event": "api.deprecated",
        "log_level": "warning",
        "version": "v1",
        "deprecation": "2023-06-30",
        "sunset": "2027-12-31",
    }
    handle(versions, "v2", notice)
    assert len(logs) == 2


def test_in_the_last_month_the_warning_is_daily(versions: Versions, logs: list[Any]) -> None:
    """From 30 days ahead on, and after the end as long as the API still answers."""
    end = datetime(2027, 12, 31, tzinfo=UTC)
    notice = {"deprecation": "@1814313600", "sunset": format_datetime(end, usegmt=True)}
    hours = range(-183 * 24, 2 * 24)
    days = []
    for hour in hours:
        handle(versions, "v1", notice, now=(end + timedelta(hours=hour)).timestamp())
        if logs:
            days.append(hour / 24)
            logs.clear()
    assert days == [-183.0, *map(float, range(-30, 2))]


def test_the_status_is_of_the_version_in_use(versions: Versions) -> None:
    """A host that has moved on has nothing to fear."""
    handle(versions, "v1", {"sunset": "@1830211200", "api-supported-versions": "v1"})
    assert versions.status == VersionStatus("v1", deprecated=True, sunset=1_830_211_200)
    handle(versions, "v1", {"api-supported-versions": "v1, v2"})
    assert versions.status == VersionStatus("v2")


@pytest.mark.parametrize("name", ["deprecation", "sunset"])
def test_either_header_alone_is_enough(versions: Versions, logs: list[Any], name: str) -> None:
    """The field that did not come is None."""
    handle(versions, "v1", {name: "true"})
    (line,) = logs
    assert line[name] == "true"
    assert [line["deprecation"], line["sunset"]].count(None) == 1


@given(st.text() | st.integers().map("@{}".format))
@example("@99999999999")
@example("Fri, 31 Dec 9999 23:59:59 -1200")
def test_no_header_whatever_breaks_the_warning(header: str) -> None:
    """Fuzzed: the day it names, or its words."""
    with capture_logs() as logs:
        handle(Versions(), "v1", {"sunset": header, "deprecation": "true"})
    assert logs[0]["deprecation"] == "true"

"""The session id of a lesson, from its learner."""

import pytest
import structlog
from tests.unit.lessons.host_under_test import MARIA, HostUnderTest, finish, join, learner, receive

from loqua_host.contract.records import Progress
from loqua_host.core import wire
from loqua_host.link.messages import Checkpoint, Recorded
from loqua_host.link.server import JobRef


async def test_two_tutors_of_one_visit_have_records_of_their_own(host: HostUnderTest) -> None:
    """The specialist's lesson adds its name, and acts as its own agent."""
    grammar = JobRef("other", "room", "grammar")
    async with host.job() as first, host.job(grammar) as second:
        assert (await join(first)).session_id == "sess_1"
        welcome = await join(second)
        assert (welcome.session_id, welcome.visit) == ("sess_1.grammar-expert", "sess_1")
        assert (welcome.agent_id, welcome.secrets) == ("loqua-grammar", {})
        for link in (first, second):
            await link.send(finish())
            assert await receive(link) == Recorded()
    await host.delivered()
    assert len(host.loqua.records) == 2


@pytest.mark.parametrize(
    "visit",
    [
        "sess_1736523000000_x1",
        "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}",
        "-",
        " a b ",
        "../../etc?x=1#y",
        "a\N{NO-BREAK SPACE}b",
        "урок №5 👩\N{ZERO WIDTH JOINER}🏫",
        "x" * 512,
        "é" * 512,
        '"; DROP TABLE lesson; --',
        "42",
    ],
)
async def test_a_session_id_of_any_form_reaches_the_api_unchanged(
    host: HostUnderTest, visit: str
) -> None:
    """And a second lesson's, with the tutor's name besides."""
    host.rooms.inside["room"] = [learner(attributes={"user_id": "maria", "sessionId": visit})]
    for expected in (visit, f"{visit}.conversation"):
        async with host.job() as link:
            assert (await join(link)).session_id == expected
            await link.send(Checkpoint(seconds=1, progress=Progress()))
            await link.send(finish())
            assert await receive(link) == Recorded()
        await host.delivered()
        assert host.loqua.records[-1].session_id == expected
        assert expected in host.loqua.sent
        wire.session_request(MARIA, host.loqua.records[-1], "key", repeatable=False)
        wire.progress_request(MARIA, expected, "completed", Progress(), "key")


@pytest.mark.parametrize(
    ("visit", "why"),
    [
        ("x" * 513, "has more than 512 characters"),
        ("x" * 5000, "has more than 512 characters"),
        ("  ", "is blank"),
        ("a\nb", "has control characters"),
        ("a\0b", "has control characters"),
        ("a\n", "has control characters"),
        ("\x1b[2J", "has control characters"),
        ("a\u2028b", "has control characters"),
        ("a\u202eb", "has control characters"),
        ("a\x85b", "has control characters"),
    ],
)
async def test_a_session_id_that_cannot_be_sent_is_replaced_and_named(
    host: HostUnderTest, visit: str, why: str
) -> None:
    """The log says which attribute and why, and not what was in it."""
    host.rooms.inside["room"] = [learner(attributes={"user_id": "maria", "sessionId": visit})]
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            assert (await join(link)).visit.startswith("visit_")
    [refused] = [log for log in logs if log["event"] == "attribute.refused"]
    assert (refused["attribute"], refused["log_level"]) == ("sessionId", "warning")
    assert refused["why"].startswith(why)
    assert visit not in str(refused)


async def test_a_learner_without_a_session_id_is_given_one_without_a_word(
    host: HostUnderTest,
) -> None:
    """The guide has hosts generate it."""
    host.rooms.inside["room"] = [learner(attributes={"user_id": "maria"})]
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            assert (await join(link)).visit.startswith("visit_")
    assert "attribute.refused" not in [log["event"] for log in logs]

"""Identification of learners: only participants for whom LiveKit and the API vouch."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.learner import Learner
from loqua_host.core import wire
from loqua_host.core.caller import Caller
from loqua_host.errors import LearnerError
from loqua_host.rooms.learners import Participant, identified, pick_learner


def participant(identity: str = "maria", **changes: Any) -> Participant:
    """Return a learner as LiveKit reports one."""
    fields: dict[str, Any] = {
        "identity": identity,
        "kind": "standard",
        "name": "Maria",
        "attributes": {"user_id": f"user-{identity}"},
        "writes_own_attributes": False,
        "joined_at": 1,
    }
    return Participant(**{**fields, **changes})


def refused(*participants: Participant, identity: str | None = None) -> str:
    """Return the cause for which nobody can be taught."""
    with pytest.raises(LearnerError) as caught:
        pick_learner(participants, identity)
    assert str(caught.value)
    return caught.value.cause


def test_the_first_to_come_is_taught() -> None:
    """By the time LiveKit says, not by its order."""
    late, early = participant("late", joined_at=9), participant("early", joined_at=3)
    assert pick_learner([late, early]).user_id == "user-early"


def test_of_two_who_came_at_once_livekits_order_decides() -> None:
    """Every look picks the same one."""
    pair = [participant("one"), participant("two")]
    assert pick_learner(pair).identity == "one"


def test_the_one_whom_the_job_sees_is_taught_although_another_came_first() -> None:
    """A job names its learner; the host looks who that is."""
    both = [participant("early"), participant("late", joined_at=9)]
    assert pick_learner(both, "late").user_id == "user-late"


def test_who_only_looks_on_is_no_learner() -> None:
    """Its user_id and the order of arrival do not matter."""
    observer = participant("observer", observes=True)
    assert refused(observer) == "no_learner"
    assert refused(observer, identity="observer") == "no_learner"
    assert pick_learner([observer, participant("maria", joined_at=9)]).identity == "maria"
    assert [one.identity for one in identified([observer, participant("maria")])] == ["maria"]


def test_nobody_is_taught_in_an_empty_room() -> None:
    """Nor one whom only the job sees."""
    assert refused() == "no_learner"
    assert refused(participant(), identity="ghost") == "no_learner"


@pytest.mark.parametrize("kind", ["agent", "egress", "ingress", "connector", "bridge", "kind_99"])
def test_only_people_are_taught(kind: str) -> None:
    """However good its attributes look."""
    assert refused(participant(kind=kind)) == "no_learner"
    assert pick_learner([participant("bot", kind=kind), participant()]).identity == "maria"


def test_a_caller_by_telephone_is_taught_if_somebody_vouches_for_it() -> None:
    """SIP participants without a `user_id` are nobody's learners."""
    assert pick_learner([participant(kind="sip")]).user_id == "user-maria"
    assert refused(participant(kind="sip", attributes={})) == "no_learner"


def test_a_learner_who_could_have_written_its_attributes_is_refused() -> None:
    """It could be anybody."""
    assert refused(participant(writes_own_attributes=True)) == "self_written_attributes"


@pytest.mark.parametrize("attributes", [{}, {"user_id": ""}, {"userId": "maria"}])
def test_a_learner_without_user_id_is_refused_in_the_guides_words(
    attributes: dict[str, str],
) -> None:
    """The message is that of its troubleshooting list, with the remedy."""
    with pytest.raises(
        LearnerError, match=r"User ID not found in participant metadata.*rooms/join"
    ):
        pick_learner([participant(attributes=attributes)])
    assert refused(participant(attributes=attributes)) == "no_user_id"


@pytest.mark.parametrize(
    "user_id",
    [
        "../maria",
        "maria/../ana",
        "a\\b",
        "maria\n",
        "maria\r\nX-Agent-ID: other",
        "ma\x00ria",
        "ma ria",
        " maria",
        "..",
        "-rf",
        "mаria",  # noqa: RUF001  # Cyrillic
        "ｍaria",  # noqa: RUF001  # full width
        "maria\u202e",
        "maria\u200b",
        "mari\u0301a",
        "maria%2f",
        "maria?x=1",
        "maria#",
        "<b>maria</b>",
        "m" * 129,
    ],
)
def test_a_user_id_that_is_more_than_an_identifier_is_refused(user_id: str) -> None:
    """The error shows it in ASCII and not at length, as a log line may."""
    bad = participant(attributes={"user_id": user_id})
    assert refused(bad) == "bad_user_id"
    with pytest.raises(LearnerError) as caught:
        pick_learner([bad])
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "user_id",
    ["u", "_u", "0", "auth0|5f7c8ec7c33c6c004bbafe82", "maria@example.com", "a.b:c+d-e", "u" * 128],
)
def test_the_identifiers_in_use_are_taken(user_id: str) -> None:
    """UUIDs, e-mail addresses, and what identity providers give."""
    assert pick_learner([participant(attributes={"user_id": user_id})]).user_id == user_id


@given(st.text(max_size=140))
def test_whatever_user_id_is_taken_the_api_can_be_called_with(user_id: str) -> None:
    """The room's pattern and the wire's are one."""
    try:
        learner = pick_learner([participant(attributes={"user_id": user_id})])
    except LearnerError:
        return
    caller = Caller(user_id=learner.user_id, room="room", agent_id="agent")
    assert "/" not in wire.context_request(caller).path.removeprefix("/user/").removesuffix(
        "/context"
    )


@given(
    st.lists(
        st.builds(
            Participant,
            identity=st.text(max_size=3),
            kind=st.sampled_from(["standard", "sip", "agent"]),
            name=st.text(),
            attributes=st.dictionaries(
                st.sampled_from(["user_id", "sessionId", "display_name"]), st.text()
            ),
            writes_own_attributes=st.booleans(),
            joined_at=st.integers(0, 3),
        )
    ),
    st.none() | st.text(max_size=3),
)
def test_any_room_gives_a_learner_or_a_named_cause(
    room: list[Participant], identity: str | None
) -> None:
    """No data of participants raises another exception."""
    try:
        learner = pick_learner(room, identity)
    except LearnerError as error:
        causes = {"no_learner", "no_user_id", "bad_user_id", "self_written_attributes"}
        assert error.cause in causes  # noqa: PT017  # either of two outcomes
    else:
        assert isinstance(learner, Learner)
        assert identity in (None, learner.identity)


def test_what_a_learner_brings_is_bounded() -> None:
    """Names and attributes are data of a size that fits a message."""
    bloated = participant(
        name="x" * 9999, attributes={"user_id": "maria", "display_name": "y" * 9999}
    )
    learner = pick_learner([bloated])
    assert len(learner.display_name) == 1024
    assert all(len(value) <= 1024 for value in learner.attributes.values())


def test_without_a_display_name_the_participants_name_is_taken() -> None:
    """SIP callers and guests have no other."""
    assert pick_learner([participant()]).display_name == "Maria"

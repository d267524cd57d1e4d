"""Identification of learners among a room's participants; pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loqua_host.contract.learner import Learner
from loqua_host.core.wire import IDENTIFIER
from loqua_host.errors import LearnerError

__all__ = ["Participant", "identified", "pick_learner", "pick_open", "verify_learner"]

MAX_ATTRIBUTE = 1024


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant, from LiveKit's server.

    Attributes:
        kind: `standard`, `sip`, `agent`, `egress`, `ingress` or another lower-case kind.
        writes_own_attributes: Whether its token allows it to set its own attributes.
        joined_at: When it joined, in Unix seconds.
        sid: LiveKit's id of this entry into the room; each entry has a new one.
        observes: Whether it is an observer: hidden, a recorder, or without the right to publish
            tracks or data.
    """

    identity: str
    kind: str
    name: str
    attributes: Mapping[str, str]
    writes_own_attributes: bool
    joined_at: float
    sid: str = ""
    observes: bool = False


def pick_learner(participants: Sequence[Participant], identity: str | None = None) -> Learner:
    """Return the learner among the participants: the one with that identity, else the first.

    Agents, egress, ingress and observers are never learners; SIP callers are if they have a
    `user_id`.

    Raises:
        LearnerError: With the cause and the hint: `no_learner`, `no_user_id`,
            `bad_user_id` or `self_written_attributes`.
    """
    candidates = [
        participant
        for participant in sorted(participants, key=lambda p: p.joined_at)
        if _can_learn(participant) and identity in (None, participant.identity)
    ]
    if not candidates:
        raise LearnerError("no_learner", "no learner is in the room")
    return verify_learner(candidates[0])


def pick_open(participants: Sequence[Participant], over: Collection[str]) -> list[str]:
    """Return the identities of learners whose entry is not in `over`, by time of entry."""
    entries = {one.identity: one.sid for one in participants}
    return [one.identity for one in identified(participants) if entries[one.identity] not in over]


def identified(participants: Iterable[Participant]) -> list[Learner]:
    """Return all identified learners, by time of entry."""
    learners = []
    for participant in sorted(participants, key=lambda p: p.joined_at):
        with suppress(LearnerError):
            learners.append(verify_learner(participant))
    return learners


def _can_learn(participant: Participant) -> bool:
    caller = participant.kind == "sip" and "user_id" in participant.attributes
    return not participant.observes and (participant.kind == "standard" or caller)


def verify_learner(participant: Participant) -> Learner:
    """Return a participant as a learner.

    Raises:
        LearnerError: With the cause and the hint, as in `pick_learner`.
    """
    if not _can_learn(participant):
        kind = "observer" if participant.observes else participant.kind
        raise LearnerError("no_learner", f"a participant of kind {kind} learns nothing")
    if participant.writes_own_attributes:
        raise LearnerError(
            "self_written_attributes",
            "the learner's token has canUpdateOwnMetadata, so its attributes prove nothing; "
            "issue learner tokens through the API's /rooms/join, which leaves it off",
        )
    user_id = participant.attributes.get("user_id", "")
    if not user_id:
        raise LearnerError(
            "no_user_id",
            "User ID not found in participant metadata: the learner has no attribute user_id; "
            "let learners enter with a token of the API's /rooms/join",
        )
    if not re.fullmatch(IDENTIFIER, user_id):
        raise LearnerError(
            "bad_user_id",
            f"the learner's user_id, {len(user_id)} characters, is not of the form "
            "[A-Za-z0-9_.@:|+-], at most 128 long",
        )
    return Learner(
        user_id=user_id,
        identity=participant.identity,
        display_name=participant.attributes.get("display_name", participant.name)[:MAX_ATTRIBUTE],
        attributes={k: v[:MAX_ATTRIBUTE] for k, v in participant.attributes.items()},
    )

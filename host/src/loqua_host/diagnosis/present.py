"""Checks of participants: learners without a valid identity, agents with a tutor's name."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

import aiohttp
from livekit import api
from livekit.agents.types import ATTRIBUTE_AGENT_NAME

from loqua_host.errors import LearnerError, RoomsError
from loqua_host.lessons.tutors import TUTOR
from loqua_host.rooms.learners import Participant, verify_learner
from loqua_host.rooms.rooms import Rooms
from loqua_host.workers.worker import LiveKitAccess

from .finding import Check, Finding, Verdict, failed, in_order, ok, untried
from .livekit import open_livekit, throwaway_room

__all__ = ["Present", "examine_present", "judge_answers", "judge_learners", "judge_names"]

ROOMS = 50
"""Maximum rooms to check."""

ANSWER_SECONDS = 3.0
"""LiveKit offers a job within 150 ms; an agent takes a second to enter."""

POLL_SECONDS = 0.25

HANGS = "see LiveKit's log"

AUTOMATIC = "automatic dispatch"

Present = Mapping[str, Sequence[Participant]]
"""Participants by room."""


async def examine_present(
    access: LiveKitAccess, agent_names: Sequence[str], *, call: bool, after: str | None = None
) -> list[Finding]:
    """List the rooms, and find other workers with the tutors' agent names.

    Args:
        access: Where LiveKit is.
        agent_names: The enabled tutors'; "" is the automatic one's.
        call: Whether each name may be called while no agent is in any room. Who answers
            spends a place on it for a second.
        after: The name of a check that was not ok, without which this makes no sense.
    """
    async with open_livekit(access) as livekit, Rooms.open(access.url, access.key) as rooms:
        present: dict[str, Sequence[Participant]] = {}

        async def learners() -> Verdict:
            names = sorted(await rooms.counts())[:ROOMS]
            present.update({name: await rooms.participants(name) for name in names})
            return judge_learners(present)

        async def names() -> Verdict:
            if (verdict := judge_names(present, agent_names)) or not call:
                return verdict or untried("only called while no host runs at the address of `ops:`")
            answers = await asyncio.gather(*(_answer(livekit, rooms, name) for name in agent_names))
            return judge_answers(dict(zip(agent_names, answers, strict=True)))

        try:
            checks = [
                Check("learners in rooms", learners, HANGS),
                Check("agent names", names, HANGS),
            ]
            return await in_order(checks, after)
        except RoomsError as error:
            return [Finding("learners in rooms", failed(str(error), HANGS))]


def judge_learners(present: Present) -> Verdict:
    """Judge whether everybody in the rooms who may be a learner can be taught."""
    faults = list(_faults(present))
    if faults:
        return failed("; ".join(faults[:3]), "let learners enter with the API's /rooms/join")
    count = sum(one.kind == "standard" for room in present.values() for one in room)
    if count == 0:
        return untried("no learner is in a room now")
    return ok(f"{count} learners are in rooms, all with a user_id")


def _faults(present: Present) -> Iterator[str]:
    for room, participants in present.items():
        for one in participants:
            if one.kind == "standard":
                try:
                    verify_learner(one)
                except LearnerError as error:
                    yield f"room {room}: {error}"


def judge_names(present: Present, agent_names: Iterable[str]) -> Verdict | None:
    """Judge the agents in the rooms by their names; None when there are none to judge."""
    agents = [one for room in present.values() for one in room if one.kind == "agent"]
    foreign = {
        one.attributes.get(ATTRIBUTE_AGENT_NAME, "")
        for one in agents
        if TUTOR not in one.attributes
    }
    if taken := sorted(foreign.intersection(agent_names)):
        return _taken(taken)
    if agents:
        return ok(f"{len(agents)} agents are in rooms, none of another make under a tutor's name")
    return None


def judge_answers(answers: Mapping[str, Participant | None]) -> Verdict:
    """Judge who came when each tutor's name was called, while no host of ours runs here."""
    came = {name: answer for name, answer in answers.items() if answer}
    if foreign := sorted(name for name, one in came.items() if TUTOR not in one.attributes):
        return _taken(foreign)
    if came:
        shown = ", ".join(name or AUTOMATIC for name in sorted(came))
        return ok(f"a host elsewhere answers to {shown}; another must share its ledger")
    return ok("no other worker serves them")


def _taken(names: Sequence[str]) -> Verdict:
    shown = ", ".join(name or AUTOMATIC for name in names)
    hint = "stop that worker, or set another agent_name for the tutor"
    return failed(f"a worker that is not a loqua-host also serves {shown}", hint)


async def _answer(livekit: api.LiveKitAPI, rooms: Rooms, agent_name: str) -> Participant | None:
    """Call an agent into a room of its own, and give who came."""
    try:
        async with throwaway_room(livekit, agent_name) as room, asyncio.timeout(ANSWER_SECONDS):
            while True:
                for one in await rooms.participants(room):
                    if one.kind == "agent":
                        return one
                await asyncio.sleep(POLL_SECONDS)
    except (TimeoutError, RoomsError, api.TwirpError, aiohttp.ClientError):
        return None

"""The dev API's own endpoints: arrivals as a page, as JSON and as a stream, and controls."""

from collections.abc import AsyncIterator
from typing import Annotated, get_args

from fastapi import APIRouter, Header, Path, Response
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict

from .calls import CallNow
from .faults import AnyFault
from .learners import RegisteredLearner
from .models import Identifier
from .page import render
from .store import Arrival, Kind

router = APIRouter(include_in_schema=False)

UserId = Annotated[Identifier, Path()]


class Faults(BaseModel):
    """The faults in force, outermost first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[AnyFault, ...]


@router.get("/")
async def page(call: CallNow) -> HTMLResponse:
    """List what arrived, newest first, as a page."""
    api = call.api
    html = render(api.store.arrivals(), api.store.studies(), api.active_faults.in_force())
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


@router.get("/dev/records")
async def records(call: CallNow) -> dict[Kind, list[Arrival]]:
    """List what arrived by its kind, oldest first."""
    arrivals = call.api.store.arrivals()
    return {kind: [it for it in arrivals if it.kind == kind] for kind in get_args(Kind)}


@router.get("/dev/events", response_class=EventSourceResponse)
async def events(
    call: CallNow, last_event_id: Annotated[int | None, Header()] = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream what arrives from now on, or after the event that the caller saw last."""
    async for arrival in call.api.store.follow(last_event_id):
        yield ServerSentEvent(data=arrival, event=arrival.kind, id=str(arrival.number))


@router.get("/dev/faults")
async def faults_in_force(call: CallNow) -> Faults:
    """Show the active faults and their remaining counts."""
    return Faults(faults=call.api.active_faults.in_force())


@router.put("/dev/faults")
async def misbehave(body: Faults, call: CallNow) -> Faults:
    """Activate these faults, and no others."""
    call.api.active_faults.replace(body.faults)
    return body


@router.delete("/dev/faults", status_code=204, response_class=Response)
async def behave(call: CallNow) -> None:
    """Remove all faults."""
    call.api.active_faults.replace(())


@router.get("/dev/learners")
async def list_learners(call: CallNow) -> dict[str, RegisteredLearner]:
    """List the learners as they were registered, by user id."""
    return {user_id: study.learner for user_id, study in call.api.store.studies().items()}


@router.put("/dev/learners/{user_id}")
async def register_learner(
    user_id: UserId, body: RegisteredLearner, call: CallNow
) -> RegisteredLearner:
    """Register a learner, or reset it to this history."""
    call.api.store.register(user_id, body)
    return body


@router.delete("/dev/learners/{user_id}", status_code=204, response_class=Response)
async def forget_learner(user_id: UserId, call: CallNow) -> None:
    """Delete a learner, whom the guide's endpoints then no longer know."""
    call.api.store.forget(user_id)

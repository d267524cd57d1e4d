"""A handover as the metadata of its dispatch.

LiveKit gives it to the job that takes the dispatch, whichever host that is on and whatever
died meanwhile, shows it to no participant and keeps it out of its log
(`redactCreateAgentDispatchRequest` in livekit-server).
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from loqua_host.contract.handoff import Handover

__all__ = ["find_handover", "is_handover", "pack"]


class _Packed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    handover: Handover


def pack(handover: Handover, user_id: str) -> str:
    """Return the metadata that hands this learner over."""
    return _Packed(user_id=user_id, handover=handover).model_dump_json()


def is_handover(metadata: str) -> bool:
    """Return whether a dispatch is a handover; other dispatches have other metadata, or none."""
    return _unpack(metadata) is not None


def find_handover(metadata: str, user_id: str) -> Handover | None:
    """Return what a job's metadata hands over of this learner; of another, nothing."""
    packed = _unpack(metadata)
    return packed.handover if packed is not None and packed.user_id == user_id else None


def _unpack(metadata: str) -> _Packed | None:
    try:
        return _Packed.model_validate_json(metadata)
    except ValidationError:
        return None

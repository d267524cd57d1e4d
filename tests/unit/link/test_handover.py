"""A handover as the metadata of a dispatch, which anyone with LiveKit's key can write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.handoff import Handover, Utterance
from loqua_host.link.dispatch_metadata import find_handover, is_handover, pack

HANDOVER = Handover(
    tutor="conversation",
    focus="present_tense",
    words=("perro",),
    sentences=(Utterance(speaker="learner", text="Yo es Ana."),),
)


def test_a_handover_comes_out_as_it_went_in() -> None:
    """All of it."""
    packed = pack(HANDOVER, "maria")
    assert is_handover(packed)
    assert find_handover(packed, "maria") == HANDOVER


def test_nobody_is_told_of_another_learner() -> None:
    """A dispatch may outlive its learner's visit."""
    assert find_handover(pack(HANDOVER, "maria"), "ana") is None


@pytest.mark.parametrize("metadata", ["", "{}", "[]", '{"user_id": "maria"}', "plain text", "\0"])
def test_other_metadata_is_no_handover(metadata: str) -> None:
    """It is somebody else's, and no error."""
    assert not is_handover(metadata)
    assert find_handover(metadata, "maria") is None


@given(st.text())
def test_no_metadata_is_too_strange(metadata: str) -> None:
    """A job begins with any metadata."""
    assert find_handover(metadata, "maria") is None


def test_the_longest_handover_fits_what_livekit_takes() -> None:
    """64 kB of metadata (livekit-server, config.LimitConfig), letters of four bytes included."""
    wide = "\N{MUSICAL SYMBOL G CLEF}"
    longest = Handover(
        tutor="t" * 200,
        focus=wide * 300,
        words=(wide * 200,) * 20,
        sentences=(Utterance(speaker="learner", text=wide * 300),) * 10,
    )
    assert len(pack(longest, "u" * 128).encode()) < 64_000

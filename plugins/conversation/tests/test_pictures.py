"""Frames of the learner's camera or screen for the language model."""

import random

import pytest
from livekit import rtc
from livekit.agents import llm

from loqua_tutor_conversation.pictures import show_to_model, shown_colour

SIZE = 90
WALL = (200, 195, 190)
SKIN = (224, 172, 140)


def picture(centre: tuple[int, int, int], around: tuple[int, int, int] = WALL) -> rtc.VideoFrame:
    """Make a picture of something before a wall, as a camera sends it."""
    middle = range(SIZE // 3, 2 * SIZE // 3)
    pixels = (
        centre if x in middle and y in middle else around for y in range(SIZE) for x in range(SIZE)
    )
    data = b"".join(bytes((*it, 255)) for it in pixels)
    frame = rtc.VideoFrame(SIZE, SIZE, rtc.VideoBufferType.RGBA, data)
    return frame.convert(rtc.VideoBufferType.I420)


@pytest.mark.parametrize(
    ("point", "colour"),
    [
        ((200, 30, 30), "red"),
        ((230, 120, 20), "orange"),
        ((235, 215, 40), "yellow"),
        ((40, 150, 60), "green"),
        ((30, 70, 190), "blue"),
        ((120, 40, 170), "purple"),
        ((230, 70, 160), "pink"),
        ((20, 20, 20), None),
        (WALL, None),
        (SKIN, None),
    ],
    ids=["red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "wall", "skin"],
)
def test_what_is_held_before_the_camera_has_a_colour(
    point: tuple[int, int, int], colour: str | None
) -> None:
    """Black, grey and a face have none."""
    assert shown_colour(picture(point)) == colour


def test_what_is_beside_the_centre_or_of_many_colours_is_not_told() -> None:
    """The tutor does not guess."""
    assert shown_colour(picture(WALL, around=(200, 30, 30))) is None
    data = random.Random(1).randbytes(3 * SIZE * SIZE)  # noqa: S311  # a picture
    assert shown_colour(rtc.VideoFrame(SIZE, SIZE, rtc.VideoBufferType.RGB24, data)) is None


def test_a_picture_smaller_than_what_is_looked_at_is_no_error() -> None:
    """A camera that starts may send any size."""
    tiny = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGB24, bytes((200, 30, 30)) * 4)
    assert shown_colour(tiny) == "red"


def test_a_model_gets_the_picture_with_the_last_message_and_the_history_keeps_none() -> None:
    """Memory holds one picture, and each request has one."""
    history = llm.ChatContext()
    history.add_message(role="user", content="Hola.")
    history.add_message(role="user", content="Mira esto.")
    history.add_message(role="assistant", content="A ver.")
    frame = picture((200, 30, 30))

    items = show_to_model(history, frame).items

    contents = [item.content for item in items if item.type == "message"]
    assert [len(it) for it in contents] == [1, 2, 1]
    assert isinstance(contents[1][1], llm.ImageContent)
    assert contents[1][1].image is frame
    assert all(len(it.content) == 1 for it in history.items if it.type == "message")

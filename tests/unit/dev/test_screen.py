"""The demo's lines on a terminal."""

import pytest
import typer

from loqua_host.dev.screen import fitted

LOGGED = (
    "[2026-11-23T02:24:49.811098Z] [{}] [loqua-host-dev] [sess_1] [{}] "
    "lesson.opened tutor=pronunciation room=demo-pronunciation mode=full"
)


@pytest.mark.parametrize(
    ("learner", "width", "shown"),
    [
        (
            "user_ben",
            120,
            "02:24:49 user_ben lesson.opened tutor=pronunciation room=demo-pronunciation mode=full",
        ),
        ("user_ben", 60, "02:24:49 user_ben lesson.opened tutor=pronunciation …"),
        ("-", 60, "02:24:49 lesson.opened tutor=pronunciation …"),
    ],
)
def test_a_line_of_the_log_is_one_dim_line(learner: str, width: int, shown: str) -> None:
    """The time, the learner and what happened; the rest is on paper."""
    assert fitted(LOGGED.format("INFO", learner), width) == typer.style(shown, dim=True)


def test_a_warning_stands_out_and_has_two_lines() -> None:
    """A library's may go on for twenty."""
    line = LOGGED.format("WARNING", "-") + " stack=" + "main.py " * 100
    shown = (
        "02:24:49 lesson.opened tutor=pronunciation\n"
        "      room=demo-pronunciation mode=full stack=main.py …"
    )
    assert fitted(line, 60) == typer.style(shown, fg=typer.colors.YELLOW)


def test_an_error_is_shown_whole() -> None:
    """It is worth reading."""
    line = LOGGED.format("ERROR", "user_ben")
    assert fitted(line, 60).replace("\n      ", " ") == line


def test_what_is_said_goes_on_below_itself() -> None:
    """In lines that fit."""
    line = "  demo-grammar  42.0 s  grammar-specialist: Casi. Se dice: Me gustan los libros."
    assert fitted(line, 60).splitlines() == [
        "  demo-grammar  42.0 s  grammar-specialist: Casi. Se dice:",
        "      Me gustan los libros.",
    ]


def test_an_address_stays_in_one_piece() -> None:
    """It is there to be opened."""
    address = "http://127.0.0.1:32919/" + "x" * 80
    assert address in fitted(f"the records show at {address}", 40).split()

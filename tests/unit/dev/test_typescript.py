"""The TypeScript types of lesson topics, compared with the Python values."""

from pathlib import Path

from loqua_host.contract.display import LessonTopic
from loqua_host.dev.typescript import DECLARATIONS, render_declarations

TOPICS = Path(__file__).parents[3] / "host/TOPICS.md"


def test_the_declarations_are_those_of_the_values() -> None:
    """`uv run python -m loqua_host.dev.typescript` writes them."""
    assert DECLARATIONS.read_text("utf-8") == render_declarations()


def test_each_topic_is_documented() -> None:
    """Apps are written by this page."""
    text = TOPICS.read_text("utf-8")
    assert [topic for topic in LessonTopic if f"`{topic}`" not in text] == []

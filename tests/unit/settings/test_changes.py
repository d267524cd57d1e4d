"""Configuration changes: those that a running host applies, and those that need a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.settings.conftest import ENVIRON

from loqua_host.settings.changes import apply_changes, changed_keys
from loqua_host.settings.host import HostSettings
from loqua_host.settings.load import load_settings

Read = Callable[[str], HostSettings]


@pytest.fixture
def read(config: Path) -> Read:
    """Read a configuration whose host.yaml says this."""

    def read_settings(text: str) -> HostSettings:
        (config / "host.yaml").write_text(text)
        return load_settings(config, ENVIRON)

    return read_settings


def test_what_is_the_same_changes_nothing(read: Read) -> None:
    """However it is written."""
    old, new = read("lessons: {drain_timeout: 60}"), read("lessons:\n  drain_timeout: 60.0\n")
    assert apply_changes(old, new) == (old, ())
    assert changed_keys(old, new) == ()


def test_keys_that_nothing_was_opened_by_are_taken_over(read: Read) -> None:
    """Each is named, as it is written."""
    old = read("engines: {tts: {use: 'a:B'}}")
    new = read(
        "lessons: {drain_timeout: 60, limits: {create_agent: 3}}\n"
        "engines: {tts: {use: 'a:B', options: {voice: x}}, stt: {use: 'a:C'}}\n"
        "messages: {went_wrong: {en: Sorry.}}\n"
    )
    settings, waiting = apply_changes(old, new)
    assert (settings, waiting) == (new, ())
    assert changed_keys(old, settings) == (
        "engines.stt",
        "engines.tts",
        "lessons.drain_timeout",
        "lessons.limits.create_agent",
        "messages.went_wrong",
    )


def test_keys_that_are_read_at_the_start_alone_keep_what_they_were(read: Read) -> None:
    """The others move beside them."""
    old = read("{}")
    new = read(
        "ops: {port: 1}\napi: {retries: 1}\nledger: {path: x.db}\nlessons: {drain_timeout: 60}\n"
    )
    settings, waiting = apply_changes(old, new)
    assert waiting == ("api.retries", "ledger.path", "ops.port")
    assert changed_keys(old, settings) == ("lessons.drain_timeout",)
    assert (settings.ops, settings.api, settings.ledger) == (old.ops, old.api, old.ledger)


def test_a_key_that_is_put_back_waits_for_nothing(read: Read) -> None:
    """The running value equals the written one."""
    old, new = read("{}"), read("ops: {port: 1}")
    settings, _ = apply_changes(old, new)
    assert apply_changes(settings, old) == (old, ())


def test_tutors_are_no_keys_of_the_host(config: Path, read: Read) -> None:
    """They are taken over as they are written."""
    old = read("{}")
    (config / "tutors/conversation.yaml").write_text(
        "max_concurrent_jobs: 7\n" + "worker_type: automatic"
    )
    settings, waiting = apply_changes(old, read("{}"))
    assert (changed_keys(old, settings), waiting) == ((), ())
    assert settings.tutors[0].max_concurrent_jobs == 7

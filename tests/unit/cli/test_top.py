"""`loqua-host top`: the status of a running host in a terminal."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console
from tests.pictures.incident import OUTAGE, TOKEN, incident, serve_page

from loqua_host.cli.frame import render_frame, sparkline
from loqua_host.cli.top import watch_host
from loqua_host.diagnosis.machine import RunningHost
from loqua_host.errors import OpsError
from loqua_host.ops.history import LastHour
from loqua_host.ops.snapshot import HostSnapshot
from loqua_host.ops.status import LessonStatus, WorkerStatus
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.templates import write_templates

HOSTILE = "\x1b]0;title\x07\x1b[31m[bold red]x[/]\n\u202egrammar"
ENVIRON = {
    "AGENT_ID": "host",
    "API_BASE_URL": "http://127.0.0.1:1",
    "LIVEKIT_URL": "ws://127.0.0.1:1",
}


def frame(snapshot: HostSnapshot, trouble: str = "", *, width: int = 80, tty: bool = False) -> str:
    """Return a frame as a terminal of this width shows it."""
    kind = "standard" if tty else None
    console = Console(
        file=io.StringIO(), width=width, force_terminal=tty, color_system=kind, highlight=False
    )
    console.print(render_frame(snapshot, trouble))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_frame_has_what_the_status_page_has() -> None:
    """Problems with their runbooks first."""
    text = frame(incident())
    assert text.startswith("loqua-host  ■ failed  serving, up 3 h")
    order = ("api: sessions", "reply    1.2 s", "TUTOR", "ENDPOINT", "job.refused", "\nLESSON ")
    found = [text.index(part) for part in order]
    assert found == sorted(found)
    for part in ("BreakerOpen", "2 of 2", "do: raise max_concurrent_jobs", "runbook: ConfigStale"):
        assert part in text
    assert len(re.findall(r"^[0-9a-f]{8} ", text, re.MULTILINE)) == 10


def test_a_frame_of_one_tutor_leaves_the_others_out() -> None:
    """With its own last hour; what is wrong with the host stays."""
    text = frame(incident().of_tutor("grammar"))
    assert re.findall(r"^(\w+) +● registered", text, re.MULTILINE) == ["grammar"]
    assert len(re.findall(r"^[0-9a-f]{8} ", text, re.MULTILINE)) == 2
    assert re.search(r"^lessons  2 +[▁-█]{24}", text, re.MULTILINE)
    assert re.search(r"^waiting  0 ", text, re.MULTILINE)
    assert "BreakerOpen" in text


@pytest.mark.parametrize("width", [80, 120], ids=["80 columns", "120 columns"])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long reasons are folded within their column."""
    wide = replace(OUTAGE, stale_config="a very long reason " * 20)
    assert max(map(len, frame(incident(wide), width=width).splitlines())) <= width


def test_what_is_no_terminal_gets_no_colour() -> None:
    """A file, a pipe, a ticket."""
    assert "\x1b" not in frame(incident())
    assert "\x1b[31m■ failed" in frame(incident(), tty=True)


def test_nothing_that_the_host_says_steers_the_terminal() -> None:
    """Names of tutors and agents are others' words, and an error may quote a participant."""
    worker = WorkerStatus(HOSTILE, HOSTILE, online=True, busy=0, places=1)
    lesson = LessonStatus(HOSTILE, HOSTILE, HOSTILE, 0.0, 0)
    hostile = incident(replace(OUTAGE, workers=(worker,), lessons=(lesson,), stale_config=HOSTILE))
    words = dict.fromkeys(("event", "why", "hint", "runbook"), HOSTILE)
    error = hostile.errors[0].model_copy(update=words)
    text = frame(hostile.model_copy(update={"errors": (error,)}), HOSTILE, width=200)
    assert not set("\x1b\x07\u202e") & set(text)
    assert "[bold red]x[/]" in text


def test_a_host_that_does_well_shows_no_problem() -> None:
    """And one without a lesson no division by zero."""
    calm = replace(
        OUTAGE, lessons=(), waiting=(), endpoints={}, backlog=replace(OUTAGE.backlog, oldest=None)
    )
    snapshot = incident(calm).model_copy(update={"last_hour": LastHour(), "errors": ()})
    text = frame(snapshot)
    assert "● ok" in text
    assert "CHECK" not in text


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ((), 5, ""),
        ((0, 0), 5, "▁▁"),
        ((0, 1, 2, 7), 4, "▁▂▃█"),
        ((0, 9, 0, 0), 2, "█▁"),
        ((None, 2.0, None, None), 2, "█ "),
    ],
    ids=["empty", "zeros", "rising", "shared", "gap"],
)
def test_a_sparkline_has_the_highest_of_each_share(
    values: tuple[float | None, ...], width: int, bars: str
) -> None:
    """A peak of seconds must not vanish among quiet minutes."""
    assert sparkline(values, width) == bars


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=300), st.integers(1, 60))
def test_a_sparkline_fits_its_width(values: list[float | None], width: int) -> None:
    """This holds for any values."""
    assert len(sparkline(values, width)) == min(width, len(values))


async def ask(url: str, token: SecretStr = TOKEN) -> HostSnapshot:
    """Request the snapshot of the host at an address."""
    return await RunningHost(OpsSettings(port=int(url.rpartition(":")[2])), [token]).snapshot()


async def test_a_running_host_is_asked_with_its_token() -> None:
    """And shows what its page shows."""
    async with serve_page(incident) as url:
        assert await ask(url) == incident()
        with pytest.raises(OpsError, match="refuses the token: set OPS_TOKEN"):
            await ask(url, SecretStr("another"))
    with pytest.raises(OpsError, match=r"no host answers .*loqua-host run"):
        await ask(url)


async def test_something_else_at_the_address_is_said_to_be_something_else() -> None:
    """Such as a host of another version, or another program."""
    async with TestServer(web.Application()) as server:
        with pytest.raises(OpsError, match=r"returns no status: set ops.address"):
            await ask(f"http://127.0.0.1:{server.port}")


async def test_a_host_without_an_ops_address_cannot_be_asked() -> None:
    """The setting is named."""
    with pytest.raises(OpsError, match=r"ops\.port is null"):
        await RunningHost(OpsSettings(port=None)).snapshot()


def test_without_a_host_the_command_says_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints neither a traceback nor an empty screen."""
    list(write_templates(tmp_path))
    assert watch_host(tmp_path, {**ENVIRON, "LOQUA_OPS__PORT": "1"}, once=True) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("no host answers at the address of `ops:` (http://127.0.0.1:1/)")
    assert len(printed.err.splitlines()) == 1


def test_a_configuration_that_cannot_be_read_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to write."""
    list(write_templates(tmp_path))
    assert watch_host(tmp_path, {**ENVIRON, "LOQUA_OPS__PORT": "many"}, once=True) == 1
    assert "LOQUA_OPS__PORT" in capsys.readouterr().err

"""One frame of `loqua-host top`: a snapshot as text, for 80 columns or more."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loqua_host.ops.health import HealthState
from loqua_host.ops.snapshot import ErrorSnapshot, FindingSnapshot, HostSnapshot
from loqua_host.settings.problems import printable

__all__ = ["render_frame", "sparkline"]

STYLES: Final = {
    HealthState.OK: "green",
    HealthState.DEGRADED: "yellow",
    HealthState.FAILED: "red",
}
MARKS: Final = {HealthState.OK: "●", HealthState.DEGRADED: "▲", HealthState.FAILED: "■"}
BARS: Final = "▁▂▃▄▅▆▇█"
SPARK_WIDTH: Final = 24
DIM: Final = "bright_black"
MINUTES: Final = 90.0
HOURS: Final = 5_400.0


def render_frame(snapshot: HostSnapshot, trouble: str = "") -> RenderableType:
    """Return the frame of a snapshot.

    Args:
        snapshot: What to show. Its texts are shown without control characters.
        trouble: Why it is not of now, if it is not.
    """
    tables = (_figures(snapshot), _tutors(snapshot), _endpoints(snapshot))
    errors = map(_error, snapshot.errors)
    parts: tuple[RenderableType, ...] = (*_problems(snapshot), *tables, *errors, _lessons(snapshot))
    return Group(_head(snapshot, trouble), *(Padding(part, (1, 0, 0, 0)) for part in parts))


def sparkline(values: Sequence[float | None], width: int = SPARK_WIDTH) -> str:
    """Return the values as bars, of which each is the highest of its share of them.

    A share without a value is a space. The highest of all has the full height.
    """
    count = min(width, len(values))
    ends = [len(values) * (at + 1) // count for at in range(count)]
    shares = [values[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    tops = [max((one for one in share if one is not None), default=None) for share in shares]
    highest = max((top for top in tops if top is not None), default=0) or 1
    return "".join(" " if top is None else BARS[int(top / highest * 7)] for top in tops)


def _head(snapshot: HostSnapshot, trouble: str) -> Text:
    ready = "" if snapshot.ready else ", not ready"
    taken = datetime.fromtimestamp(snapshot.taken_at).astimezone().strftime("%H:%M:%S")
    head = Text.assemble(
        ("loqua-host  ", "bold"),
        _mark(snapshot.state, snapshot.state),
        f"  {snapshot.phase}{ready}, up {_span(snapshot.uptime)}  ",
        (f"as of {taken}", DIM),
    )
    return Text("\n").join([head, Text(printable(trouble), "bold red")]) if trouble else head


def _problems(snapshot: HostSnapshot) -> Iterator[Table]:
    found = [
        (level.name, finding)
        for level in snapshot.levels
        for finding in level.findings
        if finding.state is not HealthState.OK
    ]
    if found:
        table = _table("CHECK", "REASON", "RUNBOOK")
        for level, finding in sorted(found, key=_worst_first):
            check = _mark(finding.state, f"{level}: {finding.name}")
            table.add_row(check, _text(finding.reason), _text(finding.runbook or ""))
        yield table


def _worst_first(found: tuple[str, FindingSnapshot]) -> int:
    return -list(HealthState).index(found[1].state)


def _figures(snapshot: HostSnapshot) -> Table:
    hour, capacity, outbox = snapshot.last_hour, snapshot.capacity, snapshot.outbox
    waiting = sum(one.learners for one in snapshot.waiting)
    longest = max((one.longest for one in snapshot.waiting), default=0.0)
    means = {one.stage: _duration(one.seconds) for one in hour.stages}
    reply = means.pop("reply", "-")
    oldest = "" if outbox.oldest is None else f", oldest {_span(outbox.oldest)}"
    room = f"room for {capacity.lessons_free} more, limited by {capacity.limit}"
    machine = f"{capacity.cpu_load:.0%} CPU load, {capacity.disk_free:.0%} of the disk free"
    other = f"{outbox.dead} dead letters, {outbox.progress} progress, {outbox.spooled} spooled"
    table = _table("", "NOW", "LAST HOUR", "")
    table.add_row("lessons", str(len(snapshot.lessons)), sparkline(hour.lessons), room)
    wait = f"the longest for {_span(longest)}" if waiting else "nobody"
    table.add_row("waiting", str(waiting), sparkline(hour.waiting), wait)
    errors = "warnings and errors in the last hour"
    table.add_row("errors", str(sum(hour.errors)), sparkline(hour.errors), errors)
    stages = ", ".join(f"{stage} {mean}" for stage, mean in means.items())
    table.add_row("reply", reply, sparkline(hour.reply), stages)
    table.add_row("records", str(outbox.records), "", f"pending{oldest}; {other}")
    table.add_row("memory", f"{capacity.memory:.0%}", "", machine)
    return table


def _tutors(snapshot: HostSnapshot) -> Table:
    table = _table("TUTOR", "WORKER", "DISPATCH", "LESSONS", "JOBS", "WAITING")
    for one in snapshot.tutors:
        dispatch = "automatic" if one.dispatch == "automatic" else one.agent_name
        waiting = _mark(HealthState.DEGRADED, str(one.waiting)) if one.waiting else _text("0")
        worker = _mark(one.state, one.registration)
        jobs = f"{one.jobs} of {one.max_jobs}"
        table.add_row(_text(one.name), worker, _text(dispatch), str(one.lessons), jobs, waiting)
    return table


def _lessons(snapshot: HostSnapshot) -> Table:
    table = _table("LESSON", "TUTOR", "MODE", "SINCE", "RESTARTS", "FALLBACKS")
    for one in snapshot.lessons:
        table.add_row(
            _text(one.id),
            _text(one.tutor),
            _mark(one.state, one.mode),
            _span(one.age),
            str(one.restarts),
            _text(", ".join(one.fallbacks)),
        )
    return table


def _endpoints(snapshot: HostSnapshot) -> Table:
    table = _table("ENDPOINT", "BREAKER", "TOOK", "AGO", "LAST RESPONSE")
    for one in snapshot.endpoints:
        breaker = _mark(one.state, one.breaker.replace("_", " "))
        answer = _text(one.failure or "answered")
        table.add_row(_text(one.name), breaker, _duration(one.seconds), _span(one.age), answer)
    return table


def _error(error: ErrorSnapshot) -> Text:
    times = f" x{error.times}" if error.times > 1 else ""
    lines = [
        Text.assemble(
            _mark(error.state, error.event),
            (f"{times} {_span(error.age)} ago  ", DIM),
            printable(error.why),
        )
    ]
    if error.hint:
        lines.append(Text(f"  do: {printable(error.hint)}"))
    if error.runbook:
        lines.append(Text(f"  runbook: {printable(error.runbook)}", DIM))
    return Text("\n").join(lines)


def _table(*headings: str) -> Table:
    table = Table(*headings, box=None, pad_edge=False, header_style=DIM, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    return table


def _mark(state: HealthState, text: str) -> Text:
    return Text(f"{MARKS[state]} {printable(text)}", STYLES[state])


def _text(text: str) -> Text:
    return Text(printable(text))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _span(seconds: float) -> str:
    if seconds < MINUTES:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < HOURS else f"{seconds / 3600:.0f} h"

"""What the host's own events have told so far: phase, the API's endpoints, breakers, errors."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from loqua_host.core.events import Event

from .sight import Outcome, Phase

__all__ = ["Logbook", "Trouble"]

KEPT = 20
"""Different warnings and errors that are remembered."""

PHASES = {"host.ready": Phase.SERVING, "host.draining": Phase.DRAINING}

STALE = frozenset({"config.needs_restart", "config.refused", "tutor.refused"})

CERTIFICATE = frozenset({"ops.serving", "ops.certificate_renewed"})

KEY_IN_USE = frozenset({"livekit.key_adopted", "livekit.key_withdrawn"})

BREAKERS = {
    "breaker.opened": "open",
    "breaker.half_opened": "half open",
    "breaker.closed": "closed",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A warning or an error, without the learner it happened to.

    Attributes:
        at: When it happened last, in monotonic seconds.
        times: How often.
    """

    at: float
    level: str
    event: str
    why: str
    times: int = 1


class Logbook:
    """Observes events and remembers the last of what matters.

    Args:
        monotonic: A clock that never steps, in seconds.

    Attributes:
        stale_config: Why the host does not run what config/ says, if it does not.
        refused_key: Why the host does not use LiveKit's key as secrets have it, if it does not.
        certificate_until: When the ops address's certificate expires, in unix seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.phase = Phase.STARTING
        self.stale_config: str | None = None
        self.refused_key: str | None = None
        self.certificate_until: float | None = None
        self.endpoints: dict[str, Outcome] = {}
        self.breakers: dict[str, str] = {}
        self._troubles: OrderedDict[tuple[str, str, str], Trouble] = OrderedDict()

    @property
    def troubles(self) -> Sequence[Trouble]:
        """The last of them; one that happens again and again drives out no other."""
        return tuple(self._troubles.values())

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        self.phase = PHASES.get(event.name, self.phase)
        if event.name in BREAKERS:
            self.breakers[_text(event.fields, "endpoint")] = BREAKERS[event.name]
        elif event.name in STALE:
            self.stale_config = _text(event.fields, "why")
        elif event.name == "config.reloaded":
            self.stale_config = None
        elif event.name == "livekit.key_refused":
            self.refused_key = _text(event.fields, "why")
        elif event.name in CERTIFICATE:
            until = event.fields.get("certificate_expires_at")
            self.certificate_until = until if isinstance(until, float) else None
        elif event.name in KEY_IN_USE:
            self.refused_key = None
        elif event.name == "api.called" and event.fields.get("failure") != "cancelled":
            self.endpoints[_text(event.fields, "endpoint")] = self._outcome(event.fields)
        if event.fields.get("level") in ("warning", "error"):
            self._note(self._trouble(event))

    def _note(self, trouble: Trouble) -> None:
        kind = (trouble.level, trouble.event, trouble.why)
        before = self._troubles.pop(kind, None)
        times = 1 if before is None else before.times + 1
        self._troubles[kind] = replace(trouble, times=times)
        if len(self._troubles) > KEPT:
            self._troubles.popitem(last=False)

    def _outcome(self, fields: Mapping[str, object]) -> Outcome:
        failure = _without_learner(fields, "why") or _text(fields, "failure") or None
        seconds = fields.get("seconds")
        return Outcome(self._monotonic(), seconds if isinstance(seconds, float) else 0.0, failure)

    def _trouble(self, event: Event) -> Trouble:
        # A refusal quotes the API, which may name a learner whom the event does not.
        told = (_without_learner(event.fields, name) for name in ("cause", "why", "mend"))
        where = _text(event.fields, "endpoint") or _text(event.fields, "tutor")
        why = ": ".join(filter(None, (where, next(filter(None, told), ""))))
        return Trouble(self._monotonic(), _text(event.fields, "level"), event.name, why[:300])


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return "" if value is None else str(value)


def _without_learner(fields: Mapping[str, object], name: str) -> str:
    text = _text(fields, name)
    for learner in ("user_id", "session_id", "room"):
        if hidden := _text(fields, learner):
            text = text.replace(hidden, f"[{learner}]")
    return text

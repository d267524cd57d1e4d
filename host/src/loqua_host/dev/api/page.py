"""The page of arrivals: HTML without scripts, everything in it escaped; pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from .faults import AnyFault
from .learners import Study
from .store import Arrival

_ARRIVALS_SHOWN = 200
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: #1c2430; background: #fbfbf9 }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0;
  border-bottom: 1px solid #e3e3dc }
th { font-weight: 600; color: #5a6472 }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 12.5px/1.4 ui-monospace, monospace }
.refused { color: #a3271c }
"""


def render(
    arrivals: Sequence[Arrival], studies: Mapping[str, Study], faults: Sequence[AnyFault]
) -> str:
    """Return the whole page, which reloads itself every three seconds."""
    newest = arrivals[: -_ARRIVALS_SHOWN - 1 : -1]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width"><title>Loqua dev API</title>
<style>{_STYLE}</style></head><body>
<h1>Loqua dev API</h1>
<h2>Arrived</h2>
{_table(["time", "what", "learner", "agent", "payload"], map(_arrival, newest))}
<h2>Learners</h2>
{_table(["learner", "learns", "sessions", "minutes", "words"], map(_learner, studies.items()))}
<h2>Faults in force</h2>
{_table(["fault"], ([_pre(fault.model_dump(mode="json"))] for fault in faults))}
</body></html>
"""


def _table(titles: list[str], rows: Iterable[list[str]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>\n{body}</table>" if lines else "<p>none</p>"


def _arrival(arrival: Arrival) -> list[str]:
    return [
        escape(f"{arrival.received_at:%H:%M:%S}"),
        f'<span class="{arrival.kind}">{arrival.kind}</span>',
        escape(arrival.user_id),
        escape(arrival.agent_id),
        _pre(arrival.payload),
    ]


def _learner(item: tuple[str, Study]) -> list[str]:
    user_id, study = item
    totals, preferences = study.totals(), study.learner.preferences
    return [
        f"{escape(study.learner.display_name)} ({escape(user_id)})",
        " from ".join(
            escape(one or "unknown")
            for one in (preferences.language_learning, preferences.native_language)
        ),
        str(totals.total_sessions),
        f"{totals.total_conversation_time:g}",
        str(totals.words_learned),
    ]


def _pre(payload: object) -> str:
    return f"<pre>{escape(json.dumps(payload, ensure_ascii=False, indent=1))}</pre>"

"""The page of hooks, from their specifications."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from loqua_host.contract import hookspecs
from loqua_host.settings.hooks import HookLimits

__all__ = ["find_hooks", "render_hooks"]

HEAD = """# Hooks

A tutor is a module with these functions, each decorated with `loqua_host.hookimpl`.
`register_tutor` and `create_agent` are required. A hook names only the arguments that it needs. It
runs in a task of its own; one that exceeds its time limit is cancelled and counts as failed. A
hook's failure affects its own lesson only.
[How a lesson runs](../how-it-works.md#order-of-events-in-a-lesson) shows when each is called; the
[contract](contract.md) describes the arguments.
"""


def find_hooks() -> list[Callable[..., Any]]:
    """Return the specification of each hook, in the order of a lesson."""
    return [one for one in vars(hookspecs).values() if hasattr(one, f"{hookspecs.PROJECT}_spec")]


def render_hooks() -> str:
    """Return the page."""
    return "\n".join((HEAD, *(part for hook in find_hooks() for part in _render(hook)))) + "\n"


def _render(hook: Callable[..., Any]) -> Iterator[str]:
    name = hook.__name__
    colour = "async def" if inspect.iscoroutinefunction(hook) else "def"
    limit = HookLimits.model_fields.get(name)
    yield f"## {name}\n\n```text\n{colour} {name}{_signature(hook)}\n```\n"
    yield f"{inspect.getdoc(hook)}\n"
    if limit is not None:
        yield (
            f"Time limit: `lessons.limits.{name}` in `config/host.yaml`, {limit.default:g} s by "
            "default.\n"
        )


def _signature(hook: Callable[..., Any]) -> str:
    signature = inspect.signature(hook)
    given = signature.parameters.items()
    arguments = ", ".join(f"{name}: {_type(it.annotation)}" for name, it in given)
    return f"({arguments}) -> {_type(signature.return_annotation)}"


def _type(annotation: Any) -> str:
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return " | ".join(part.rpartition(".")[2] for part in written.split(" | "))

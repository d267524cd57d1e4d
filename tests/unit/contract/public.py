"""The snapshot of all that tutors import, written by `python -m tests.unit.contract.public`."""

from pathlib import Path

from host.reference.public import MODULES, list_signatures

SNAPSHOT = Path(__file__).with_name("public.txt")
HEAD = "# `uv run python -m tests.unit.contract.public` writes this file from the code.\n"


def render_face() -> str:
    """Return every name that a tutor imports, with its arguments, defaults and what it returns."""
    parts = ("\n".join((f"\n[{module}]", *list_signatures(module))) for module in MODULES)
    return HEAD + "\n".join(parts) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(render_face(), "utf-8")

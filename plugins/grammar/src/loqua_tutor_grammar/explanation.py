"""Explanations of corrections in the learner's own language, from `messages.toml`."""

import tomllib
from functools import cache
from importlib.resources import files

__all__ = ["explain", "explain_with_example", "message_keys"]


def explain(message: str, language: str | None) -> str:
    """Return the rule that a correction follows, without a full stop.

    Args:
        message: A key of `messages.toml`.
        language: As the API names it (`spanish`); English where there is no text in it.
    """
    texts = _messages()[message]
    return texts.get(language or "") or texts["english"]


def explain_with_example(message: str, language: str | None) -> str:
    """Return the rule and an example in the language taught, as in *The rule: an example*."""
    example = _messages()[message].get("example")
    rule = explain(message, language)
    return f"{rule}: {example}" if example else rule


def message_keys() -> frozenset[str]:
    """Return all keys."""
    return frozenset(_messages())


@cache
def _messages() -> dict[str, dict[str, str]]:
    return tomllib.loads(files(__package__).joinpath("messages.toml").read_text("utf-8"))

"""The look-up and validation of a secret, the same for every source."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from loqua_host.errors import SecretsError, UnusableSecretError
from loqua_host.observability.faults import log_fault

from .port import Sealed, Secret, SecretsSource

__all__ = ["JWT", "look_up", "stripped"]

JWT = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]+", re.ASCII)
AROUND = re.compile(r"^[\s\ufeff]+|[\s\ufeff]+$")
"""White space, and the byte order mark that some editors begin a file with."""

Flaw = tuple[str, str]
"""The problem of a secret, and its remedy."""


def look_up(source: SecretsSource, variable: str) -> Secret | None:
    """Return a secret as its place has it, without what stands around it; None where it has none.

    A value before the current one that cannot be used is left out.

    Raises:
        SecretsError: The place gave no answer.
        UnusableSecretError: It gave what cannot be used.
    """
    try:
        found = source.fetch(variable)
    except SecretsError:
        raise
    except Exception as error:  # noqa: BLE001  # clients of vaults raise what they like
        log_fault("secrets", error, secret=variable, place=source.place)
        raise SecretsError(f"{source.place}: {type(error).__name__}") from None
    return found and _usable(variable, found)


def stripped(text: str) -> str:
    """Return a secret's text without white space and byte order marks around it."""
    return AROUND.sub("", text)


def _usable(variable: str, found: Secret) -> Secret | None:
    current = Sealed(stripped(found.current.get_secret_value()))
    if not current.get_secret_value():
        return None
    rule = RULES.get(variable, _text)
    if flaw := rule(current.get_secret_value()):
        raise UnusableSecretError(variable, *flaw)
    before = stripped(found.previous.get_secret_value()) if found.previous else ""
    usable = bool(before) and rule(before) is None
    return replace(found, current=current, previous=Sealed(before) if usable else None)


def _jwt(value: str) -> Flaw | None:
    if JWT.fullmatch(value):
        return None
    return "is not a JWT", "write only header.payload.signature, without quotes and Bearer"


def _ascii(value: str) -> Flaw | None:
    if value.isascii() and value.isprintable() and " " not in value:
        return None
    return "cannot stand in a header", "write it in letters, digits and signs of ASCII, no blanks"


def _line(value: str) -> Flaw | None:
    if any(sign < " " or "\x7f" <= sign < "\xa0" for sign in value):
        return "has control characters", "write it on one line"
    return _text(value)


def _text(value: str) -> Flaw | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is no text", "write it in UTF-8"
    return None


RULES: Mapping[str, Callable[[str], Flaw | None]] = {
    "AGENT_JWT_TOKEN": _jwt,
    "LIVEKIT_API_KEY": _ascii,
    "OPS_TOKEN": _ascii,
    **dict.fromkeys(("SHARED_SECRET", "LIVEKIT_API_SECRET", "LEDGER_KEY", "LEDGER_URL"), _line),
    **dict.fromkeys(("DEV_AGENT_SECRET", "STAGING_AGENT_SECRET", "PROD_AGENT_SECRET"), _line),
}
"""The format of a secret, by its variable; others are text."""

"""Validation of a secret's value, the same for every source."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.core.secrets import (
    EnvironmentSecrets,
    Sealed,
    Secret,
    SecretsSettings,
    look_up,
    open_source,
)
from loqua_host.errors import ConfigError, SecretsError, UnusableSecretError

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
JWT = "header.payload.signature"
VALUE = "what-nobody-may-read"


@dataclass
class SingleSecretSource:
    """A source that has one secret, or raises."""

    current: str = JWT
    previous: str | None = None
    error: Exception | None = None
    place: str = "the vault"

    def fetch(self, _variable: str) -> Secret | None:
        """Return it."""
        if self.error is not None:
            raise self.error
        return Secret(Sealed(self.current), Sealed(self.previous) if self.previous else None)


def found(place: Any, variable: str = "AGENT_JWT_TOKEN") -> list[str]:
    """Look a secret up and give its values."""
    secret = look_up(place, variable)
    return [value.get_secret_value() for value in secret.values()] if secret else []


def in_the_environment(_tmp: Path, text: str) -> Any:
    """Put it into a variable."""
    return EnvironmentSecrets({"AGENT_JWT_TOKEN": text})


def in_a_file(tmp: Path, text: str) -> Any:
    """Mount it."""
    (tmp / "AGENT_JWT_TOKEN").write_text(text, "utf-8")
    return open_source(
        SecretsSettings.model_validate({"from": "files", "files": {"directory": tmp}}), {}
    )


def in_a_vault(_tmp: Path, text: str) -> Any:
    """Store it elsewhere."""
    return SingleSecretSource(text)


PLACES = [in_the_environment, in_a_file, in_a_vault]


@pytest.mark.parametrize("put", PLACES)
@pytest.mark.parametrize(
    "text",
    [
        f"{JWT}\n",
        f"{JWT}\r\n",
        f" \t{JWT} ",
        f"{BOM}{JWT}",
        f"{BOM} {JWT}\n{BOM}",
        f"\N{NO-BREAK SPACE}{JWT}",
    ],
)
def test_what_editors_put_around_a_secret_is_none_of_it(
    tmp_path: Path, put: Callable[[Path, str], Any], text: str
) -> None:
    """Line ends, blanks and byte order marks."""
    assert found(put(tmp_path, text)) == [JWT]


@pytest.mark.parametrize("put", PLACES)
def test_a_secret_of_nothing_is_not_there(tmp_path: Path, put: Callable[[Path, str], Any]) -> None:
    """However many blanks and marks that nothing is made of."""
    assert found(put(tmp_path, f" {BOM}\n ")) == []


@pytest.mark.parametrize(
    ("variable", "text", "what"),
    [
        ("AGENT_JWT_TOKEN", "Bearer header.payload.signature", "is not a JWT"),
        ("AGENT_JWT_TOKEN", '"header.payload.signature"', "is not a JWT"),
        ("AGENT_JWT_TOKEN", "header.pay\nload.signature", "is not a JWT"),
        (
            "AGENT_JWT_TOKEN",
            "h\N{LATIN SMALL LETTER E WITH ACUTE}ader.payload.signature",
            "is not a JWT",
        ),
        ("AGENT_JWT_TOKEN", f"header.pay{BOM}load.signature", "is not a JWT"),
        ("AGENT_JWT_TOKEN", "changeme", "is not a JWT"),
        ("OPS_TOKEN", "two words of it", "cannot stand in a header"),
        ("LIVEKIT_API_KEY", "k\N{LATIN SMALL LETTER E WITH ACUTE}y", "cannot stand in a header"),
        ("SHARED_SECRET", "one\ntwo", "has control characters"),
        ("PROD_AGENT_SECRET", "one\udc80", "is no text"),
        ("LEDGER_KEY", "\x00", "has control characters"),
        ("OPENAI_API_KEY", "\ud83d", "is no text"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_never_quoted(
    variable: str, text: str, what: str
) -> None:
    """With what to write instead."""
    with pytest.raises(UnusableSecretError) as refused:
        found(SingleSecretSource(text), variable)
    assert str(refused.value).startswith(f"{variable} {what}; write ")
    assert text not in str(refused.value)


def test_text_of_several_lines_is_a_tutor_s_own_affair() -> None:
    """A key file, say, that config grants."""
    text = '{\n  "private_key": "..."\n}'
    assert found(SingleSecretSource(text), "GOOGLE_CREDENTIALS") == [text]


def test_a_shared_secret_may_have_any_letters() -> None:
    """It is a key, not a header."""
    text = "Schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel mit Leerzeichen"
    assert found(SingleSecretSource(text), "SHARED_SECRET") == [text]


def test_a_value_before_that_cannot_be_used_is_left_out() -> None:
    """The mistake of last time stays in a vault's history, and must not refuse what repaired it."""
    assert found(SingleSecretSource(JWT, previous="changeme")) == [JWT]
    assert found(SingleSecretSource(JWT, previous=f"{BOM}a.b.c\n")) == [JWT, "a.b.c"]


@pytest.mark.parametrize(
    "error",
    [ValueError(VALUE), KeyError(VALUE), RuntimeError(VALUE), UnicodeError(VALUE), OSError(VALUE)],
)
def test_whatever_a_source_raises_is_that_it_gave_no_answer(error: Exception) -> None:
    """With the place's name, and none of the words, which may quote a value."""
    with pytest.raises(SecretsError, match=f"^the vault: {type(error).__name__}$") as refused:
        found(SingleSecretSource(error=error))
    assert VALUE not in str(refused.value)


def test_a_client_that_cannot_be_made_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for any exception."""
    monkeypatch.setattr("loqua_host.core.secrets.source._connect", lambda *_given: 1 / 0)
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        open_source(SecretsSettings.model_validate({"from": "aws"}), {})


@given(st.text(st.characters(), max_size=40), st.sampled_from(["AGENT_JWT_TOKEN", "OPS_TOKEN"]))
def test_what_passes_can_stand_in_a_header(text: str, variable: str) -> None:
    """Fuzzed."""
    try:
        values = found(SingleSecretSource(text), variable)
    except UnusableSecretError:
        return
    for value in values:
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value

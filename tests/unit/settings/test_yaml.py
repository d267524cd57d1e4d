"""YAML as configuration: JSON's values, text keys, no duplicates."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loqua_host.errors import ConfigError
from loqua_host.settings.host import HostSettings
from loqua_host.settings.load import load_settings
from loqua_host.settings.yaml import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", "no"),
        ("a: on", "on"),
        ("a: 1:30", "1:30"),
        ("a: 010", "010"),
        ("a: 2026-11-22", "2026-11-22"),
        ("a: true", True),
        ("a: null", None),
        ("a:", None),
        ("a: -3", -3),
        ("a: 0.5", 0.5),
        ("a: 1.5e3", 1500.0),
        ("a: '5'", "5"),
        ("a: [1, {b: ~}]", [1, {"b": None}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    """Norway stays `no`, and a time of day is no number."""
    file = tmp_path / "file.yaml"
    file.write_text(text)
    assert read_yaml(file) == ({"a": value}, [])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is duplicate"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' is duplicate"),
        ("a: &x 1\nb: *x", "line 1: anchors and aliases are not allowed"),
        ("a: !!python/object:os.system x", "line 1: the tag"),
        ("1: a", "line 1: a key is not text"),
        ("? [a]\n: b", "line 1: a key is not text"),
        ("- a", "is not a mapping"),
        ("a: [", "line 1: "),
        ("a: 1\n---\nb: 2", "but found another document"),
        ("a: \x00", "is not YAML"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(
    tmp_path: Path, text: str, mistake: str
) -> None:
    """Nothing is guessed, and nothing of it is used."""
    file = tmp_path / "file.yaml"
    file.write_text(text)
    data, [problem] = read_yaml(file)
    assert data == {}
    assert mistake in str(problem)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Another encoding is reported as such."""
    file = tmp_path / "file.yaml"
    file.write_bytes("a: ñ".encode("latin-1"))
    _, [problem] = read_yaml(file)
    assert problem.what == "is not UTF-8 text"


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_keys = st.sampled_from(
    [
        "api",
        "lessons",
        "engines",
        "stt",
        "use",
        "options",
        "turn",
        "limits",
        "messages",
        "en",
        "logs",
    ]
)
_section = st.dictionaries(_keys, _scalars | st.lists(_scalars, max_size=2), max_size=3)
_near = st.dictionaries(_keys, _section | st.dictionaries(_keys, _section, max_size=2), max_size=3)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.text() | st.text("a:-[]{}!&*?|>#%@`'\" \n\t0123.e~<=") | _near.map(repr))
def test_any_text_gives_settings_or_says_what_is_wrong(
    config: Path, environ: dict[str, str], text: str
) -> None:
    """As host.yaml and as a tutor's file: no other exception, whatever is written."""
    for name in ("host.yaml", "tutors/conversation.yaml"):
        file = config / name
        before = file.read_bytes()
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        problems, loaded = [], None
        try:
            loaded = load_settings(config, environ)
        except ConfigError as error:
            problems = error.problems
        assert problems or isinstance(loaded, HostSettings)
        file.write_bytes(before)

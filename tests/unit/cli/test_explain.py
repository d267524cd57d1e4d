"""`loqua-host check --explain`: each effective value and its source."""

from pathlib import Path

import pytest

from loqua_host.cli.check import check_config
from loqua_host.cli.explain import explain_config
from loqua_host.settings.load import load_settings

ENVIRON = {
    "AGENT_ID": "loqua-host-1",
    "API_BASE_URL": "http://127.0.0.1:9000",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "AGENT_JWT_TOKEN": "header.payload.signature",
    "SHARED_SECRET": "hunter2",
    "LIVEKIT_API_KEY": "hunter2",
    "LIVEKIT_API_SECRET": "hunter2",
}

HOST = """
lessons: {drain_timeout: 60}
engines:
  tts:
    use: livekit.plugins.openai:TTS
    options: {api_key: hunter2, model: pico, base_url: "http://maria:hunter2@127.0.0.1:9000"}
    secrets: {api_key: OPENAI_API_KEY}
"""

TUTOR = """
worker_type: explicit
agent_name: grammar-specialist
engines: {turn: {min_delay: 0.9}}
settings: {questions: 3, secrets: {password: hunter2}, tokens: [hunter2]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration of three layers, with secrets where none should be."""
    directory = tmp_path / "config"
    for folder in ("tutors", "environments"):
        (directory / folder).mkdir(parents=True)
    (directory / "host.yaml").write_text(HOST)
    (directory / "environments/development.yaml").write_text("lessons: {drain_timeout: 90}")
    (directory / "tutors/grammar.yaml").write_text(TUTOR)
    return directory


@pytest.fixture
def explained(config: Path) -> dict[str, tuple[str, str]]:
    """Return value and origin by key."""
    lines = explain_config(config, ENVIRON, load_settings(config, ENVIRON))
    return {key: (value, origin.replace(f"{config}/", "")) for key, value, origin in lines}


def test_each_layer_is_named_where_it_decides(explained: dict[str, tuple[str, str]]) -> None:
    """The base, the overlay over it, variables over both, and defaults under all."""
    assert explained["engines.tts.options.model"] == ('"pico"', "host.yaml")
    assert explained["lessons.drain_timeout"] == ("90.0", "environments/development.yaml")
    assert explained["agent_id"] == ('"loqua-host-1"', "AGENT_ID")
    assert explained["lessons.max_lessons"] == ('"auto"', "default")
    assert explained["environment"] == ("development", "default")


def test_a_tutor_s_values_come_from_its_file_or_from_the_host(
    explained: dict[str, tuple[str, str]],
) -> None:
    """The values are those in force for the tutor."""
    assert explained["tutors.grammar.agent_name"][1] == "tutors/grammar.yaml"
    assert explained["tutors.grammar.max_concurrent_jobs"] == ("2", "default")
    assert explained["tutors.grammar.agent_id"] == ('"loqua-host-1"', "AGENT_ID")
    assert explained["tutors.grammar.engines.tts.options.model"] == ('"pico"', "host.yaml")
    assert explained["tutors.grammar.engines.turn.min_delay"] == ("0.9", "tutors/grammar.yaml")


def test_engines_of_a_list_are_explained_one_by_one(config: Path) -> None:
    """By their index; one by itself has none, even if it is written as a list."""
    (config / "tutors/grammar.yaml").write_text(
        TUTOR.replace(
            "engines: {",
            "engines: {stt: [{use: 'a:B'}, {use: 'c:D', options: {k: 1}}], llm: [{use: 'e:F'}], ",
        )
    )
    lines = {
        key: line for key, *line in explain_config(config, ENVIRON, load_settings(config, ENVIRON))
    }
    file = str(config / "tutors/grammar.yaml")
    assert lines["tutors.grammar.engines.stt[1].options.k"] == ["1", file]
    assert lines["tutors.grammar.engines.llm.use"] == ['"e:F"', file]
    assert lines["engines.stt"] == ["null", "default"]


def test_no_secret_is_printed_wherever_it_was_written(
    config: Path, explained: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name and its origin are; and so are the names that config grants by."""
    assert explained["SHARED_SECRET"] == ("****", "environment")
    assert explained["tutors.grammar.settings.secrets.password"][0] == "****"
    assert explained["engines.tts.secrets.api_key"] == ('"OPENAI_API_KEY"', "host.yaml")
    assert explained["engines.tts.options.base_url"][0] == '"http://****@127.0.0.1:9000"'
    check_config(config, ENVIRON | {"OPENAI_API_KEY": "hunter2"}, explained=True)
    printed = capsys.readouterr()
    assert "hunter2" not in printed.out + printed.err
    assert "lessons.drain_timeout" in printed.out


def test_what_dotenv_gave_says_so(config: Path) -> None:
    """In development, where it counts."""
    (config.parent / ".env").write_text("SHARED_SECRET=hunter2\n")
    environ = {name: value for name, value in ENVIRON.items() if name != "SHARED_SECRET"}
    lines = list(explain_config(config, environ, load_settings(config, environ)))
    assert ("SHARED_SECRET", "****", ".env") in lines
    assert ("AGENT_JWT_TOKEN", "****", "environment") in lines


def test_every_setting_is_there(config: Path, explained: dict[str, tuple[str, str]]) -> None:
    """One line for each key of the host's models."""
    settings = load_settings(config, ENVIRON)
    sections = {key.split(".")[0] for key in explained}
    written = {info.alias or name for name, info in type(settings).model_fields.items()}
    assert written <= sections


def test_rules_are_explained_key_by_key(config: Path) -> None:
    """No line is as long as a list of them, and no key is there that nobody wrote."""
    rule = "{name: talker, when: {minutes: 5}}"
    (config / "host.yaml").write_text(f"records: {{achievements: [{rule}]}}")
    lines = {
        key: line for key, *line in explain_config(config, ENVIRON, load_settings(config, ENVIRON))
    }
    file = str(config / "host.yaml")
    rows = {key: line for key, line in lines.items() if key.startswith("records.achievements")}
    assert rows == {
        "records.achievements[0].name": ['"talker"', file],
        "records.achievements[0].when.minutes": ["5.0", file],
    }


def test_a_variable_that_decides_is_named(config: Path) -> None:
    """For the host and for a tutor, in `.env` with its file; what looks secret is masked."""
    dotenv = config.parent / ".env"
    dotenv.write_text("LOQUA_LESSONS__TICK_EVERY=20\n")
    variables = {
        "LOQUA_LESSONS__MAX_LESSONS": "20",
        "LOQUA_OPS": '{"port": 1}',
        "LOQUA_ENGINES__TTS__OPTIONS__API_KEY": "hunter2",
        "LOQUA_TUTORS__GRAMMAR__SETTINGS__QUESTIONS": "5",
    }
    lines = explain_config(config, ENVIRON | variables, load_settings(config, ENVIRON | variables))
    rows = {key: tuple(line) for key, *line in lines}
    assert rows["lessons.max_lessons"] == ("20", "LOQUA_LESSONS__MAX_LESSONS")
    assert rows["lessons.tick_every"] == ("20.0", f"{dotenv}: LOQUA_LESSONS__TICK_EVERY")
    assert rows["ops.port"] == ("1", "LOQUA_OPS: port")
    assert rows["ops.address"] == ('"127.0.0.1"', "default")
    key = "engines.tts.options.api_key"
    assert rows[key] == ("****", "LOQUA_ENGINES__TTS__OPTIONS__API_KEY")
    assert rows[f"tutors.grammar.{key}"] == rows[key]
    questions = ("5", "LOQUA_TUTORS__GRAMMAR__SETTINGS__QUESTIONS")
    assert rows["tutors.grammar.settings.questions"] == questions

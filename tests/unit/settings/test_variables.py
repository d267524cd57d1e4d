"""`LOQUA_…` variables: any setting by its keys, with two underscores between levels."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.errors import ConfigError
from loqua_host.settings.host import HostSettings
from loqua_host.settings.load import load_settings
from loqua_host.settings.sources import read_sources

Write = Callable[[str, str], Path]
Mistakes = Callable[..., list[str]]


def test_a_variable_overrides_any_setting(
    config: Path, environ: dict[str, str], write: Write
) -> None:
    """Of host.yaml, of the overlay, and what neither says; the keys beside it stay."""
    write("host.yaml", "lessons: {max_lessons: 5, drain_timeout: 30}")
    write("environments/development.yaml", "lessons: {max_lessons: 6}\nlogs: {level: debug}")
    given = environ | {
        "LOQUA_LESSONS__MAX_LESSONS": "20",
        "LOQUA_LOGS__FORMAT": "json",
        "LOQUA_API__BREAKER__FAILURES": "7",
        "LOQUA_SECRETS__FROM": "files",
        "LOQUA_OPS__PORT": "null",
        "LOQUA_MESSAGES__STILL_THERE__EN": "There: still?",
    }
    settings = load_settings(config, given)
    assert (settings.lessons.max_lessons, settings.lessons.drain_timeout) == (20, 30)
    assert (settings.logs.format, settings.logs.level) == ("json", "debug")
    assert settings.api.breaker.failures == 7
    assert settings.secrets.place == "files"
    assert settings.ops.port is None
    assert settings.messages.still_there["en"] == "There: still?"


def test_sections_and_lists_are_json(config: Path, environ: dict[str, str], write: Write) -> None:
    """Whole, and under them single keys; what is in a mapping of no model is what it looks like."""
    write("host.yaml", "engines: {tts: {use: 'a:B', options: {model: x, speed: 2}}}")
    given = environ | {
        "LOQUA_ENGINES__STT": '[{"use": "a:B"}, {"use": "c:D"}]',
        "LOQUA_ENGINES__TTS__OPTIONS__SPEED": "1.5",
        "LOQUA_ENGINES__TTS__OPTIONS__VOICE": "{language}",
        "LOQUA_ENGINES__TTS__SECRETS__API_KEY": "OPENAI_API_KEY",
        "LOQUA_API__REQUIRED_PERMISSIONS": '["user.progress"]',
        "LOQUA_LESSONS": '{"tick_every": 20}',
        "LOQUA_LESSONS__DRAIN_TIMEOUT": "40",
    }
    settings = load_settings(config, given)
    [tts] = settings.engines.tts
    assert tts.options == {"model": "x", "speed": 1.5, "voice": "{language}"}
    assert tts.secrets == {"api_key": "OPENAI_API_KEY"}
    assert [one.use for one in settings.engines.stt] == ["a:B", "c:D"]
    assert settings.api.required_permissions == {"user.progress"}
    assert (settings.lessons.tick_every, settings.lessons.drain_timeout) == (20, 40)


def test_variables_set_a_tutor_s_settings(
    config: Path, environ: dict[str, str], write: Write
) -> None:
    """By the tutor's name, in which a hyphen is an underscore."""
    write("tutors/past-tense.yaml", "{worker_type: explicit, agent_name: past, plugin: grammar}")
    given = environ | {
        "LOQUA_TUTORS__CONVERSATION__MAX_CONCURRENT_JOBS": "9",
        "LOQUA_TUTORS__PAST_TENSE__ENABLED": "false",
        "LOQUA_TUTORS__PAST_TENSE__SETTINGS__QUESTIONS": "5",
        "LOQUA_TUTORS__PAST_TENSE__SECRETS": '["MY_KEY"]',
    }
    conversation, past = load_settings(config, given).tutors
    assert (conversation.max_concurrent_jobs, conversation.enabled) == (9, True)
    assert (past.enabled, past.settings, past.secrets) == (False, {"questions": 5}, ("MY_KEY",))


def test_the_strongest_source_wins(config: Path, environ: dict[str, str], write: Write) -> None:
    """`LOQUA_…`, the guide's own variable, `.env`, overlay, host.yaml, in this order."""
    dotenv = config.parent / ".env"
    write("host.yaml", "livekit: {url: ws://base.example}")
    del environ["LIVEKIT_URL"]

    def url(**given: str) -> str:
        return load_settings(config, environ | given).livekit.url

    assert url() == "ws://base.example"
    write("environments/development.yaml", "livekit: {url: ws://overlay.example}")
    assert url() == "ws://overlay.example"
    dotenv.write_text("LIVEKIT_URL=ws://guide.env.example")
    assert url() == "ws://guide.env.example"
    dotenv.write_text("LIVEKIT_URL=ws://guide.env.example\nLOQUA_LIVEKIT__URL=ws://env.example")
    assert url() == "ws://env.example"
    assert url(LIVEKIT_URL="ws://guide.example") == "ws://guide.example"
    own = {"LOQUA_LIVEKIT__URL": "ws://own.example"}
    assert url(LIVEKIT_URL="ws://guide.example", **own) == "ws://own.example"
    assert url(LIVEKIT_URL="", LOQUA_LIVEKIT__URL="") == "ws://env.example"


def test_settings_made_by_hand_never_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a running host is empty, and that of a test is the tester's."""
    for name in ("AGENT_ID", "LOQUA_AGENT_ID", "LIVEKIT", "LESSONS__MAX_LESSONS", "agent_id"):
        monkeypatch.setenv(name, "7")
    written = {"livekit": {"url": "ws://l"}, "api": {"api_base_url": "http://a"}, "tutors": ()}
    with pytest.raises(ValueError, match="agent_id"):
        HostSettings.model_validate(written | {"environment": "development"})


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("LOQUA_LESSONS__MAX_LESSON", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_LESONS__MAX_LESSONS", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_LESSONS_MAX_LESSONS", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA__LESSONS__MAX_LESSONS", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_LESSONS__MAX__LESSONS", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_MAX_LESSONS", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_LESSONS__MAX_LESSONS__X", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("loqua_lessons__max_lessons", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("Loqua_Lessons__Max_Lessons", "did you mean LOQUA_LESSONS__MAX_LESSONS?"),
        ("LOQUA_ENVIROMENT", "did you mean LOQUA_ENVIRONMENT?"),
        ("LOQUA_LIVEKIT_URL", "did you mean LIVEKIT_URL?"),
        ("LOQUA_SHARED_SECRET", "did you mean SHARED_SECRET?"),
        ("LOQUA_OPS__TOKEN", "did you mean OPS_TOKEN?"),
        ("LOQUA_API__SHARED_SECRET", "did you mean SHARED_SECRET?"),
        ("LOQUA_SECRETS__AGENT_JWT_TOKEN", "did you mean AGENT_JWT_TOKEN?"),
        ("LOQUA_TUTORS__CONVERSTION__ENABLED", "did you mean LOQUA_TUTORS__CONVERSATION__ENABLED?"),
        ("LOQUA_TUTORS__CONVERSATION__NAME", "did you mean LOQUA_TUTORS__CONVERSATION__"),
        ("LOQUA_TUTORS", "unset it"),
        ("LOQUA_LESSONS__", "did you mean LOQUA_LESSONS?"),
        ("LOQUA_", "unset it"),
        ("LOQUA_FLAVOUR", "unset it; `check --explain` lists settings"),
    ],
)
def test_a_variable_that_sets_nothing_is_a_mistake(
    mistakes: Mistakes, name: str, mistake: str
) -> None:
    """Whatever is misspelt in it; what it holds is not shown, for it may be a secret."""
    [problem] = mistakes(**{name: "hunter2"})
    assert problem.startswith(f"{name}: matches no setting; {mistake}")
    assert "hunter2" not in problem


def test_a_misspelt_variable_in_dotenv_is_a_mistake_of_that_file(
    config: Path, mistakes: Mistakes
) -> None:
    """As is a wrong value in it."""
    dotenv = config.parent / ".env"
    dotenv.write_text("LOQUA_LESONS__TICK_EVERY=3\nLOQUA_LESSONS__RECONNECT_TIMEOUT=soon\n")
    own, misspelt, wrong = mistakes(LOQUA_LESONS__TICK_EVERY="3")
    assert own.startswith("LOQUA_LESONS__TICK_EVERY: matches no setting")
    assert misspelt.startswith(
        f"{dotenv}: LOQUA_LESONS__TICK_EVERY: matches no setting; did you mean"
    )
    assert wrong.startswith(f"{dotenv}: LOQUA_LESSONS__RECONNECT_TIMEOUT: should be a valid number")


def test_variables_that_are_no_settings_are_left_alone(
    config: Path, environ: dict[str, str]
) -> None:
    """Secrets, whose names have one underscore, and Kubernetes' of a service `loqua-ops`."""
    given = {
        "OPS_TOKEN": "a token",
        "LESSONS__MAX_LESSONS": "3",
        "LOQUA_ENVIRONMENT": "development",
        "LOQUA_OPS_SERVICE_HOST": "10.0.0.1",
        "LOQUA_OPS_SERVICE_PORT": "9464",
        "LOQUA_OPS_SERVICE_PORT_METRICS": "9464",
        "LOQUA_OPS_PORT": "tcp://10.0.0.1:9464",
        "LOQUA_OPS_PORT_9464_TCP": "tcp://10.0.0.1:9464",
        "LOQUA_OPS_PORT_9464_TCP_ADDR": "10.0.0.1",
    }
    assert load_settings(config, environ | given) == load_settings(config, environ)


def test_without_such_a_service_a_port_is_a_misspelt_setting(mistakes: Mistakes) -> None:
    """One underscore does for none of two."""
    [problem] = mistakes(LOQUA_OPS_PORT="9000")
    assert problem == "LOQUA_OPS_PORT: matches no setting; did you mean LOQUA_OPS__PORT?"


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        (
            "LOQUA_LESSONS__MAX_LESSONS",
            "many",
            "LOQUA_LESSONS__MAX_LESSONS: should be auto or an integer from 1 to 10000; write the",
        ),
        (
            "LOQUA_LESSONS__RECONNECT_TIMEOUT",
            "inf",
            "LOQUA_LESSONS__RECONNECT_TIMEOUT: should be a finite number; write",
        ),
        ("LOQUA_API__BACKOFF", "inf", "LOQUA_API__BACKOFF: should be a finite number; write"),
        ("LOQUA_OPS__PORT", "", None),
        ("LOQUA_LESSONS", "3", "LOQUA_LESSONS: should be a valid dictionary"),
        (
            "LOQUA_LESSONS",
            '{"tick_every": 20',
            "LOQUA_LESSONS: is not JSON; write as JSON a section with ",
        ),
        (
            "LOQUA_LESSONS",
            '{"reconnect_timeout": 1, "reconnect_timeout": 2}',
            "LOQUA_LESSONS: is not JSON; write as JSON a section with ",
        ),
        (
            "LOQUA_LESSONS",
            '{"reconnect_timeout": NaN}',
            "LOQUA_LESSONS: is not JSON; write as JSON a section with ",
        ),
        ("LOQUA_LESSONS", "[" * 9999, "LOQUA_LESSONS: is not JSON; write as JSON a section with "),
        ("LOQUA_LESSONS", '{"tick_evry": 2}', "LOQUA_LESSONS: tick_evry: is not a known key; wri"),
        ("LOQUA_ENGINES__STT", "{}", "LOQUA_ENGINES__STT: use: is missing; write the engine"),
        (
            "LOQUA_ENGINES__STT__OPTIONS__X",
            "1",
            "LOQUA_ENGINES__STT__USE: is missing; write the engine",
        ),
        ("LOQUA_API__DEADLINE", "3", "LOQUA_API__DEADLINE: write times so that connect_timeout"),
        ("LOQUA_AGENT_ID", "a b", "LOQUA_AGENT_ID: string should match"),
        ("LOQUA_TUTORS__CONVERSATION__ENABLED", "maybe", "LOQUA_TUTORS__CONVERSATION__ENABLED: "),
        (
            "LOQUA_TUTORS__CONVERSATION__PLUGIN",
            "latin",
            "LOQUA_TUTORS__CONVERSATION__PLUGIN: the plugin 'latin' is not installed",
        ),
        (
            "LOQUA_TUTORS__CONVERSATION__SECRETS",
            '["SHARED_SECRET"]',
            "LOQUA_TUTORS__CONVERSATION__SECRETS: SHARED_SECRET is a secret of the host",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_names_the_variable_that_has_it(
    mistakes: Mistakes, name: str, value: str, mistake: str | None
) -> None:
    """And what to write; an empty variable counts as not set."""
    problems = mistakes(**{name: value})
    assert len(problems) == (mistake is not None)
    assert mistake is None or problems[0].startswith(mistake)


def test_a_missing_address_is_the_guide_s_variable(config: Path, write: Write) -> None:
    """Also where its section is there, and whatever else is set."""
    write("host.yaml", "livekit: {}\napi: {retries: 1}")
    with pytest.raises(ConfigError) as refused:
        load_settings(config, {"LOQUA_API__RETRIES": "2", "AGENT_ID": ""})
    assert [it.where for it in refused.value.problems] == [
        "AGENT_ID",
        "LIVEKIT_URL",
        "API_BASE_URL",
    ]


def test_variables_files_and_tutors_are_reported_at_once(write: Write, mistakes: Mistakes) -> None:
    """A broken file is no empty one, and hides no mistake of another source."""
    write("host.yaml", "lessons: [")
    write("environments/development.yaml", "logs: {format: xml}")
    write("tutors/broken.yaml", "a: b: c")
    problems = mistakes(
        LOQUA_LESSONS__RECONNECT_TIMEOUT="soon", LOQUA_LESSNS="{}", LIVEKIT_URL="http://x"
    )
    assert [it.partition(": ")[0] for it in problems] == [
        "LOQUA_LESSNS",
        "host.yaml",
        "LIVEKIT_URL",
        "LOQUA_LESSONS__RECONNECT_TIMEOUT",
        "environments/development.yaml",
        "tutors/broken.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("livekit: {api_secret: hunter2}", "LIVEKIT_API_SECRET"),
        ("api: {shared_secret: hunter2}", "SHARED_SECRET"),
        ("secrets: {AGENT_JWT_TOKEN: hunter2}", "AGENT_JWT_TOKEN"),
        ("OPS_TOKEN: hunter2", "OPS_TOKEN"),
        ("ledger: {url: hunter2}", "LEDGER_URL"),
    ],
)
def test_a_secret_in_a_file_is_sent_where_it_belongs(
    write: Write, mistakes: Mistakes, text: str, secret: str
) -> None:
    """Without showing it."""
    write("host.yaml", text)
    [problem] = mistakes()
    assert problem.endswith(
        f"is not a known key; remove it, and set {secret} where the secrets are"
    )
    assert "hunter2" not in problem


def test_no_source_shows_what_is_in_it(config: Path, environ: dict[str, str], write: Write) -> None:
    """A secret at the wrong place, or at its own, shows in nothing that is printed or raised."""
    write("host.yaml", "livekit: {api_secret: hunter2}\nengines: {tts: {options: {x: hunter2}}}")
    write("tutors/conversation.yaml", "token: hunter2")
    secret = "hunter2"
    names = ("LOQUA_SHARED_SECRET", "SHARED_SECRET", "LOQUA_OPS__PORT", "LOQUA_TUTORS__X__Y")
    sources = read_sources(config, environ | dict.fromkeys(names, secret))
    assert secret not in f"{sources!r} {sources.host!r} {sources.host.all!r} {sources.unknown!r}"
    with pytest.raises(ValidationError) as refused:
        HostSettings.read(sources.host.all, environment="development", tutors=())
    assert secret not in f"{refused.value!s} {refused.value!r}"


def test_an_open_address_that_a_variable_replaces_is_no_mistake(
    write: Write, mistakes: Mistakes
) -> None:
    """And one that a variable gives is that variable's."""
    write(
        "environments/production.yaml", "engines: {tts: {use: 'a:B', options: {url: 'http://t'}}}"
    )
    given = {
        "LOQUA_ENVIRONMENT": "production",
        "API_BASE_URL": "https://api.example",
        "LIVEKIT_URL": "wss://livekit.example",
    }
    [before] = mistakes(**given)
    assert before.startswith(
        "environments/production.yaml: engines.tts.options.url: is not encrypted"
    )
    assert mistakes(**given, LOQUA_ENGINES__TTS="null") == []
    [own] = mistakes(**given, LOQUA_ENGINES__TTS__OPTIONS__URL="http://u")
    assert own.startswith("LOQUA_ENGINES__TTS__OPTIONS__URL: is not encrypted")


_names = st.lists(
    st.sampled_from(
        ["LESSONS", "ENGINES", "TTS", "OPTIONS", "USE", "0", "", "TUTORS", "CONVERSATION"]
    ),
    min_size=1,
    max_size=5,
).map(lambda keys: "LOQUA_" + "__".join(keys))
_values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_json = st.sampled_from(["{}", "[]", "null", "1", "true", '{"use": "a:B"}', '[{"use": 3}]', '{"'])


@hypothesis_settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(variables=st.dictionaries(_names, _values | _json, max_size=4))
def test_any_variables_give_settings_or_say_what_is_wrong(
    config: Path, environ: dict[str, str], variables: dict[str, str]
) -> None:
    """No other exception, whatever is in the environment."""
    problems, loaded = [], None
    try:
        loaded = load_settings(config, environ | variables)
    except ConfigError as error:
        problems = error.problems
    assert problems or isinstance(loaded, HostSettings)

"""Loading of settings from config/ and the environment, with all mistakes at once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from tests.certificates import issue

from loqua_host.errors import ConfigError
from loqua_host.settings.host import Environment, HostSettings
from loqua_host.settings.load import draft, load_settings

Write = Callable[[str, str], Path]
Mistakes = Callable[..., list[str]]
SHIPPED = Path(__file__).parents[3] / "config"


def test_the_smallest_configuration_is_one_tutor_and_three_variables(
    config: Path, environ: dict[str, str]
) -> None:
    """Everything else has a default."""
    settings = load_settings(config, environ)
    assert settings.environment is Environment.DEVELOPMENT
    assert settings.agent_id == "loqua-host-1"
    assert settings.livekit.url == "ws://127.0.0.1:7880"
    assert str(settings.api.api_base_url) == "http://127.0.0.1:9000/"
    assert [tutor.plugin for tutor in settings.enabled_tutors] == ["conversation"]


@pytest.mark.parametrize("environment", list(Environment))
def test_the_shipped_configuration_is_sound(environment: Environment) -> None:
    """Each environment loads with addresses that suit it, and dispatches as the guide says."""
    settings = load_settings(
        SHIPPED,
        {
            "LOQUA_ENVIRONMENT": environment,
            "AGENT_ID": "loqua-host-1",
            "API_BASE_URL": "https://api.loqua.app",
            "LIVEKIT_URL": "wss://livekit.loqua.app",
        },
    )
    dispatch = [(t.worker_type, t.agent_name, t.max_concurrent_jobs) for t in settings.tutors]
    assert dispatch == [
        ("automatic", None, 10),
        ("explicit", "grammar-specialist", 2),
        ("explicit", "pronunciation-specialist", 2),
    ]
    assert set(settings.messages.lesson_unavailable) == {"en", "es", "fr", "de", "it"}


def test_the_overlay_of_the_environment_wins_key_by_key(
    config: Path, environ: dict[str, str], write: Write
) -> None:
    """Other keys keep the values of host.yaml."""
    write("host.yaml", "lessons: {tick_every: 20, drain_timeout: 30}")
    write("environments/staging.yaml", "lessons: {drain_timeout: 60}")
    settings = load_settings(config, environ | {"LOQUA_ENVIRONMENT": "staging"})
    assert (settings.lessons.tick_every, settings.lessons.drain_timeout) == (20, 60)


def test_variables_win_over_files(config: Path, environ: dict[str, str], write: Write) -> None:
    """An address in a file is what the variable is measured against, and loses."""
    write("host.yaml", "livekit: {url: wss://elsewhere.example}")
    assert load_settings(config, environ).livekit.url == environ["LIVEKIT_URL"]
    assert (
        load_settings(config, environ | {"LIVEKIT_URL": ""}).livekit.url
        == "wss://elsewhere.example"
    )


def test_dotenv_is_read_in_development_under_the_environment(config: Path) -> None:
    """`.env` beside config/ fills in what the environment does not say."""
    (config.parent / ".env").write_text(
        "AGENT_ID=from-file\nLIVEKIT_URL=ws://localhost:1\nAPI_BASE_URL=http://[::1]:2\n"
    )
    settings = load_settings(config, {"AGENT_ID": "from-environment"})
    assert settings.agent_id == "from-environment"
    assert settings.livekit.url == "ws://localhost:1"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_dotenv_elsewhere_is_refused(config: Path, mistakes: Mistakes, environment: str) -> None:
    """Its mere existence stops a start outside development."""
    (config.parent / ".env").touch()
    [mistake] = mistakes(LOQUA_ENVIRONMENT=environment)
    assert mistake.startswith(f"{config.parent}/.env: is for development only; remove the file")


def test_an_unreadable_dotenv_is_a_mistake(config: Path, mistakes: Mistakes) -> None:
    """Bytes that are no text are not guessed at."""
    (config.parent / ".env").write_bytes(b"AGENT_ID=\xff")
    [mistake] = mistakes()
    assert "cannot be read as UTF-8 text" in mistake


def test_every_mistake_is_reported_at_once(config: Path, write: Write) -> None:
    """Host file, overlay, variables, and each tutor have their say in one error."""
    write("host.yaml", "lessons: {tick_evry: 20}\nlogs: {format: xml}")
    write("environments/production.yaml", "lessons: {learner_timeout: 5}")
    write("tutors/grammar.yaml", "worker_type: explicit\nmax_concurrent_jobs: 0")
    write("tutors/broken.yaml", "worker_type: [")
    with pytest.raises(ConfigError) as refused:
        load_settings(config, {"LOQUA_ENVIRONMENT": "production", "LIVEKIT_AGENT_NAME": "x"})
    places = {problem.where.replace(f"{config}/", "") for problem in refused.value.problems}
    assert places == {
        "LIVEKIT_AGENT_NAME",
        "AGENT_ID",
        "LIVEKIT_URL",
        "API_BASE_URL",
        "host.yaml: lessons.tick_evry",
        "host.yaml: logs.format",
        "environments/production.yaml: lessons.learner_timeout",
        "tutors/grammar.yaml: max_concurrent_jobs",
        "tutors/broken.yaml: line 1",
    }
    assert str(refused.value).count("\n") == len(places) - 1


def test_an_unknown_key_names_the_one_that_was_meant(write: Write, mistakes: Mistakes) -> None:
    """The nearest known key is what to write."""
    write("host.yaml", "lessons: {tick_evry: 20}\nlesons: {}")
    write("tutors/conversation.yaml", "worker_type: automatic\nagent-name: other")
    assert sorted(mistakes()) == [
        "host.yaml: lesons: is not a known key; write lessons",
        "host.yaml: lessons.tick_evry: is not a known key; write tick_every",
        "tutors/conversation.yaml: agent-name: is not a known key; write agent_name",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("lessons: {learner_timeout: 5}", "lessons.learner_timeout: should be greater than"),
        ("lessons: {max_lessons: many}", "lessons.max_lessons: should be auto or an integer from"),
        ("lessons: {max_lessons: 0}", "lessons.max_lessons: should be auto or an integer from 1"),
        ("lessons: {drain_timeout: .inf}", "lessons.drain_timeout: should be a valid number"),
        ("lessons: {drain_timeout: inf}", "lessons.drain_timeout: should be a finite number"),
        ("lessons: 3", "lessons: should be a valid dictionary"),
        ("api: {retries: 9}", "api.retries: should be less than or equal to 3"),
        ("engines: {stt: {use: no-import-string}}", "engines.stt.use: string should match"),
        ("engines: {stt: {options: {}}}", "engines.stt.use: is missing; write the engine"),
        (
            "engines: {tts: [{use: a:B}, {options: {}}]}",
            "engines.tts[1].use: is missing; write the engine",
        ),
        ("engines: {tts: [{use: a:B}, {usee: a:B, use: a:C}]}", "engines.tts[1].usee: is not a"),
        ("engines: {llm: [a:B]}", "engines.llm[0]: should be a valid dictionary"),
        (f"engines: {{llm: [{', '.join(['{use: a:B}'] * 6)}]}}", "engines.llm: tuple should have"),
        ("messages: {time_is_up: {es: Adiós}}", "messages.time_is_up: has no English text"),
        ("environment: production", "environment: is not a known key"),
        ("tutors: []", "tutors: is not a known key"),
    ],
)
def test_a_wrong_value_is_reported_with_file_key_and_what_to_write(
    write: Write, mistakes: Mistakes, text: str, mistake: str
) -> None:
    """The hint is the setting's own description."""
    write("host.yaml", text)
    [problem] = mistakes()
    assert problem.startswith(f"host.yaml: {mistake}")
    assert "; write " in problem or "; remove it" in problem


def test_an_unknown_environment_is_refused_and_counts_as_the_strictest(
    mistakes: Mistakes,
) -> None:
    """A typing mistake does not open what production closes."""
    unknown, plain = mistakes(LOQUA_ENVIRONMENT="prod", LIVEKIT_URL="ws://livekit.example")
    assert unknown.endswith(
        "is not a known environment; write one of development, staging, production"
    )
    assert plain.startswith("LIVEKIT_URL: is not encrypted")


@pytest.mark.parametrize("name", ["LIVEKIT_AGENT_NAME", "LIVEKIT_AGENT_NAME_OVERRIDE"])
def test_a_variable_that_renames_all_tutors_is_refused(mistakes: Mistakes, name: str) -> None:
    """LiveKit would read it and dispatch otherwise than config says."""
    [mistake] = mistakes(**{name: "one-for-all"})
    assert mistake.startswith(f"{name}: would rename every tutor of this host; unset it")


def test_two_automatic_tutors_are_refused_by_name(write: Write, mistakes: Mistakes) -> None:
    """They would steal each other's rooms."""
    write("tutors/small-talk.yaml", "worker_type: automatic\nplugin: grammar")
    [mistake] = mistakes()
    assert "two tutors would join every room: conversation and small-talk" in mistake


def test_a_disabled_tutor_is_in_nobodys_way(write: Write, mistakes: Mistakes) -> None:
    """It may wait in config with what an enabled one could not have."""
    write("tutors/small-talk.yaml", "worker_type: automatic\nenabled: false")
    assert mistakes() == []


def test_two_tutors_of_one_agent_name_are_refused(write: Write, mistakes: Mistakes) -> None:
    """A dispatch by that name would reach either."""
    explicit = "worker_type: explicit\nagent_name: specialist\nplugin: grammar"
    write("tutors/first.yaml", explicit)
    write("tutors/second.yaml", explicit)
    assert [mistake.partition(";")[0] for mistake in mistakes()] == [
        "tutors/second.yaml: agent_name: first and second have the same agent_name 'specialist'",
    ]


def test_one_plugin_may_run_under_two_names(write: Write, mistakes: Mistakes) -> None:
    """Each with its own agent name and settings."""
    for name in ("present", "past"):
        write(
            f"tutors/{name}.yaml",
            f"worker_type: explicit\nagent_name: {name}-specialist\nplugin: grammar\n"
            f"settings: {{drill: {name}}}",
        )
    assert mistakes() == []


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("worker_type: automatic\nagent_name: x", "agent_name: an automatic tutor has no agent"),
        ("worker_type: explicit", "agent_name: an explicit tutor needs an agent name"),
        ("agent_name: x", "worker_type: is missing; write automatic to join every new room"),
        ("worker_type: both", "worker_type: should be 'automatic' or 'explicit'; write"),
        ("worker_type: explicit\nagent_name: A b", "agent_name: string should match"),
        (
            "worker_type: automatic\nplugin: a\nagent: b:C",
            "plugin: is set beside agent; write plugin or agent, not both",
        ),
        (
            "worker_type: automatic\nsecrets: [SHARED_SECRET]",
            "secrets: SHARED_SECRET is a secret of the host; name one of the tutor's own secrets",
        ),
        (
            "{worker_type: automatic, engines: {llm: {use: a:B, secrets: {k: DEV_AGENT_SECRET}}}}",
            "engines.llm: DEV_AGENT_SECRET is a secret of the host",
        ),
        (
            (
                "{worker_type: automatic, engines: {tts: [{use: a:B}, {use: a:B,"
                " secrets: {k: PROD_AGENT_SECRET}}]}}"
            ),
            "engines.tts[1]: PROD_AGENT_SECRET is a secret of the host",
        ),
    ],
)
def test_a_tutor_that_cannot_be_dispatched_is_refused(
    write: Write, mistakes: Mistakes, text: str, mistake: str
) -> None:
    """worker_type and agent_name fit each other, and no tutor takes what is the host's."""
    write("tutors/conversation.yaml", text)
    [problem] = mistakes()
    assert problem.startswith(f"tutors/conversation.yaml: {mistake}")


def test_a_tutor_that_is_not_installed_is_refused(write: Write, mistakes: Mistakes) -> None:
    """The message lists installed ones; a bare agent needs no plugin."""
    write("tutors/latin.yaml", "worker_type: explicit\nagent_name: latin")
    write("tutors/mine.yaml", "worker_type: explicit\nagent_name: mine\nagent: my_tutor:Mine")
    [mistake] = mistakes()
    assert mistake.startswith("tutors/latin.yaml: plugin: the plugin 'latin' is not installed")
    assert "conversation, grammar, pronunciation" in mistake


def test_a_host_without_an_enabled_tutor_is_refused(write: Write, mistakes: Mistakes) -> None:
    """It would wait for lessons that nobody can give."""
    write("tutors/conversation.yaml", "worker_type: automatic\nenabled: false")
    assert mistakes() == ["tutors: has no enabled tutor; write one with enabled: true"]


@pytest.mark.parametrize("name", ["grammar.yml", "Grammar.yaml", "my tutor.yaml"])
def test_a_file_that_is_no_tutors_is_not_passed_over(
    write: Write, mistakes: Mistakes, name: str
) -> None:
    """A tutor that silently does not run is a mistake found late."""
    write(f"tutors/{name}", "worker_type: automatic")
    [mistake] = mistakes()
    assert mistake.startswith(f"tutors/{name}: is not a tutor's file; rename it")


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example",
        "HTTP://10.0.0.1/v1",
        "ws://[2001:db8::1]:7880",
        "http://127.0.0.1.nip.io",
    ],
)
def test_production_refuses_what_goes_over_a_network_in_the_open(
    write: Write, mistakes: Mistakes, address: str
) -> None:
    """Wherever an address stands: a variable, an engine's argument, a tutor's own settings."""
    write("host.yaml", f"engines: {{stt: {{use: 'a:B', options: {{base_url: '{address}'}}}}}}")
    write("tutors/conversation.yaml", f"worker_type: automatic\nsettings: {{a: ['{address}']}}")
    places = [
        problem.split(": is not encrypted")[0]
        for problem in mistakes(LOQUA_ENVIRONMENT="production", LIVEKIT_URL="ws://livekit.example")
    ]
    assert sorted(places) == [
        "LIVEKIT_URL",
        "host.yaml: engines.stt.options.base_url",
        "tutors/conversation.yaml: settings.a[0]",
    ]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8085", "127.8.8.8", "[::1]:80"])
def test_production_takes_plain_addresses_of_this_machine(mistakes: Mistakes, host: str) -> None:
    """Traffic inside of the machine needs no encryption."""
    found = mistakes(
        LOQUA_ENVIRONMENT="production", LIVEKIT_URL=f"ws://{host}", API_BASE_URL=f"http://{host}"
    )
    assert found == []


def test_production_opens_no_ops_address_to_a_network_without_tls(
    write: Write, mistakes: Mistakes, tmp_path: Path
) -> None:
    """Its token would go there in the open; on loopback, or behind a certificate, it may."""
    write("host.yaml", "ops: {address: 10.0.0.7}")
    [problem] = mistakes(LOQUA_ENVIRONMENT="production")
    assert problem.startswith(
        "host.yaml: ops.address: is open to a network, without TLS; write ops.tls"
    )
    assert mistakes(LOQUA_ENVIRONMENT="development") == []
    tls = issue(tmp_path)
    for ops in ({"address": "127.0.0.1"}, {"address": "10.0.0.7", "tls": tls}):
        write("host.yaml", yaml.safe_dump({"ops": ops}))
        assert mistakes(LOQUA_ENVIRONMENT="production") == []


def test_a_certificate_that_cannot_be_served_is_reported_by_its_key(
    write: Write, mistakes: Mistakes, tmp_path: Path
) -> None:
    """A file that is not there, one that is none, a key of another, a key with a password."""
    for folder in ("one", "other", "sealed"):
        (tmp_path / folder).mkdir()
    one, other = issue(tmp_path / "one"), issue(tmp_path / "other")
    sealed = issue(tmp_path / "sealed", password=b"a password")
    apart = "host.yaml: ops.tls: names no matching certificate and key; write"
    for tls, start in (
        ({**one, "key": "/nowhere.key"}, "host.yaml: ops.tls.key: cannot be read: No such file"),
        ({"certificate": one["certificate"]}, "host.yaml: ops.tls.key: is missing; write the PEM"),
        ({**one, "certificate": one["key"]}, apart),
        ({**one, "key": other["key"]}, apart),
        (sealed, apart),
    ):
        write("host.yaml", yaml.safe_dump({"ops": {"tls": tls}}))
        [problem] = mistakes()
        assert problem.startswith(start)


def test_a_configuration_that_is_not_there_says_so(tmp_path: Path) -> None:
    """The report on a wrong --config names the missing file."""
    with pytest.raises(ConfigError, match=r"nowhere/host\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere", {})


def test_a_tutors_own_engine_replaces_the_hosts_whole(
    config: Path, environ: dict[str, str], write: Write
) -> None:
    """No argument of the host's engine ends up in another one; the rest stays the host's."""
    write(
        "host.yaml",
        "engines: {stt: {use: 'a:B', options: {x: 1}}, tts: {use: 'a:T'}, turn: {min_delay: 1}}",
    )
    write(
        "tutors/conversation.yaml",
        "worker_type: automatic\nagent_id: own-id\n"
        "engines: {stt: {use: 'c:D', secrets: {api_key: STT_KEY}}}\nsecrets: [OTHER_KEY]",
    )
    settings = load_settings(config, environ)
    [tutor] = settings.tutors
    engines = settings.engines_for(tutor)
    [stt] = engines.stt
    assert (stt.use, stt.options) == ("c:D", {})
    assert engines.tts == settings.engines.tts
    assert engines.turn.min_delay == 1
    assert settings.agent_id_for(tutor) == "own-id"
    assert settings.secret_names == {"STT_KEY", "OTHER_KEY"}


@pytest.mark.parametrize("nothing", ["null", "[]"])
def test_engines_are_written_one_by_itself_or_in_a_list(
    config: Path, environ: dict[str, str], write: Write, nothing: str
) -> None:
    """None at all is left to the tutor's agent; a tutor's own list replaces the host's."""
    write("host.yaml", "engines: {stt: {use: 'a:B'}, tts: [{use: 'a:T'}, {use: 'b:T'}]}")
    write("tutors/conversation.yaml", f"worker_type: automatic\nengines: {{stt: {nothing}}}")
    settings = load_settings(config, environ)
    assert [one.use for one in settings.engines.stt] == ["a:B"]
    [tutor] = settings.tutors
    engines = settings.engines_for(tutor)
    assert (engines.stt, [one.use for one in engines.tts]) == ((), ["a:T", "b:T"])


def test_a_draft_keeps_what_is_sound(config: Path, write: Write) -> None:
    """With a broken host.yaml, the tutors can still be looked at."""
    write("host.yaml", "lessons: [")
    drafted = draft(config, {})
    assert drafted.settings is None
    assert [tutor.name for tutor in drafted.tutors] == ["conversation"]


def test_settings_cannot_be_changed(config: Path, environ: dict[str, str]) -> None:
    """Validated settings stay valid."""
    settings = load_settings(config, environ)
    with pytest.raises(ValueError, match="frozen"):
        settings.agent_id = "other"  # type: ignore[misc]  # what the test is about


def test_every_setting_says_what_to_write() -> None:
    """Each leaf of the settings has a description, which is the hint of its mistakes."""
    silent = [place for place, description in _leaves(HostSettings, "") if not description]
    assert silent == []


def _leaves(model: type[BaseModel], place: str) -> Iterator[tuple[str, str | None]]:
    for name, field in model.model_fields.items():
        options = (field.annotation, *get_args(field.annotation))
        inner = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not inner or field.default is PydanticUndefined:
            yield f"{place}{name}", field.description
        for nested in inner:
            yield from _leaves(nested, f"{place}{name}.")


@pytest.mark.parametrize(
    ("resources", "most"),
    [
        pytest.param("conversation", 10, id="conversation"),
        pytest.param("ai-processing", 5, id="ai-processing"),
        pytest.param("specialised", 3, id="specialised"),
    ],
)
def test_a_tutor_admits_no_more_lessons_than_its_resources_are_for(
    write: Write, mistakes: Mistakes, resources: str, most: int
) -> None:
    """The guide's table; fewer lessons are no mistake."""
    tutor = f"worker_type: automatic\nresources: {resources}\nmax_concurrent_jobs: "
    for fitting in (1, most):
        write("tutors/conversation.yaml", f"{tutor}{fitting}")
        assert mistakes() == []
    write("tutors/conversation.yaml", f"{tutor}{most + 1}")
    [mistake] = mistakes()
    assert mistake.startswith(
        f"tutors/conversation.yaml: max_concurrent_jobs: {most + 1} lessons do not fit resources: "
        f"{resources}, which is for "
    )
    assert mistake.endswith(f"; write {most} or less, or other resources")


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PRODUCTION])
def test_the_timeline_of_what_learners_say_is_for_development_only(
    write: Write, config: Path, environ: dict[str, str], environment: Environment
) -> None:
    """Elsewhere a host does not start with it."""
    write("host.yaml", "lessons: {timeline: true}")
    assert load_settings(config, environ).lessons.in_jobs.timeline
    problems = draft(config, environ | {"LOQUA_ENVIRONMENT": environment}).problems
    [found] = [problem for problem in problems if "timeline" in problem.where]
    assert found.what == "would show what learners say"
    assert found.hint == "write false outside development"

"""The host's secrets: complete, long enough, and never shown."""

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loqua_host.core import CoreSettings
from loqua_host.core.secrets import CoreSecret, Sealed, SecretsSettings
from loqua_host.core.settings import StoreSettings
from loqua_host.errors import ConfigError
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.secrets import (
    HOST_SECRETS,
    HostSecrets,
    LiveKitKey,
    WantedSecrets,
    read_secrets,
)

GIVEN = {
    "LEDGER_KEY": "ledger-" * 6,
    "AGENT_JWT_TOKEN": "header.payload.signature",
    "SHARED_SECRET": "shared-secret-of-the-api-team-0001",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "livekit-secret-of-thirty-two-bytes",
}

ANYWHERE = "0.0.0.0"  # noqa: S104  # nothing listens there


def granting(*names: str) -> WantedSecrets:
    """Grant these secrets in config."""
    return WantedSecrets(granted=frozenset(names))


def test_a_secret_that_is_missing_is_named_with_the_setting_that_names_it(config: Path) -> None:
    """File, key and which engine of a list; the host's own are named by nobody else."""
    for place, file in (
        ((None, ("engines", "tts", 1)), "host.yaml: engines.tts[1]"),
        (("grammar", ("engines", "stt")), "tutors/grammar.yaml: engines.stt"),
    ):
        wanted = WantedSecrets(granted=frozenset({"A_KEY"}), named={"A_KEY": place})
        with pytest.raises(ConfigError) as refused:
            read_secrets(config, GIVEN, wanted)
        [problem] = refused.value.problems
        assert (problem.where, problem.what) == (
            "A_KEY",
            f"is not set, and {config}/{file} needs it",
        )


def test_regions_need_a_ledger_that_they_share(config: Path) -> None:
    """A file is one host's."""
    with pytest.raises(ConfigError, match="LEDGER_URL: is not set, and regions: in"):
        read_secrets(config, GIVEN, WantedSecrets(shared_ledger=True))
    shared = GIVEN | {"LEDGER_URL": "postgresql://loqua@localhost/loqua"}
    read_secrets(config, shared, WantedSecrets(shared_ledger=True))


async def shared(secrets: HostSecrets) -> list[str]:
    """Return the shared secret and the one before, if there is one."""
    read = await secrets.cache.read(CoreSecret.SHARED_SECRET)
    return [value.get_secret_value() for value in read.values()]


async def agent_jwt(secrets: HostSecrets) -> str:
    """Return the agent's JWT."""
    return (await secrets.cache.read(CoreSecret.AGENT_JWT_TOKEN)).current.get_secret_value()


async def test_all_secrets_of_the_guide_are_read(config: Path) -> None:
    """Each comes from its variable."""
    secrets = read_secrets(config, GIVEN)
    assert await agent_jwt(secrets) == GIVEN["AGENT_JWT_TOKEN"]
    assert await shared(secrets) == [GIVEN["SHARED_SECRET"]]
    key = LiveKitKey(Sealed(GIVEN["LIVEKIT_API_KEY"]), Sealed(GIVEN["LIVEKIT_API_SECRET"]))
    assert secrets.livekit() == key
    assert secrets.livekit_keys() == (key,)
    assert secrets.ops_tokens() == ()


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ("development", "DEV_AGENT_SECRET"),
        ("staging", "STAGING_AGENT_SECRET"),
        ("production", "PROD_AGENT_SECRET"),
    ],
)
async def test_each_environment_has_its_own_shared_secret(
    config: Path, environment: str, variable: str
) -> None:
    """The environment's own wins over SHARED_SECRET, and no other one does."""
    others = {"DEV_AGENT_SECRET": "d" * 32, "STAGING_AGENT_SECRET": "s" * 32}
    others["PROD_AGENT_SECRET"] = "p" * 32
    environ = GIVEN | {"LOQUA_ENVIRONMENT": environment}
    assert await shared(read_secrets(config, environ | others)) == [others[variable]]
    before = {f"{variable}_PREVIOUS": "o" * 32}
    assert await shared(read_secrets(config, environ | others | before)) == [
        others[variable],
        "o" * 32,
    ]
    del others[variable]
    assert await shared(read_secrets(config, environ | others)) == [GIVEN["SHARED_SECRET"]]


def test_missing_secrets_are_reported_all_at_once(config: Path) -> None:
    """Those of the host and those that config grants are named by their variables."""
    with pytest.raises(ConfigError) as refused:
        read_secrets(
            config, {"SHARED_SECRET": "x", "LIVEKIT_API_KEY": ""}, granting("OPENAI_API_KEY")
        )
    assert [problem.where for problem in refused.value.problems] == [
        "AGENT_JWT_TOKEN",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
        "OPENAI_API_KEY",
    ]


def test_the_ledgers_key_may_be_missing_in_development_only(config: Path) -> None:
    """Learning data is personal; the key before it is read for rotation."""
    without = {name: value for name, value in GIVEN.items() if name != "LEDGER_KEY"}
    assert read_secrets(config, without).ledger.open_keys() == []
    with pytest.raises(ConfigError, match="LEDGER_KEY: is not set"):
        read_secrets(config, without | {"LOQUA_ENVIRONMENT": "production"})
    rotated = GIVEN | {"LEDGER_KEY_PREVIOUS": "before"}
    assert read_secrets(config, rotated).ledger.open_keys() == [GIVEN["LEDGER_KEY"], "before"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql:///loqua?host=/run/postgresql", None),
        ("postgres://loqua:pw@localhost:5433/loqua", None),
        ("postgresql://loqua:pw@[::1]/loqua", None),
        ("postgresql://loqua:pw@db.loqua.app/loqua?sslmode=verify-full", None),
        ("postgresql://loqua:pw@db1,db2:5433/loqua?sslmode=verify-full", None),
        ("postgresql://loqua:pw@db.loqua.app/loqua", "does not use TLS"),
        ("postgresql://loqua:pw@db.loqua.app/loqua?sslmode=require", "does not use TLS"),
        ("postgresql://loqua:pw@localhost,db.loqua.app:5432/loqua", "does not use TLS"),
        ("postgresql:///loqua?host=10.0.0.1", "does not use TLS"),
        ("postgresql://localhost/loqua?hostaddr=10.0.0.1", "does not use TLS"),
        ("mysql://loqua:pw@localhost/loqua", "is not a Postgres URL"),
        ("postgresql://loqua:p[w@localhost/loqua", "is not a Postgres URL"),
        ("db.loqua.app", "is not a Postgres URL"),
    ],
)
def test_the_ledgers_postgres_is_reached_in_no_open_network(
    config: Path, url: str, problem: str | None
) -> None:
    """In production only to a verified server, but on this machine; its password is not shown."""
    environ = GIVEN | {"LEDGER_URL": url, "LOQUA_ENVIRONMENT": "production"}
    if problem is None:
        assert read_secrets(config, environ).ledger.open_url() == url
        return
    with pytest.raises(ConfigError, match=f"LEDGER_URL: {problem}") as refused:
        read_secrets(config, environ)
    assert "pw" not in str(refused.value)
    if problem == "does not use TLS":
        read_secrets(config, environ | {"LOQUA_ENVIRONMENT": "development"})


async def test_short_secrets_are_for_development_only(config: Path) -> None:
    """In production a key has as many bytes as its cipher or its HMAC."""
    short = GIVEN | {"SHARED_SECRET": "dev", "LIVEKIT_API_SECRET": "secret"}
    assert await shared(read_secrets(config, short)) == ["dev"]
    with pytest.raises(ConfigError) as refused:
        read_secrets(config, short | {"LOQUA_ENVIRONMENT": "production"})
    assert [problem.where for problem in refused.value.problems] == [
        "SHARED_SECRET",
        "LIVEKIT_API_SECRET",
    ]
    assert "dev" not in str(refused.value)


async def test_dotenv_may_hold_them_in_development(config: Path) -> None:
    """It may hold addresses, too."""
    (config.parent / ".env").write_text("".join(f"{k}={v}\n" for k, v in GIVEN.items()))
    assert await agent_jwt(read_secrets(config, {})) == GIVEN["AGENT_JWT_TOKEN"]


def test_granted_secrets_are_given_by_name_and_no_others(config: Path) -> None:
    """A tutor gets what config grants it; the host's own cannot be asked for."""
    secrets = read_secrets(config, GIVEN | {"A_KEY": "a", "B_KEY": "b"}, granting("A_KEY", "B_KEY"))
    assert secrets.grant(["B_KEY"]) == {"B_KEY": "b"}
    with pytest.raises(KeyError):
        secrets.grant(["SHARED_SECRET"])


def test_secrets_show_in_no_text(config: Path) -> None:
    """Neither printing nor formatting reveals one."""
    secrets = read_secrets(config, GIVEN | {"A_KEY": "granted"}, granting("A_KEY"))
    cache = secrets.cache
    shown = f"{secrets} {secrets!r} {secrets.grant(['A_KEY'])!r} {cache!r} {vars(cache)}"
    for value in (*GIVEN.values(), "granted"):
        assert value not in shown.replace("HostSecrets", "").replace("key=", "")


@pytest.mark.parametrize("leave", [pickle.dumps, copy.deepcopy])
def test_secrets_do_not_leave_the_process(config: Path, leave: object) -> None:
    """Pickled arguments, such as those of a job's start, cannot contain them."""
    assert callable(leave)
    with pytest.raises(TypeError, match="stays in this process"):
        leave(read_secrets(config, GIVEN))


async def test_secrets_may_be_files(config: Path, tmp_path: Path) -> None:
    """One for each, as Kubernetes and Docker mount them; then the environment has none."""
    for name, value in (GIVEN | {"A_KEY": "a"}).items():
        (tmp_path / name).write_text(f"{value}\n")
    place = SecretsSettings.model_validate({"from": "files", "files": {"directory": tmp_path}})
    secrets = read_secrets(
        config, {"SHARED_SECRET": "not this one"}, replace(granting("A_KEY"), place=place)
    )
    assert await shared(secrets) == [GIVEN["SHARED_SECRET"]]
    assert secrets.grant(["A_KEY"]) == {"A_KEY": "a"}
    (tmp_path / "LIVEKIT_API_KEY").unlink()
    with pytest.raises(ConfigError, match=f"LIVEKIT_API_KEY: is not in {tmp_path}; put"):
        read_secrets(config, GIVEN, WantedSecrets(place))


def test_a_source_out_of_reach_refuses_the_start(config: Path, tmp_path: Path) -> None:
    """The problem names the setting."""
    missing = {"from": "files", "files": {"directory": tmp_path / "nowhere"}}
    place = SecretsSettings.model_validate(missing)
    with pytest.raises(ConfigError, match=r"secrets: from: files: .*nowhere.* cannot be read"):
        read_secrets(config, GIVEN, WantedSecrets(place))


def test_a_secret_that_the_core_does_not_want_may_be_missing(config: Path) -> None:
    """An API that seals tokens with a key for each agent has no shared secret."""
    environ = {name: value for name, value in GIVEN.items() if name != "SHARED_SECRET"}
    read_secrets(config, environ, WantedSecrets(core=(CoreSecret.AGENT_JWT_TOKEN,)))
    with pytest.raises(ConfigError, match="SHARED_SECRET: is not set"):
        read_secrets(config, environ)


def test_an_open_ops_address_needs_a_token(config: Path) -> None:
    """The problem says what to write; one that is there opens it whatever the address."""
    is_open = WantedSecrets(ops_token=True)
    with pytest.raises(ConfigError, match=r"OPS_TOKEN: is not set, and ops\.address is open .*hex"):
        read_secrets(config, GIVEN, is_open)
    rotated = GIVEN | {"OPS_TOKEN": "new", "OPS_TOKEN_PREVIOUS": "old"}
    for wanted in (is_open, WantedSecrets()):
        assert read_secrets(config, rotated, wanted).ops_tokens() == (Sealed("new"), Sealed("old"))
    with pytest.raises(ConfigError, match="OPS_TOKEN: is too short"):
        read_secrets(config, rotated | {"LOQUA_ENVIRONMENT": "production"}, is_open)


@pytest.mark.parametrize(
    ("ops", "private"),
    [
        ({}, True),
        ({"address": "localhost"}, True),
        ({"address": "127.8.0.1"}, True),
        ({"address": "::1"}, True),
        ({"address": ANYWHERE}, False),
        ({"address": "::"}, False),
        ({"address": "10.0.0.7"}, False),
        ({"address": "ops.loqua.app"}, False),
        ({"address": ANYWHERE, "port": None}, True),
    ],
)
def test_an_ops_address_is_private_on_loopback_alone(ops: dict[str, Any], *, private: bool) -> None:
    """A name may lead anywhere, and none at all is the most private."""
    assert OpsSettings(**ops).is_private is private


async def test_what_is_granted_is_given_as_it_was_last_seen(config: Path, tmp_path: Path) -> None:
    """A job that is accepted after a rotation gets the new value; so do LiveKit's clients."""
    for name, value in (GIVEN | {"A_KEY": "one"}).items():
        (tmp_path / name).write_text(value)
    place = SecretsSettings.model_validate({"from": "files", "files": {"directory": tmp_path}})
    secrets = read_secrets(config, {}, replace(granting("A_KEY"), place=place))
    granted, before = secrets.grant(["A_KEY"]), secrets.livekit()
    (tmp_path / "A_KEY").write_text("two")
    (tmp_path / "LIVEKIT_API_SECRET").write_text("n" * 32)
    for name in ("A_KEY", "LIVEKIT_API_SECRET"):
        await secrets.cache.read(name, fresh=True)
    assert dict(granted) == {"A_KEY": "two"}
    assert secrets.livekit() == LiveKitKey(before.key, Sealed("n" * 32))
    assert secrets.livekit_keys() == (secrets.livekit(), before)


async def test_the_ledgers_key_is_given_as_it_was_last_seen(config: Path, tmp_path: Path) -> None:
    """With the one before behind it, which is not there any more."""
    for name, value in GIVEN.items():
        (tmp_path / name).write_text(value)
    place = SecretsSettings.model_validate({"from": "files", "files": {"directory": tmp_path}})
    secrets = read_secrets(config, {}, WantedSecrets(place))
    (tmp_path / "LEDGER_KEY").write_text("another-" * 4)
    await secrets.cache.read("LEDGER_KEY", fresh=True)
    assert secrets.ledger.open_keys() == ["another-" * 4, GIVEN["LEDGER_KEY"]]


@pytest.mark.parametrize(
    ("variable", "bad"),
    [
        ("AGENT_JWT_TOKEN", "Bearer header.payload.signature"),
        ("AGENT_JWT_TOKEN", "h\N{LATIN SMALL LETTER E WITH ACUTE}ader.payload.signature"),
        ("SHARED_SECRET", "one\ntwo"),
        ("DEV_AGENT_SECRET", "\udcff"),
        ("LIVEKIT_API_SECRET", "a\x00b"),
        ("OPS_TOKEN", "two words"),
    ],
)
def test_a_secret_that_cannot_be_used_refuses_the_start_beside_all_else(
    config: Path, variable: str, bad: str
) -> None:
    """By its variable, with what to write, and never its value."""
    given = {**GIVEN, variable: bad, "LIVEKIT_API_KEY": ""}
    with pytest.raises(ConfigError) as refused:
        read_secrets(config, given)
    wrong = {problem.where: problem for problem in refused.value.problems}
    assert set(wrong) == {variable, "LIVEKIT_API_KEY"}
    assert wrong[variable].hint.startswith("write ")
    assert bad not in str(refused.value)


def test_a_mounted_secret_that_cannot_be_used_is_refused_with_its_directory(
    config: Path, tmp_path: Path
) -> None:
    """The operator needs its place."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name, value in {**GIVEN, "AGENT_JWT_TOKEN": "changeme"}.items():
        (mounted / name).write_text(value)
    place = SecretsSettings.model_validate({"from": "files", "files": {"directory": mounted}})
    with pytest.raises(ConfigError, match=f"AGENT_JWT_TOKEN: is not a JWT, as it is in {mounted}"):
        read_secrets(config, {}, WantedSecrets(place))


@pytest.mark.parametrize("operation", ["contexts", "progress", "sessions"])
def test_supabase_s_address_is_needed_where_config_names_supabase(
    config: Path, operation: str
) -> None:
    """In production only to a verified server; no tutor may have it."""
    url = "postgresql://loqua_host:pw@db.example.supabase.co/postgres"
    store = StoreSettings.model_validate({operation: "supabase"})
    core = CoreSettings(api_base_url="https://api.loqua.app", store=store)
    wanted = WantedSecrets(core=core.secret_names)
    with pytest.raises(ConfigError, match="SUPABASE_DB_URL: is not set"):
        read_secrets(config, GIVEN, wanted)
    production = GIVEN | {"SUPABASE_DB_URL": url, "LOQUA_ENVIRONMENT": "production"}
    with pytest.raises(ConfigError, match="SUPABASE_DB_URL: does not use TLS") as refused:
        read_secrets(config, production, wanted)
    assert "pw" not in str(refused.value)
    read_secrets(config, production | {"SUPABASE_DB_URL": f"{url}?sslmode=verify-full"}, wanted)
    assert "SUPABASE_DB_URL" in HOST_SECRETS


def test_without_supabase_its_address_is_not_asked_for() -> None:
    """By default, all calls go through the API."""
    core = CoreSettings(api_base_url="https://api.loqua.app")
    assert core.secret_names == (CoreSecret.AGENT_JWT_TOKEN, CoreSecret.SHARED_SECRET)

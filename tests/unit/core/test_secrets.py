"""Secrets: read from the environment, and never shown."""

import copy
import pickle

import pytest
from tests.unit.core.conftest import ApiUnderTest

from loqua_host.core import EnvironmentSecrets, LoquaApi
from loqua_host.core.secrets import CoreSecret, Sealed, Secret
from loqua_host.core.user_tokens import UserToken
from loqua_host.errors import ConfigError

ENVIRON = {
    "AGENT_JWT_TOKEN": " agent-jwt\n",
    "SHARED_SECRET": "new",
    "SHARED_SECRET_PREVIOUS": "old",
    "PATH": "/bin",
}


def revealed(secret: Secret) -> list[str]:
    """Return a secret's values."""
    return [value.get_secret_value() for value in secret.values()]


async def test_the_environment_gives_a_secret_and_the_one_before() -> None:
    """Whitespace around a value is none of it."""
    secrets = EnvironmentSecrets(ENVIRON)
    assert revealed(await secrets.read(CoreSecret.AGENT_JWT_TOKEN)) == ["agent-jwt"]
    assert revealed(await secrets.read(CoreSecret.SHARED_SECRET)) == ["new", "old"]


async def test_a_secret_is_still_there_when_the_environment_is_scrubbed() -> None:
    """A copy is taken."""
    environ = dict(ENVIRON)
    secrets = EnvironmentSecrets(environ)
    environ.clear()
    assert revealed(await secrets.read(CoreSecret.SHARED_SECRET)) == ["new", "old"]


@pytest.mark.parametrize("name", ["AGENT_JWT_TOKEN", "SHARED_SECRET"])
@pytest.mark.parametrize("value", [None, "", " "])
async def test_a_missing_secret_refuses_the_start(
    under_test: ApiUnderTest, name: str, value: str | None
) -> None:
    """The message names the variable."""
    under_test.environ.pop(name)
    if value is not None:
        under_test.environ[name] = value
    with pytest.raises(ConfigError, match=f"{name}: is not set; set the environment variable"):
        async with under_test.open():
            pytest.fail("opened")


@pytest.mark.parametrize(
    "holder",
    [
        Sealed("s3cret"),
        Secret(Sealed("s3cret"), Sealed("s3cret")),
        UserToken(Sealed("s3cret"), 1, 2),
        EnvironmentSecrets({"SHARED_SECRET": "s3cret"}),
    ],
)
def test_what_holds_a_secret_neither_prints_nor_leaves(holder: object) -> None:
    """No repr, no string, no pickle of any protocol, no deep copy."""
    assert "s3cret" not in f"{holder!r} {holder!s} {holder}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(holder, protocol)
    with pytest.raises(TypeError, match="stays in this process"):
        copy.deepcopy(holder)


async def test_the_open_core_prints_no_secret(api: LoquaApi) -> None:
    """Secrets cannot be pickled either."""
    assert "shared-secret" not in repr(vars(api))
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(api)

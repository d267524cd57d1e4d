"""The order in which tests run, conftest.py."""

import pytest


def test_every_file_that_is_named_is_there(pytestconfig: pytest.Config) -> None:
    """A file that is moved takes its place along."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    [scheduler] = [it for it in plugins if hasattr(it, "WITHOUT_VOICE")]
    named = {*scheduler.LONGEST, *scheduler.WITHOUT_VOICE}
    assert [name for name in named if not (pytestconfig.rootpath / name).is_file()] == []

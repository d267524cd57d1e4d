"""The fixture with the tutor under test."""

from types import ModuleType

import pytest

import loqua_tutor_grammar


@pytest.fixture
def plugin() -> ModuleType:
    """Return the module with its hooks."""
    return loqua_tutor_grammar

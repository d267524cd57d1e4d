"""Two regions in config/host.yaml."""

import pytest
from pydantic import ValidationError

from loqua_host.settings.regions import RegionSettings


def test_the_secondary_replaces_the_primary_after_a_minute_unless_told_otherwise() -> None:
    """Operators may decide alone."""
    names = {"here": "east", "primary": "west", "secondary": "east"}
    assert RegionSettings(**names).failover_after == 60  # type: ignore[arg-type]  # names only
    assert RegionSettings.model_validate(names | {"failover_after": None}).failover_after is None


@pytest.mark.parametrize(
    ("written", "what"),
    [
        pytest.param({"here": "west", "secondary": "west"}, "two regions", id="one-region"),
        pytest.param({"here": "north", "secondary": "east"}, "west or east", id="a-third-one"),
        pytest.param({"here": "west", "secondary": "e st"}, "pattern", id="a-blank"),
        pytest.param(
            {"here": "west", "secondary": "east", "failover_after": 5}, "30", id="too-hasty"
        ),
    ],
)
def test_regions_that_could_not_work_are_refused(written: dict[str, object], what: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValidationError, match=what):
        RegionSettings.model_validate({"primary": "west"} | written)

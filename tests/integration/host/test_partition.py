"""Two hosts with one ledger, one of them partitioned from it."""

import pytest
from tests.bench.cluster import run_cluster
from tests.bench.hosts import NEWCOMERS, cut_off, rehearse
from tests.integration.host.conftest import Deployment

from loqua_host.dev.postgres import PostgresUnavailableError

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

LEARNERS = 3
SECONDS = 12.0
"""For which it is cut off; the other host teaches whoever comes within them."""


async def test_learners_are_taught_and_recorded_once_while_a_host_is_cut_off(
    deployment: Deployment,
) -> None:
    """The other host teaches who comes; a lesson goes on where its host lives."""
    try:
        async with run_cluster(hosts=2, nodes=1, warm=deployment.warm) as cluster:
            figures = await rehearse(
                cluster, lambda host: cut_off(host.postgres), learners=LEARNERS, seconds=SECONDS
            )
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))
    assert figures["newcomers_served"] == NEWCOMERS, figures
    assert figures["taught_at_the_end"] == LEARNERS - 1 + NEWCOMERS, figures
    assert figures["records"] == LEARNERS + NEWCOMERS, figures
    assert (figures["lost"], figures["doubled"]) == (0, 0), figures
    assert figures["two_tutors"] < 1, figures

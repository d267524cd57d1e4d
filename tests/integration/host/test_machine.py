"""A real host on a machine with cleaned directories and suspended processes."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from .conftest import Deployment, explicit
from .test_jobs import forkserver

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Make directories with names too long for a socket; return the variables that name them."""
    made = {name: tmp_path / name / ("x" * 100) for name in ("TMPDIR", "XDG_RUNTIME_DIR")}
    for place in made.values():
        place.mkdir(parents=True)
    return {name: str(place) for name, place in made.items()}


async def test_a_host_whose_directories_are_gone_teaches_on_and_says_when_it_cannot(
    deployment: Deployment, tmp_path: Path, places: dict[str, str]
) -> None:
    """It is ready as long as jobs would start."""
    async with deployment.host(tmp_path, explicit("cleaned"), environ=places) as host:
        for place in places.values():
            shutil.rmtree(place)
        for _ in range(2):  # The first job has waited in a process since before.
            async with deployment.visit(agent_name="cleaned") as learner:
                await host.log.until("progress.made", user_id=learner.user_id)
            await deployment.api.until("sessions", learner.user_id)
        await host.until_ready()
        os.kill(forkserver(host), signal.SIGSTOP)
        await host.until_ready(503)
        os.kill(forkserver(host), signal.SIGCONT)
        await host.until_ready()
    assert not [line for line in host.log.raw if "Traceback" in line]

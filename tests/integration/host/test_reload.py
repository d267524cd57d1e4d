"""Changes of config/ under a running host: one worker is replaced, the others stay."""

import re
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml
from tests.integration.host.conftest import (
    Deployment,
    HostProcess,
    explicit,
    replace_text,
    write_config,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

STAYS, MOVES = f"stays-{uuid4().hex[:6]}", f"moves-{uuid4().hex[:6]}"


LESSONS = {"tutor_drain_timeout": 10}
TUTORS = ("probe", "probe-specialist")


def tutor(agent_name: str, **changes: object) -> dict[str, object]:
    """Return a specialist's file."""
    return {"worker_type": "explicit", "agent_name": agent_name, **changes}


def write(host: HostProcess, **moves: object) -> None:
    """Write config/ with the tutor that stays and the one that moves, changed so."""
    tutors = {"probe-specialist": tutor(STAYS), "probe": tutor(MOVES, **moves)}
    write_config(host.directory, tutors, LESSONS)


async def reload(host: HostProcess, **moves: object) -> None:
    """Write config/ likewise, and wait until the host runs it."""
    files = [host.directory / "config" / "tutors" / f"{name}.yaml" for name in TUTORS]
    before, reloads = [file.read_text() for file in files], len(host.log.find("config.reloaded"))
    write(host, **moves)
    if [file.read_text() for file in files] != before:
        await host.log.until("config.reloaded", count=reloads + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    """Yield a host of two tutors of which one is not enabled."""
    tutors = {"probe-specialist": tutor(STAYS), "probe": tutor(MOVES, enabled=False)}
    directory = tmp_path_factory.mktemp("reload")
    async with deployment.host(directory, tutors, lessons=LESSONS) as process:
        yield process


async def test_a_tutor_is_enabled_changed_and_disabled_while_another_teaches(
    deployment: Deployment, host: HostProcess
) -> None:
    """The other lesson hears of nothing; its own go on for a while, newcomers get the new one."""
    await reload(host, enabled=False)
    left = len(host.log.find("worker.left", tutor="probe"))
    async with deployment.visit(agent_name=STAYS) as stays, host.asking() as client:
        await host.log.until("lesson.opened", user_id=stays.user_id)
        async with deployment.visit(agent_name=MOVES) as learner:
            await reload(host)
            await host.log.until("lesson.opened", user_id=learner.user_id)
            await reload(host, max_concurrent_jobs=7)
            ticks = len(host.log.find("probe.tick", room=learner.name))
            await host.log.until("probe.tick", room=learner.name, count=ticks + 3)
            async with deployment.visit(agent_name=MOVES) as other:
                await host.log.until("lesson.opened", user_id=other.user_id)
                await host.log.until("probe.end", room=learner.name, reason="tutor_changed")
                await host.until_ready()
                write(host, enabled=False)
                await host.log.until("probe.end", room=other.name, reason="tutor_disabled")
                await host.log.until("worker.left", tutor="probe", count=left + 2)
                await other.alone()
        workers = (await client.get("/status")).json()["tutors"]
        assert [one["name"] for one in workers] == ["probe-specialist"]
        async with deployment.visit(agent_name=MOVES) as waits:
            write(host)
            await host.log.until("lesson.opened", user_id=waits.user_id)
            await waits.met()
        await host.until_ready()
    for one in (learner, other, waits, stays):
        await deployment.api.until("sessions", one.user_id)
    ticks = [line["number"] for line in host.log.find("probe.tick", room=stays.name)]
    assert ticks == [*range(1, len(ticks) + 1)]
    assert len(host.log.find("lesson.opened", user_id=stays.user_id)) == 1
    assert host.log.find("lesson.interrupted") == []


async def test_a_bad_file_changes_nothing_and_is_told_until_it_is_mended(
    deployment: Deployment, host: HostProcess
) -> None:
    """With file, key and what to write; the host says that it runs something else."""
    await reload(host)
    file = host.directory / "config" / "tutors" / "probe.yaml"
    good = yaml.safe_load(file.read_text())
    async with deployment.visit(agent_name=MOVES) as learner, host.asking() as client:
        await host.log.until("lesson.opened", user_id=learner.user_id)
        for number, bad in enumerate(
            ({"max_concurrent_jobs": 0}, {"settings": {"directory": 3}}, {"enbaled": True})
        ):
            replace_text(file, yaml.safe_dump(good | bad))
            line = await host.log.until("config.refused", count=number + 1)
            assert str(file) in line["why"]
        assert "enabled" in line["why"]
        health = (await client.get("/health")).json()
        [found] = [one for one in health["levels"][0]["findings"] if one["name"] == "config"]
        assert (found["state"], health["ready"]) == ("degraded", True)
        assert str(file) in found["reason"]
        assert "loqua_config_current 0.0" in (await client.get("/metrics")).text
        reloads = len(host.log.find("config.reloaded"))
        replace_text(file, yaml.safe_dump(good))
        line = await host.log.until("config.reloaded", count=reloads + 1)
        assert "changed" not in line
        assert "loqua_config_current 1.0" in (await client.get("/metrics")).text
        assert len(learner.tutors) == 1
    assert len(host.log.find("lesson.opened", user_id=learner.user_id)) == 1


async def test_another_version_of_a_plugin_teaches_without_a_restart(
    deployment: Deployment, tmp_path: Path
) -> None:
    """On SIGHUP, as config/ says what it said; jobs see the new code, and so does inspection."""
    plugins = tmp_path / "installed"
    shutil.copytree(deployment.plugins, plugins)
    upgraded = replace(deployment, plugins=plugins, warm=None)
    name = f"upgraded-{uuid4().hex[:6]}"
    async with upgraded.host(tmp_path, explicit(name)) as host:
        async with deployment.visit(agent_name=name) as learner:
            await host.log.until("probe.ready", room=learner.name)
        code = plugins / "loqua_probe" / "__init__.py"
        code.write_text(code.read_text().replace('"probe.ready"', '"probe.upgraded"'))
        [metadata] = plugins.glob("*.dist-info/METADATA")
        metadata.write_text(re.sub(r"(?m)^Version: .*", "Version: 99.0", metadata.read_text()))
        host.process.send_signal(signal.SIGHUP)
        await host.log.until("config.reloaded")
        async with deployment.visit(agent_name=name) as learner:
            await host.log.until("probe.upgraded", room=learner.name)

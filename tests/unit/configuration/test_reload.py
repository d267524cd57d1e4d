"""Reloads of config/ in a running host: refused or applied as a whole, with minimal changes."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from loqua_host.configuration import configuration as module
from loqua_host.configuration.configuration import Configuration
from loqua_host.configuration.reload import Reload, Running
from loqua_host.errors import Problem
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.registry.inspection import Inspection
from loqua_host.settings.tutors import TutorSettings
from loqua_host.system.tasks import background
from loqua_host.workers.tutors import running_tutors

ENVIRON = {
    "AGENT_ID": "loqua-host-1",
    "AGENT_JWT_TOKEN": "header.payload.signature",
    "API_BASE_URL": "http://127.0.0.1:9000",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret",
    "SHARED_SECRET": "shared",
    "A_KEY": "granted",
}
GRAMMAR = {"worker_type": "explicit", "agent_name": "grammar-specialist"}


@dataclass
class WorkerlessHost:
    """A host without workers, which records the calls to them.

    Attributes:
        done: What became of the workers, in order.
        broken: What inspection finds wrong, by tutor.
        versions: Of the plugins, by tutor, where they have one.
    """

    config: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    done: list[tuple[Any, ...]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    broken: dict[str, Problem] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    inspected: int = 0
    due: asyncio.Event = field(default_factory=asyncio.Event)
    reload: Any = None
    running: Any = None

    async def open(self) -> None:
        """Read the configuration, as at the start."""
        read = Configuration(self.config, self.environ)
        first = await read.inspect(*read.read())
        self.running = Running(first.sound, first.secrets)
        self.reload = Reload(
            read,
            first,
            self.running,
            self,  # type: ignore[arg-type]  # a fake
            self,  # type: ignore[arg-type]  # a fake
        )
        await self.reload.start_all()

    def write(self, tutor: str, **keys: object) -> Path:
        """Write a tutor's file."""
        file = self.config / "tutors" / f"{tutor}.yaml"
        file.write_text(yaml.safe_dump(keys))
        return file

    def write_host(self, **sections: object) -> None:
        """Write config/host.yaml."""
        (self.config / "host.yaml").write_text(yaml.safe_dump(sections))

    async def look(self) -> list[dict[str, Any]]:
        """Check config/ for changes, and return what was logged."""
        self.done.clear()
        self.built.clear()
        with structlog.testing.capture_logs() as logs:
            await self.reload.look()
        return [log for log in logs if log["event"].startswith("config.")]

    def start(self, tutor: RunningTutor) -> None:
        """Note that a worker begins."""
        self.done.append(("start", tutor.name))

    async def replace(self, tutor: RunningTutor, reason: str, seconds: float) -> None:
        """Note that a worker takes over."""
        self.done.append(("replace", tutor.name, reason, seconds))

    def drain(self, tutor: str, reason: str, seconds: float) -> None:
        """Note that a worker leaves."""
        self.done.append(("drain", tutor, reason, seconds))

    def running_tutors(self, *args: Any) -> dict[str, RunningTutor]:
        """Return the tutors to run."""
        return running_tutors(*args, link=self.config, temporary=self.config, traced=False)

    def build_worker(self, tutor: RunningTutor) -> RunningTutor:
        """Return the tutor in place of its worker."""
        self.built.append(tutor.name)
        return tutor

    async def inspect(
        self,
        _config: Path,
        _environ: object,
        tutors: Iterable[TutorSettings],
        _engines: object,
        *,
        protected: object,
    ) -> tuple[Inspection, ...]:
        """Find wrong what is said to be."""
        assert protected == ()
        self.inspected += 1
        return tuple(
            Inspection(
                one.name,
                one.source,
                self.versions.get(one.name),
                None,
                (self.broken[one.name],) if one.name in self.broken else (),
            )
            for one in tutors
        )


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerlessHost:
    """Return a host that runs a conversation and a grammar tutor."""
    config = tmp_path / "config"
    (config / "tutors").mkdir(parents=True)
    host = WorkerlessHost(config)
    host.write_host(lessons={"tutor_drain_timeout": 60})
    host.write("conversation", worker_type="automatic")
    host.write("grammar", **GRAMMAR)
    monkeypatch.setattr(module, "inspect_tutors", host.inspect)
    monkeypatch.setattr(module, "version_of", lambda tutor: host.versions.get(tutor.name))
    await host.open()
    return host


async def test_the_first_workers_are_hired_as_all_others(host: WorkerlessHost) -> None:
    """And their figures begin at 0."""
    assert host.done == [("start", "conversation"), ("start", "grammar")]
    assert host.built == ["conversation", "grammar"]


async def test_a_configuration_that_says_the_same_is_passed_over(host: WorkerlessHost) -> None:
    """No plugin is looked at, nothing is logged."""
    host.write("grammar", **GRAMMAR)
    assert await host.look() == []
    assert (host.done, host.inspected) == ([], 1)


async def test_a_tutor_is_changed_alone(host: WorkerlessHost) -> None:
    """Its worker is replaced, and its lessons may take the drain time."""
    host.write("grammar", **GRAMMAR, max_concurrent_jobs=7)
    [line] = await host.look()
    assert host.done == [("replace", "grammar", "tutor_changed", 60)]
    assert (line["event"], line["changed"]) == ("config.reloaded", "grammar")
    assert line.keys().isdisjoint({"enabled", "disabled", "keys"})


@pytest.mark.parametrize("how", ["enabled: false", "no file"])
async def test_a_tutor_is_disabled_alone_and_enabled_again(host: WorkerlessHost, how: str) -> None:
    """Its worker leaves, and another comes."""
    file = host.write("grammar", **GRAMMAR, enabled=False)
    if how == "no file":
        file.unlink()
    [line] = await host.look()
    assert host.done == [("drain", "grammar", "tutor_disabled", 60)]
    assert line["disabled"] == "grammar"
    host.write("grammar", **GRAMMAR)
    [line] = await host.look()
    assert host.done == [("start", "grammar")]
    assert host.built == ["grammar"]
    assert line["enabled"] == "grammar"


async def test_engines_and_limits_of_all_change_every_tutor_that_uses_them(
    host: WorkerlessHost,
) -> None:
    """One that has its own is left alone."""
    host.write("grammar", **GRAMMAR, engines={"tts": {"use": "a:B"}})
    await host.look()
    host.write_host(lessons={"tutor_drain_timeout": 60}, engines={"tts": {"use": "a:C"}})
    [line] = await host.look()
    assert line["changed"] == "conversation"
    assert line["keys"] == "engines.tts"
    host.write_host(lessons={"tutor_drain_timeout": 30, "limits": {"create_agent": 3}})
    [line] = await host.look()
    assert line["changed"] == "conversation, grammar"
    assert host.done[0] == ("replace", "conversation", "tutor_changed", 30)


async def test_what_no_worker_is_made_of_changes_no_tutor(host: WorkerlessHost) -> None:
    """It is adopted at once."""
    host.write_host(lessons={"tutor_drain_timeout": 60, "max_lessons": 3, "health_every": 7})
    [line] = await host.look()
    assert line["keys"] == "lessons.health_every, lessons.max_lessons"
    assert host.done == []
    assert host.running.settings.lessons.max_lessons == 3


async def test_what_waits_for_a_restart_is_reported_and_left_as_it_is(host: WorkerlessHost) -> None:
    """Tutors move all the same."""
    port = host.running.settings.ops.port
    host.write_host(lessons={"tutor_drain_timeout": 60}, ops={"port": 1}, api={"retries": 0})
    host.write("grammar", **GRAMMAR, enabled=False)
    reloaded, waiting = await host.look()
    assert (reloaded["event"], waiting["event"]) == ("config.reloaded", "config.needs_restart")
    assert waiting["why"] == "read only at the start: api.retries, ops.port"
    assert host.reload.stale_config == waiting["why"]
    assert host.done == [("drain", "grammar", "tutor_disabled", 60)]
    assert host.running.settings.ops.port == port


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("tutors/grammar.yaml", "max_concurrent_jobs: none", "max_concurrent_jobs"),
        ("tutors/grammar.yaml", "worker_type: [", "grammar.yaml"),
        ("tutors/grammar.yaml", "", "agent_name"),
        ("host.yaml", "lessons: {drain_timeout: -1}", "lessons.drain_timeout"),
        ("host.yaml", "lesons: {}", "write lessons"),
    ],
)
async def test_a_bad_file_changes_nothing_and_says_why(
    host: WorkerlessHost, file: str, text: str, why: str
) -> None:
    """Not even what is right in it, or in another file."""
    host.write("conversation", worker_type="automatic", max_concurrent_jobs=9)
    (host.config / file).write_text(text)
    before = host.running.settings
    logs = await host.look()
    assert {log["event"] for log in logs} == {"config.refused"}
    assert any(why in log["why"] and file in log["why"] for log in logs)
    assert host.reload.stale_config == logs[-1]["why"]
    assert (host.done, host.running.settings) == ([], before)


async def test_a_plugin_that_is_not_sound_refuses_the_change_as_a_bad_file_does(
    host: WorkerlessHost,
) -> None:
    """Until it is repaired, which need not change config/."""
    host.broken["grammar"] = Problem("grammar.yaml", "its import raised", "fix the plugin")
    host.write("grammar", **GRAMMAR, max_concurrent_jobs=7)
    [line] = await host.look()
    assert (line["event"], host.done) == ("config.refused", [])
    assert "fix the plugin" in line["why"]
    host.broken.clear()
    [line] = await host.look()
    assert line["changed"] == "grammar"


async def test_a_tutor_that_was_refused_at_the_start_is_hired_once_it_is_mended(
    host: WorkerlessHost,
) -> None:
    """config/ says what it said."""
    host.broken["grammar"] = Problem("grammar.yaml", "its import raised", "fix the plugin")
    host.done.clear()
    await host.open()
    assert host.done == [("start", "conversation")]
    assert "fix the plugin" in host.reload.stale_config
    host.broken.clear()
    [line] = await host.look()
    assert host.reload.stale_config is None
    assert (line["enabled"], host.done) == ("grammar", [("start", "grammar")])


async def test_a_configuration_that_is_put_back_is_said_to_run(host: WorkerlessHost) -> None:
    """Although nothing moves."""
    file = host.write("grammar", nonsense=1)
    await host.look()
    file.write_text(yaml.safe_dump(GRAMMAR))
    [line] = await host.look()
    assert (line["event"], "changed" in line, host.done) == ("config.reloaded", False, [])
    assert host.reload.stale_config is None


async def test_another_version_of_a_plugin_changes_its_tutor(host: WorkerlessHost) -> None:
    """config/ says what it said."""
    host.versions["grammar"] = "2.0"
    [line] = await host.look()
    assert line["changed"] == "grammar"


async def test_a_secret_that_is_granted_later_is_there(host: WorkerlessHost) -> None:
    """One that is missing refuses the change."""
    host.write("grammar", **GRAMMAR, secrets=["A_KEY"])
    await host.look()
    assert dict(host.running.tutors["grammar"].secrets) == {"A_KEY": "granted"}
    host.write("grammar", **GRAMMAR, secrets=["A_KEY", "B_KEY"])
    [line] = await host.look()
    assert line["event"] == "config.refused"
    assert "B_KEY" in line["why"]


@pytest.fixture
async def followed(host: WorkerlessHost) -> AsyncIterator[WorkerlessHost]:
    """Yield a host that follows its configuration."""
    async with background() as tasks:
        tasks.create_task(host.reload.run(host.due))
        yield host


async def until_done(host: WorkerlessHost, *what: object) -> None:
    """Wait until something was done."""
    async with asyncio.timeout(60):
        while not any(done[: len(what)] == what for done in host.done):  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.01)


async def test_a_change_is_seen_by_itself(followed: WorkerlessHost) -> None:
    """A file that is written, a file that is moved over another."""
    followed.write("grammar", **GRAMMAR, max_concurrent_jobs=7)
    await until_done(followed, "replace", "grammar")
    followed.done.clear()
    file = followed.write("grammar", **GRAMMAR, max_concurrent_jobs=8)
    file.with_suffix(".new").write_text(yaml.safe_dump(GRAMMAR | {"enabled": False}))
    file.with_suffix(".new").rename(file)
    await until_done(followed, "drain", "grammar")


async def test_whoever_asks_is_heard(followed: WorkerlessHost) -> None:
    """A reload can be requested where the kernel does not report changed files."""
    followed.versions["grammar"] = "2.0"
    followed.due.set()
    await until_done(followed, "replace", "grammar")


async def test_a_config_map_that_is_swapped_is_seen(tmp_path: Path, host: WorkerlessHost) -> None:
    """A kubelet replaces `..data`, the link to the directory of all files."""
    mount = tmp_path / "mount"
    for number, written in enumerate((GRAMMAR, GRAMMAR | {"enabled": False})):
        tutors = mount / f"..{number}" / "tutors"
        tutors.mkdir(parents=True)
        (tutors.parent / "host.yaml").write_text("{}")
        (tutors / "conversation.yaml").write_text("worker_type: automatic")
        (tutors / "grammar.yaml").write_text(yaml.safe_dump(written))
    (mount / "..data").symlink_to("..0")
    for name in ("host.yaml", "tutors"):
        (mount / name).symlink_to(f"..data/{name}")
    host.config = mount
    await host.open()
    async with background() as tasks:
        tasks.create_task(host.reload.run(host.due))
        written = GRAMMAR | {"max_concurrent_jobs": 7}
        (mount / "..0/tutors/grammar.yaml").write_text(yaml.safe_dump(written))
        await until_done(host, "replace", "grammar")
        (mount / "..data_tmp").symlink_to("..1")
        (mount / "..data_tmp").rename(mount / "..data")
        await until_done(host, "drain", "grammar")


async def test_a_directory_that_cannot_be_watched_is_reported(
    host: WorkerlessHost, tmp_path: Path
) -> None:
    """The host goes on, and hears whoever asks."""
    host.config.rename(tmp_path / "moved")
    with structlog.testing.capture_logs() as logs:
        await host.reload._watch(host.due)
    [line] = [log for log in logs if log["event"] == "config.not_watched"]
    assert "SIGHUP" in line["hint"]

"""Tutors as a host runs them."""

from collections.abc import Mapping
from typing import Any

from loqua_host.lessons.tutors import RunningTutor
from loqua_host.settings.engines import Engines
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.lessons import LessonLimits
from loqua_host.settings.messages import Messages
from loqua_host.settings.tutors import TutorSettings
from loqua_host.system.sandbox import Sandbox
from loqua_host.system.sockets import SocketHandle


def job_settings(name: str, agent_id: str = "loqua-host", **written: Any) -> JobSettings:
    """Return what the jobs of a tutor are started with whose file says this."""
    file = {"name": name, "plugin": name, "worker_type": "automatic"} | written
    return JobSettings(
        tutor=TutorSettings.model_validate(file),
        agent_id=agent_id,
        engines=Engines(),
        messages=Messages(lesson_unavailable={"en": "Sorry.", "es": "Lo siento."}),
        sandbox=Sandbox(memory=2000),
        link=SocketHandle(-1),
        lesson=LessonLimits(
            learner_timeout=60.0, reconnect_timeout=0.0, silence_prompt_after=600.0
        ),
        traced=False,
    )


def running_tutor(
    name: str,
    agent_name: str = "",
    agent_id: str = "agent",
    max_jobs: int = 5,
    *,
    secrets: Mapping[str, str] | None = None,
    language: str = "en",
) -> RunningTutor:
    """Return a tutor; it is automatic unless it has an agent name."""
    job = job_settings(
        name,
        agent_id,
        worker_type="explicit" if agent_name else "automatic",
        agent_name=agent_name or None,
        max_concurrent_jobs=max_jobs,
        language=language,
    )
    return RunningTutor(job, secrets or {})

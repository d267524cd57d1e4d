"""The main function of a job process."""

import os

from loqua_host.livekit_internals import ProcStartArgs, close_log, run_job_process, setup_of

from .entrypoint import JobSetup

__all__ = ["run_in_sandbox"]


def run_in_sandbox(start: ProcStartArgs) -> None:
    """Run LiveKit's main function of a job process, in the tutor's sandbox from the beginning.

    Landlock and seccomp restrict a thread and what it starts. LiveKit starts the first ones, and
    the tutor is imported after that. Threads of the tutor do not outlive its job.
    """
    setup = setup_of(start)
    if isinstance(setup, JobSetup):
        setup.settings.sandbox.enter()
    run_job_process(start)
    close_log()
    os._exit(0)

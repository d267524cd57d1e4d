"""A check that starts a process as a host starts its jobs, and connects it."""

from loqua_host.errors import ConfigError, LinkError
from loqua_host.link.probe import JobProbe
from loqua_host.link.server import JobLink, JobRef, serve_link
from loqua_host.system.process import start_forkserver
from loqua_host.system.sockets import listen_unnamed

from .finding import Check, Finding, Verdict, failed, in_order, ok

__all__ = ["examine_jobs"]

START_SECONDS = 60.0
"""The first process waits until all that jobs share is imported."""

HINT = "see TMPDIR, and the limits of processes and memory (ulimit -u, pids.max)"


async def examine_jobs() -> list[Finding]:
    """Try what no lesson can do without."""
    return await in_order([Check("job process", _try, hangs=HINT, limit=START_SECONDS)])


async def _try() -> Verdict:
    try:
        start_forkserver([])
        with listen_unnamed() as (listener, handle):
            async with serve_link(listener, authorise=_refuse, serve=_ignore):
                await JobProbe(handle).run()
    except (ConfigError, LinkError, OSError) as error:
        return failed(str(error), HINT)
    return ok("a job process starts and reaches the host")


def _refuse(_token: str, _pid: int) -> JobRef:
    raise LinkError("no job processes on this host")


async def _ignore(link: JobLink) -> None:
    await link.close()

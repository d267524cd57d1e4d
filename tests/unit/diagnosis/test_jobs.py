"""The process that `check --live` starts like a job's."""

import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
    import asyncio
    from loqua_host.diagnosis.jobs import examine_jobs

    if __name__ == "__main__":
        [finding] = asyncio.run(examine_jobs())
        print(finding.name, finding.verdict.state, finding.verdict.reason)
"""


def check_result(tmp_path: Path, **environ: str) -> str:
    """Return what a check says."""
    script = tmp_path / "check.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script)]
    done = subprocess.run(  # noqa: S603  # our own
        command, env=environ, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_a_job_s_process_is_tried(tmp_path: Path) -> None:
    """However long the name of the directory for temporary files is."""
    temporary = tmp_path / ("x" * 100)
    temporary.mkdir()
    assert check_result(tmp_path, TMPDIR=str(temporary)).startswith("job process ok ")

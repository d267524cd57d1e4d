"""Child processes that do not outlive the process that started them."""

import os
import sys

__all__ = ["dying_with_parent"]

# PR_SET_PDEATHSIG (1) has the kernel kill the child when its parent is gone, however it went.
# Asking takes an interpreter: code between fork and exec is unsafe beside threads.
ASK_AND_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def dying_with_parent(*command: str) -> list[str]:
    """Return a command that runs `command` and gets SIGKILL when this process is gone (Linux).

    To be started from a thread that lives as long as the process, such as the main thread:
    to the kernel, the parent is the thread.
    """
    return [sys.executable, "-I", "-S", "-c", ASK_AND_BECOME, str(os.getpid()), *command]

"""Immortal objects, whose pages forks keep sharing."""

import json
import subprocess
import sys
import textwrap

PROGRAM = """\
import gc, json, os, sys
from loqua_host.system.immortal import immortalize

def private_dirty():
    with open("/proc/self/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

class Lazy:
    @property
    def __class__(self):
        sys.exit("the import of a lazy module")

used = [[f"word {number}", float(number), (str(number),)] for number in range(100_000)]
code = [compile(f"lambda: {number} * 1.5", "", "eval") for number in range(1000)]
lazy = Lazy()
if sys.argv[1:]:
    immortalize()
    immortalize()  # of what came since
gc.freeze()
reading, writing = os.pipe()
if os.fork() == 0:
    before = private_dirty()
    sum(len(word) for word, _, (number,) in used if number)
    [eval(one) for one in code]
    os.write(writing, json.dumps(private_dirty() - before).encode())
    os._exit(0)
print(os.read(reading, 100).decode())
"""


def copied(*arguments: str) -> int:
    """Return the kilobytes that a process copies when it uses 100,000 lists that it inherited."""
    done = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kilobytes: int = json.loads(done.stdout)
    return kilobytes


if sys.version_info >= (3, 12):

    def test_a_process_that_uses_immortal_objects_copies_almost_none_of_their_pages() -> None:
        """Their counts are not written to."""
        assert copied("immortal") < 0.1 * copied()

else:

    def test_before_python_3_12_nothing_becomes_immortal() -> None:
        """All that exists is counted as before."""
        assert copied("immortal") < 1.2 * copied()

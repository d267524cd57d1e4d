"""The command `loqua-speech`, as `python -m loqua_speech`."""

import os

# OpenBLAS's threads spin while they wait for each other: where other programs run on the same
# cores, scoring takes four times the CPU time. It counts only before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from loqua_speech.server import main

if __name__ == "__main__":
    main()

"""The command `loqua-speech`, as `python -m loqua_speech`."""

import os

# OpenBLAS reads it when NumPy is imported. The scorer's matrices are so small that a second thread
# quintuples its processor time, most of which the threads spend waiting for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from loqua_speech.server import main

if __name__ == "__main__":
    main()

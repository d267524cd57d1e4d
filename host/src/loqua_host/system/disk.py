"""How full a disk is."""

import shutil
from pathlib import Path


def free_share(path: Path) -> float:
    """Return the free share of the disk that holds a file or directory, from 0 to 1, as df does.

    Blocks reserved for root count neither as free nor as part of the disk: whoever is not root
    can never write there.

    Raises:
        OSError: There is nothing at that path.
    """
    usage = shutil.disk_usage(path)
    return usage.free / (usage.used + usage.free or 1)

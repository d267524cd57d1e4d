"""The free share of a disk."""

import os
from pathlib import Path

import pytest

from loqua_host.system.disk import free_share


def blocks(every: int, *, free: int, available: int) -> os.statvfs_result:
    """Return what the system says about a disk."""
    return os.statvfs_result((4096, 4096, every, free, available, 9, 9, 9, 0, 255))


def test_what_is_reserved_for_root_is_no_part_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of 100 blocks, 30 are used and 10 can be written: a quarter is free, as df says."""
    monkeypatch.setattr(os, "statvfs", lambda _: blocks(100, free=70, available=10))
    assert free_share(tmp_path) == 0.25


def test_a_disk_without_blocks_has_none_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So are some that are not there in earnest."""
    monkeypatch.setattr(os, "statvfs", lambda _: blocks(0, free=0, available=0))
    assert free_share(tmp_path) == 0.0

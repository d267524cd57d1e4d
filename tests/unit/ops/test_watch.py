"""What is asked of the running host, and read from it."""

from pathlib import Path

import pytest

from loqua_host.ops.watch import memory_used


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    """Give a container's own numbers: 600 of 1000 bytes in use, 100 of them file cache."""
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 100\n")
    return tmp_path


def test_memory_is_measured_against_the_container_s_bound(cgroup: Path) -> None:
    """What the kernel gives back at need is not in use."""
    assert memory_used(cgroup) == 0.5


@pytest.mark.parametrize("bound", ["max", ""])
def test_without_a_bound_the_machine_s_memory_counts(cgroup: Path, bound: str) -> None:
    """As on a host of its own."""
    (cgroup / "memory.max").write_text(bound)
    assert 0 < memory_used(cgroup) < 1


def test_without_cgroups_the_machine_s_memory_counts(tmp_path: Path) -> None:
    """As on an older kernel."""
    assert 0 < memory_used(tmp_path) < 1

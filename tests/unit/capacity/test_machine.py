"""A machine's resources, from the kernel or from the tightest control group."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loqua_host.capacity.machine import Machine, Usage

MIB = 2**20

Group = Callable[..., Path]


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Return a way to make control groups below a root that looks like the kernel's."""
    root = tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)

    def make(path: str, **files: str) -> Path:
        made = root / path
        made.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (made / name.replace("_", ".", 1)).write_text(text)
        return made

    return make


def machine(tmp_path: Path, own: str) -> Machine:
    """Return the machine of a process in a group."""
    (tmp_path / "proc/self/cgroup").write_text(f"4:memory:/old\n0::{own}\n")
    return Machine(tmp_path / "proc", tmp_path / "cgroup")


BOUND = {
    "cpu_max": "150000 100000\n" if (psutil.cpu_count() or 1) > 1 else "50000 100000\n",
    "cpu_stat": "usage_usec 2500000\nuser_usec 2000000\n",
    "memory_max": f"{64 * MIB}\n",
    "memory_current": f"{24 * MIB}\n",
    "memory_stat": f"anon {16 * MIB}\ninactive_file {8 * MIB}\n",
}


@pytest.mark.parametrize(
    ("own", "at"),
    [
        pytest.param("/", "", id="a container that sees itself as the root"),
        pytest.param("/docker/4711", "", id="a container that sees its name outside"),
        pytest.param("/system/loqua", "system/loqua", id="a service"),
        pytest.param("/system/loqua", "system", id="a service in a bounded slice"),
    ],
)
def test_a_bounded_group_is_the_machine(tmp_path: Path, group: Group, own: str, at: str) -> None:
    """File cache that the kernel gives back at need is not in use."""
    group(at, **BOUND)
    usage = machine(tmp_path, own).usage()
    processors = 1.5 if (psutil.cpu_count() or 1) > 1 else 0.5
    assert usage == Usage(processors, 2.5, 64 * MIB, 16 * MIB)
    assert usage.memory_share == 0.25


def test_of_several_bounds_the_tightest_counts(tmp_path: Path, group: Group) -> None:
    """Each is a bound for all that is in its group."""
    group("slice", **BOUND)
    group("slice/loqua", **BOUND | {"cpu_max": "10000 100000", "memory_max": str(128 * MIB)})
    usage = machine(tmp_path, "/slice/loqua").usage()
    assert (usage.processors, usage.memory) == (0.1, 64 * MIB)


@pytest.mark.parametrize("own", ["/", "/free", "/gone"])
def test_without_a_bound_the_whole_machine_counts(tmp_path: Path, group: Group, own: str) -> None:
    """A bound above the machine's memory is no bound."""
    group("free", cpu_max="max 100000", memory_max="max")
    group("", cpu_max="100000000 100000", memory_max=str(2**60))
    usage = machine(tmp_path, own).usage()
    assert usage.processors >= 1
    assert usage.processor_seconds > 0
    assert usage.memory == psutil.virtual_memory().total
    assert 0 < usage.memory_share < 1


def test_without_control_groups_the_whole_machine_counts(tmp_path: Path) -> None:
    """Older kernels and hidden process tables have none."""
    for here in (Machine(tmp_path, tmp_path), Machine()):
        assert 0 < here.usage().memory_share < 1

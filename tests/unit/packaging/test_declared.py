"""The packages' declared dependencies and Python versions, compared with the used ones."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[3]
PACKAGES = [ROOT / "host", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def read(directory: Path) -> dict[str, Any]:
    """Read a pyproject.toml."""
    return tomllib.loads((directory / "pyproject.toml").read_text("utf-8"))


def requirements(project: dict[str, Any]) -> list[Requirement]:
    """List what a package needs, with its extras."""
    extras = project.get("optional-dependencies", {}).values()
    return [Requirement(it) for needed in (project["dependencies"], *extras) for it in needed]


def imported(source: Path) -> Iterator[str]:
    """Find the modules of other packages that these sources import."""
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            yield from (name for name in modules(node) if not is_own(name))


def is_own(module: str) -> bool:
    """Return whether a module is Python's or the workspace's; import-linter checks those."""
    return module.startswith("loqua_") or module.partition(".")[0] in sys.stdlib_module_names


def modules(node: ast.AST) -> list[str]:
    """List the modules that a statement imports; of a namespace package, those within it."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
        return []
    if file_of(node.module):
        return [node.module]
    return [f"{node.module}.{alias.name}" for alias in node.names]  # of a namespace


def file_of(module: str) -> str | None:
    """Return where a module's code is; None for a namespace."""
    return getattr(import_module(module), "__file__", None)


def files_of(needed: Requirement) -> set[str]:
    """List the files that a distribution came with."""
    came = distribution(needed.name)
    return {f"{came.locate_file('')}/{file}" for file in came.files or ()}


@pytest.mark.parametrize("directory", PACKAGES, ids=lambda path: path.name)
def test_a_package_imports_nothing_that_it_does_not_declare(directory: Path) -> None:
    """The next version of another dependency may not bring it."""
    declared = set().union(*map(files_of, requirements(read(directory)["project"])))
    used = {module: file_of(module) for module in imported(directory / "src")}
    assert [module for module, file in used.items() if file not in declared] == []


@pytest.mark.parametrize("directory", PACKAGES, ids=lambda path: path.name)
def test_a_package_says_how_old_what_it_needs_may_be(directory: Path) -> None:
    """The gate tries these very versions (uv's `lowest-direct`), or else ancient ones.

    An extra that names another of the same package has its version.
    """
    project = read(directory)["project"]
    needed = [it for it in requirements(project) if it.name != project["name"]]
    assert [str(it) for it in needed if not lower_bounds(it)] == []


def test_what_developers_need_has_lower_bounds_too() -> None:
    """The workspace's groups have them; its own packages need none."""
    groups = read(ROOT)["dependency-groups"]
    needed = [Requirement(it) for group in groups.values() for it in group]
    assert [
        str(it) for it in needed if not (lower_bounds(it) or it.name.startswith("loqua-"))
    ] == []


def lower_bounds(requirement: Requirement) -> list[str]:
    """List the least versions that a requirement names."""
    return [it.version for it in requirement.specifier if it.operator in (">=", "==")]


@pytest.mark.parametrize("directory", PACKAGES, ids=lambda path: path.name)
def test_the_classifiers_are_the_pythons_that_may_install_it(directory: Path) -> None:
    """The gate reads them, and runs these tests on each that the machine has."""
    project = read(directory)["project"]
    allowed = SpecifierSet(project["requires-python"])
    python = "Programming Language :: Python :: "
    named = {it.removeprefix(python) for it in project["classifiers"] if it.startswith(python)}
    assert named == {f"3.{minor}" for minor in range(30) if Version(f"3.{minor}") in allowed}


def test_the_readme_names_the_oldest_and_the_newest_python() -> None:
    """These are the declared versions."""
    pythons = re.findall(r"Python :: (3\.\d+)", (ROOT / "host/pyproject.toml").read_text("utf-8"))
    assert f"Python {pythons[0]} to {pythons[-1]}" in (ROOT / "README.md").read_text("utf-8")

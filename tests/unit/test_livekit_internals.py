"""Private names of LiveKit: all in one module, and unchanged in the installed version."""

import ast
import hashlib
import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import worker

import loqua_host
from loqua_host import host as host_module
from loqua_host import livekit_internals
from loqua_host.livekit_internals import INTERNALS, Internal

HERE = Path(loqua_host.__file__).parent
MODULES = [it for it in sorted(HERE.rglob("*.py")) if "tutor-template" not in it.parts]
OURS = HERE / "livekit_internals.py"

OF_OTHERS = {
    "system/process.py": "multiprocessing's forkserver",
    "observability/redaction.py": "sys._getframe, as logging itself uses it",
    "job/lesson/failures.py": "asyncio's tasks",
    "job/watchdog.py": "sys._current_frames, as faulthandler uses it",
    "job/engines/fallbacks.py": "LiveKit's adapters, by inheritance; INTERNALS names what is used",
}
"""Modules that touch private names outside the one, and whose."""

PRELOADED = ("livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze")
"""Named in system/process.py, which LiveKit must not be imported in."""


def source_of(internal: Internal) -> str:
    """Return the source of a part of LiveKit, as it is installed."""
    module, _, name = internal.source.partition(":")
    return inspect.getsource(attrgetter(name)(import_module(module)))


@pytest.mark.parametrize("internal", INTERNALS, ids=[it.source for it in INTERNALS])
def test_livekit_has_not_changed_what_is_used_of_it(internal: Internal) -> None:
    """If it has: read it, change `livekit_internals`, write version and fingerprint anew."""
    now = hashlib.sha256(source_of(internal).encode()).hexdigest()[:12]
    package = internal.seen.split()[0]
    message = (
        f"{internal.source} was seen in {internal.seen}; {package} {version(package)} has {now}"
    )
    assert internal.fingerprint == now, message


@pytest.mark.parametrize("internal", INTERNALS, ids=[it.source for it in INTERNALS])
def test_each_name_is_in_the_source_that_it_is_said_to_be_in(internal: Internal) -> None:
    """A name that is gone is not found by its absence."""
    source = source_of(internal)
    assert [name for name in internal.names if name not in source] == []


def test_livekit_preloads_what_the_forkserver_is_told_to_preload() -> None:
    """In the same order, the last one last."""
    there, here = inspect.getsource(worker), (HERE / "system/process.py").read_text("utf-8")
    for text in (there, here):
        assert 0 < text.find(f'"{PRELOADED[0]}"') < text.find(f'"{PRELOADED[1]}"')


def test_no_other_module_touches_a_private_name() -> None:
    """Ruff names each that does not say it on purpose (SLF001)."""
    touching = {
        str(module.relative_to(HERE)) for module in MODULES if "SLF001" in module.read_text("utf-8")
    }
    assert touching == set(OF_OTHERS)


def test_no_other_module_imports_or_replaces_what_is_livekits() -> None:
    """Neither by name nor by assignment."""
    trees = {module: ast.parse(module.read_text("utf-8")) for module in MODULES}
    found = {it: [*private_imports(tree), *replaced(tree)] for it, tree in trees.items()}
    assert {module: names for module, names in found.items() if names}.keys() == {OURS}


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Yield private names that are imported from LiveKit."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livekit."):
            path = f"{node.module}.{'.'.join(it.name for it in node.names)}"
            yield from (part for part in path.split(".") if part.startswith("_"))


def replaced(tree: ast.Module) -> Iterator[str]:
    """Yield attributes of what is imported from LiveKit, or an HTTP library, that are assigned."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            origin = getattr(node, "module", None) or node.names[0].name
            if origin.split(".")[0] in {"livekit", "httpcore2", "httpx2", "httpx", "aiohttp"}:
                imported |= {(it.asname or it.name).split(".")[0] for it in node.names}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("setattr"), args=[target, *_]):
                if ast.unparse(target).startswith(tuple(imported)):
                    yield ast.unparse(node)
        for target in getattr(node, "targets", ()):
            root = target
            while isinstance(root, ast.Attribute):
                root = root.value
            if root is not target and isinstance(root, ast.Name) and root.id in imported:
                yield f"{root.id}.{target.attr}"


def heirs() -> Iterator[type[Any]]:
    """Yield our classes that inherit from LiveKit's."""
    for file in MODULES:
        path = file.relative_to(HERE).with_suffix("").parts
        if "livekit" in file.read_text("utf-8") and path[-1] != "__main__":
            module = import_module(".".join(["loqua_host", *path]).removesuffix(".__init__"))
            for one in vars(module).values():
                if inspect.isclass(one) and one.__module__ == module.__name__ and bases(one):
                    yield one


def bases(one: type[Any]) -> list[type[Any]]:
    """Return the classes of LiveKit's that a class inherits from."""
    return [base for base in one.__mro__ if base.__module__.startswith("livekit.")]


def inherited(one: type[Any]) -> set[str]:
    """Return the private names of LiveKit's that one of our classes uses or overrides."""
    tree = ast.parse(inspect.getsource(one))
    [body] = tree.body
    assert isinstance(body, ast.ClassDef)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    set_here = {it.attr for it in attributes if isinstance(it.ctx, ast.Store)}
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {node.name for node in body.body if isinstance(node, functions)}
    overriding = {name for name in defined if any(name in vars(base) for base in bases(one))}
    used = {it.attr for it in attributes} - set_here - (defined - overriding) | overriding
    return {name for name in used if name.startswith("_") and not name.startswith("__")}


HEIRS = list(heirs())


@pytest.mark.parametrize("one", HEIRS, ids=[f"{it.__module__}.{it.__name__}" for it in HEIRS])
def test_what_is_inherited_of_livekits_is_named_as_well(one: type[Any]) -> None:
    """A private method that LiveKit renames would be overridden no more, without a word."""
    named = {name for internal in INTERNALS for name in internal.names}
    assert inherited(one) - named == set()


async def test_the_host_changes_livekit_before_it_opens_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No job is listened to before jobs are distrusted: LiveKit would run what they log."""
    done: list[str] = []

    class StartedError(Exception):
        """The exception that ends the start."""

    def start(*_: object) -> None:
        raise StartedError

    for patch in ("patch_ipc", "patch_workers"):
        monkeypatch.setattr(host_module, patch, lambda patch=patch: done.append(patch))
    monkeypatch.setattr(host_module, "_open_parts", start)
    anything: Any = type("Anything", (), {"sound": None, "secrets": None})
    with pytest.raises(StartedError):
        await host_module.run_host(*[anything] * 4, traced=False)
    assert done == ["patch_ipc", "patch_workers"]


def test_only_what_is_used_of_the_module_is_there() -> None:
    """What nobody needs any more is LiveKit's again."""
    others = "\n".join(module.read_text("utf-8") for module in MODULES if module != OURS)
    offered = set(livekit_internals.__all__) - {"INTERNALS", "Internal"}
    assert [name for name in sorted(offered) if name not in others] == []

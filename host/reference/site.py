"""The site's generated pages, its links, and llms.txt.

MkDocs calls the `on_…` functions (mkdocs.org, Developer Guide, Hooks).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from posixpath import dirname, normpath, relpath
from typing import Any, Final

from host.reference.commands import render_commands
from host.reference.hooks import render_hooks
from host.reference.public import render_module
from host.reference.settings import render_settings
from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

__all__ = ["on_config", "on_files", "on_nav", "on_page_markdown", "on_post_build"]

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = "host/docs"
REPOSITORY: Final = "https://github.com/loqua-app/loqua-host/blob/main"

RENDERED: Final[dict[str, Callable[[], str]]] = {
    "reference/hooks.md": render_hooks,
    "reference/contract.md": partial(render_module, "loqua_host", "Contract"),
    "reference/events.md": partial(render_module, "loqua_host.events", "Events"),
    "reference/testing.md": partial(render_module, "loqua_host.testing", "Test kit"),
    "reference/settings.md": render_settings,
    "reference/commands.md": render_commands,
}
"""Pages that are rendered from the code."""

RUNBOOKS: Final = sorted((ROOT / "config/prometheus/runbooks").glob("*.md"))

SHOWN: Final = {
    "operate/index.md": "config/README.md",
    "operate/metrics.md": "config/prometheus/README.md",
    "topics.md": "host/TOPICS.md",
    **{f"runbooks/{file.name}": str(file.relative_to(ROOT)) for file in RUNBOOKS},
}
"""Pages that are other files of the repository."""

QUOTED: Final = (*SHOWN.values(), "README.md", "host/README.md")
"""Files that pages show in whole or in part."""

PAGES: Final = {source: page for page, source in SHOWN.items()}

CODE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]*)(#[^)\s]*)?\)")
IMAGE: Final = re.compile(r"\]\(([^)#:\s]*\.(?:png|svg))\)")
SECTION: Final = re.compile(r"^\[[^\]]+\]\((\.\./[^)#]+)#([\w-]+)\)$", re.MULTILINE)
"""A paragraph that is only a link to a section outside docs/; the site has the section there."""


@dataclass(slots=True)
class _Build:
    """State that later events of a build need from earlier ones.

    Attributes:
        shown: The text of each page.
        sections: The sections of the navigation, with their pages.
    """

    shown: dict[str, str] = field(default_factory=dict)
    sections: list[tuple[str, list[Page]]] = field(default_factory=list)


_build = _Build()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of a folder where the navigation names only the folder."""
    folders = {"runbooks": [f"runbooks/{file.name}" for file in RUNBOOKS]}
    for folder in Path(config.docs_dir).iterdir():
        if folder.is_dir():
            pages = sorted(file.name for file in folder.glob("*.md"))
            folders[folder.name] = [f"{folder.name}/{name}" for name in pages]
    config.nav = _filled(config.nav, folders)
    return config


def _filled(nav: Any, folders: dict[str, list[str]]) -> Any:
    match nav:
        case list():
            return [_filled(one, folders) for one in nav]
        case dict():
            return {name: _filled(one, folders) for name, one in nav.items()}
        case _:
            return folders.get(nav, nav)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for page, render in RENDERED.items():
        files.append(File.generated(config, page, content=render()))
    for page, source in SHOWN.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    for image in find_images():
        path = str(ROOT / image)
        files.append(File.generated(config, _image_page(image), abs_src_path=path))
    return files


def find_images() -> set[str]:
    """Return the images in the files that pages show, by their paths in the repository."""
    return {
        normpath(f"{dirname(source)}/{link}").lstrip("/")
        for source in QUOTED
        for link in IMAGE.findall((ROOT / source).read_text("utf-8"))
    }


def _image_page(image: str) -> str:
    return f"images/{PurePosixPath(image).name}"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Return a page's text with its links, and the sections that it shows of other files."""
    uri = page.file.src_uri
    source = SHOWN.get(uri, f"{DOCS}/{uri}")
    if uri not in SHOWN:
        markdown = SECTION.sub(partial(_include, uri), markdown)
    _build.shown[uri] = relink(markdown, source, uri)
    return _build.shown[uri]


def _include(uri: str, link: re.Match[str]) -> str:
    source = normpath(f"{DOCS}/{dirname(uri)}/{link[1]}")
    return relink(section(source, link[2]), source, uri)


def section(source: str, anchor: str) -> str:
    """Return a section of a file of the repository, without its heading.

    Raises:
        KeyError: If there is no such section.
    """
    text = (ROOT / source).read_text("utf-8")
    plain = CODE.sub(lambda code: re.sub("[^\n]", " ", code[0]), text)  # `# …` is a comment there
    headings = [*re.finditer(r"^(#+) (.+)\n", plain, re.MULTILINE)]
    for number, heading in enumerate(headings):
        if slugify(heading[2], "-") == anchor:
            later = (one for one in headings[number + 1 :] if len(one[1]) <= len(heading[1]))
            end = next((one.start() for one in later), len(text))
            return text[heading.end() : end].strip()
    raise KeyError(f"{source} has no section #{anchor}")


def relink(markdown: str, source: str, uri: str) -> str:
    """Return a text with links for a page, from one with links for a file of the repository.

    Args:
        markdown: The text.
        source: The file's path in the repository.
        uri: The page's path in the documentation.
    """
    done = 0
    parts = []
    for code in [*CODE.finditer(markdown), None]:
        start, end = code.span() if code else (len(markdown), len(markdown))
        parts.append(LINK.sub(partial(_relink, source, uri), markdown[done:start]))
        parts.append(markdown[start:end])
        done = end
    return "".join(parts)


def _relink(source: str, uri: str, link: re.Match[str]) -> str:
    anchor = link[2] or ""
    target = normpath(f"{dirname(source)}/{link[1]}").lstrip("/")
    page = PAGES.get(target, target.removeprefix(f"{DOCS}/"))
    if IMAGE.fullmatch(link[0]):
        page = _image_page(target)
    elif (ROOT / target).is_dir() and any(one.startswith(f"{target}/") for one in PAGES):
        page = next(PAGES[one] for one in PAGES if one.startswith(f"{target}/"))
    elif target not in PAGES and not target.startswith(f"{DOCS}/"):
        return link[0] if uri in RENDERED else f"]({REPOSITORY}/{target}{anchor})"
    return f"]({relpath(page, dirname(uri) or '.')}{anchor})"


def on_nav(nav: Navigation, **_: Any) -> None:
    """Note the navigation, from which llms.txt is made."""
    _build.shown.clear()
    _build.sections = list(_sections(nav.items))


def on_post_build(config: MkDocsConfig) -> None:
    """Write each page's text, llms.txt with links to them, and llms-full.txt with all of them.

    llms.txt has the form that https://llmstxt.org proposes.
    """
    site = Path(config.site_dir)
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for title, pages in _build.sections:
        links = (f"- [{page.title}]({page.file.src_uri})" for page in pages)
        lines += ["", f"## {title}", "", *links]
    for uri, text in _build.shown.items():
        (site / uri).write_text(text, "utf-8")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(_build.shown.values()), "utf-8")


def _sections(items: list[Any]) -> Iterator[tuple[str, list[Page]]]:
    """Yield each section of the navigation with its pages."""
    if alone := [one for one in items if isinstance(one, Page)]:
        yield "loqua-host", alone
    for one in items:
        if isinstance(one, Section):
            yield one.title, list(_pages(one.children))


def _pages(items: list[Any]) -> Iterator[Page]:
    for one in items:
        if isinstance(one, Page):
            yield one
        elif isinstance(one, Section):
            yield from _pages(one.children)

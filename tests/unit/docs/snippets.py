"""The code blocks of documents, and their assembly into a tutor's distribution."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]

DOCUMENTS = sorted(
    file
    for file in (
        *(ROOT / "host/docs").rglob("*.md"),
        *(ROOT / "host/examples").glob("*/README.md"),
        *(ROOT / "plugins").glob("*/README.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "host/README.md",
        ROOT / "config/README.md",
        ROOT / "config/prometheus/README.md",
    )
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced code block: its document, its language and its text."""

    document: Path
    language: str
    text: str

    @property
    def name(self) -> str:
        """The name of the snippet in tests."""
        first = next(iter(self.text.splitlines()), "")[:40]
        return f"{self.document.relative_to(ROOT)}: {first}"


def snippets(*languages: str) -> list[Snippet]:
    """Return the blocks of these languages in all documents."""
    return [
        Snippet(document, language, text)
        for document in DOCUMENTS
        for language, text in re.findall(
            r"^```(\w+)\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        if language in languages
    ]


def install(directory: Path, name: str, module: str) -> None:
    """Write what makes a module there the plugin of that name, as if it were installed."""
    info = directory / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[loqua_host]\n{name} = {module}\n")

"""The config/ that the package contains, for `init` and the demo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["TEMPLATES", "write_templates"]

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


def write_templates(directory: Path) -> Iterator[tuple[Path, bool]]:
    """Write each file that does not exist; yield its path and whether it was written.

    Raises:
        OSError: If a file can be neither written nor kept.
    """
    source = TEMPLATES.resolve()
    for template in sorted(source.rglob("*")):
        # In a source checkout, the directory may contain a developer's .env.
        if template.is_file() and template.name != ".env":
            path = directory / template.relative_to(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path, _write_new(path, template.read_bytes())


def _write_new(path: Path, content: bytes) -> bool:
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    with file:
        file.write(content)
    return True

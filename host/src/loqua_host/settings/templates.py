"""The config/ that comes with the package, to begin with and for the demo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["TEMPLATES", "write_templates"]

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


def write_templates(directory: Path) -> Iterator[tuple[Path, bool]]:
    """Write each file that is not there yet; yield its path and whether it was written.

    Raises:
        OSError: It can be neither written nor left as it is.
    """
    source = TEMPLATES.resolve()
    for template in sorted(source.rglob("*")):
        # A developer's own .env may be there where this is no installed package.
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

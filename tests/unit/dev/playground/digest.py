"""The digest of the playground's page, stored beside its pictures."""

import hashlib
from pathlib import Path

__all__ = ["PICTURES", "page_digest"]

_ROOT = Path(__file__).parents[4]
PICTURES = _ROOT / "host/docs/images/playground"


def page_digest() -> str:
    """Return the digest of the page's own files, in the order of their names."""
    whole = hashlib.sha256()
    for file in sorted((_ROOT / "host/src/loqua_host/dev/playground/page").glob("*.*")):
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()

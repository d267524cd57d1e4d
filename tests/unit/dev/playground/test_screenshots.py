"""The pictures of the playground, compared with the present page."""

from tests.unit.dev.playground.digest import PICTURES, page_digest


def test_the_pictures_are_not_older_than_the_page() -> None:
    """`uv run python -m tests.pictures.playground` makes them anew."""
    assert (PICTURES / "page.sha256").read_text().strip() == page_digest()


def test_the_pictures_are_small() -> None:
    """Everybody who clones the repository downloads them."""
    sizes = {file.name: file.stat().st_size for file in PICTURES.glob("*.png")}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > 150_000} == {}

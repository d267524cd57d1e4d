"""The site's pages from files outside docs/, and links between pages."""

from pathlib import Path

import pytest
from host.reference import site

LINKS = {
    "page that is another file": ("config/README.md", "operate/index.md"),
    "page of docs": ("host/docs/tutorial.md", "tutorial.md"),
    "folder of pages": ("config/prometheus/runbooks", "runbooks/AgentAuthenticationFails.md"),
    "file that is no page": ("Dockerfile", f"{site.REPOSITORY}/Dockerfile"),
    "image": ("config/grafana/board.png", "images/board.png"),
}


@pytest.mark.parametrize(("target", "page"), LINKS.values(), ids=LINKS)
def test_a_link_of_a_readme_leads_to_the_page_of_its_target(target: str, page: str) -> None:
    """Or to the repository, where it has no page."""
    assert site.relink(f"[x]({target})", "README.md", "index.md") == f"[x]({page})"


def test_a_link_keeps_its_section_from_page_to_page() -> None:
    """Wherever both are."""
    text = "[x](../README.md#in-a-container), [y](#here), [z](https://loqua.app)"
    shown = site.relink(text, "config/prometheus/README.md", "operate/metrics.md")
    assert shown == "[x](index.md#in-a-container), [y](#here), [z](https://loqua.app)"


def test_code_stays_as_it_is() -> None:
    """Links in code are not changed."""
    code = "```python\nfound[0](README.md)\n```\n"
    assert site.relink(code, "README.md", "index.md") == code


def test_a_section_ends_where_the_next_of_its_level_begins() -> None:
    """A comment in code is no heading."""
    text = site.section("README.md", "try-it")
    assert text.startswith("```sh")
    assert "\n## " not in text
    assert "# writes an initial config/" in site.section("README.md", "install")


def test_a_section_that_was_renamed_stops_the_build() -> None:
    """By its name."""
    with pytest.raises(KeyError, match=r"README\.md has no section #gone"):
        site.section("README.md", "gone")


def test_images_of_a_file_that_is_shown_are_pages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their paths in the repository."""
    for source in site.QUOTED:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text("no image\n")
    (tmp_path / "config/README.md").write_text("![x](grafana/board.png) [y](https://a.b/c.svg)\n")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert site.find_images() == {"config/grafana/board.png"}

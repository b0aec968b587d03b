"""The README's picture is the one that the shipped race gives, and its words say the same."""

from pathlib import Path

from tools import picture

ROOT = Path(__file__).resolve().parent.parent


def test_the_picture_is_drawn_from_the_shipped_race():
    text, alt = picture.picture()
    assert picture.PATH.read_text() == text, "run: python -m tools.picture"
    assert f"![{alt}](book/static/race.svg)" in (ROOT / "README.md").read_text()

"""The files by others under book/static/vendor are what their table says."""

import hashlib
import re
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[1] / "book" / "static" / "vendor"
ROW = re.compile(
    r"^\| `([^`]+)` \| [\d.]+ \| (\S+) \| npm .+ \| `([0-9a-f]{64})` \|$", re.MULTILINE
)
ROWS = ROW.findall((VENDOR / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "licence", "checksum"), ROWS, ids=[row[0] for row in ROWS])
def test_a_file_is_the_published_one(name, licence, checksum):
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum
    assert licence in {"Apache-2.0", "OFL-1.1"}


def test_the_table_is_read():
    assert len(ROWS) >= 10


def test_every_file_is_in_the_table():
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert files - {"README.md"} == {row[0] for row in ROWS}

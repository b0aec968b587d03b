"""Files taken out of zips and folders of others, which are not trusted.

Nothing leads outside, no link is followed, and sizes are limited.
"""

import datetime
import os
import pathlib
import re
import stat
import unicodedata
import zipfile
import zlib
from typing import NamedTuple

# Bytes after unpacking: of one file, of one student's zip in a zip, of everything.
FILE_LIMIT, STUDENT_LIMIT, TOTAL_LIMIT = 50 * 2**20, 200 * 2**20, 2**30
COUNT_LIMIT = 20_000
# Put there by operating systems and editors, not by students.
_JUNK = {"__macosx", "thumbs.db", "desktop.ini", "timestamp.txt"}


class File(NamedTuple):
    """A file as it came: the parts of its path, its bytes, and when it was written."""

    path: tuple
    data: bytes
    time: datetime.datetime | None


def _parts(name):
    """Return the parts of a path in a zip; ValueError if it leads outside."""
    name = name.replace("\\", "/")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in parts:
        raise ValueError("its path leads outside of the zip")
    if any(unicodedata.category(c) == "Cc" for c in name):
        raise ValueError("its name holds control characters")
    return parts


def _is_junk(parts):
    return any(part.lower() in _JUNK or part.startswith((".", "~$")) for part in parts)


def unzip(file, refused, limit, where="", count=COUNT_LIMIT):
    """Yield the `File`s of a zip; refused ones are listed. ValueError beyond the limit."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"it is no zip file that can be read: {error}") from None
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > count:
            raise ValueError(f"it holds more than {count} files")
        left = limit
        for entry in entries:
            try:
                parts = _parts(entry.filename)
                if _is_junk(parts):
                    continue
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise ValueError("it is a link")
                data = _read(archive, entry)
            except ValueError as error:
                refused.append((where + entry.filename, str(error)))
                continue
            left -= len(data)
            if left < 0:
                raise ValueError(f"it unpacks to more than {limit // 2**20} MB")
            yield File(parts, data, _zip_time(entry))


def _read(archive, entry):
    try:
        with archive.open(entry) as file:
            data = file.read(FILE_LIMIT + 1)  # what the header says of the size may be a lie
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from None
    if len(data) > FILE_LIMIT:
        raise ValueError(f"it is larger than {FILE_LIMIT // 2**20} MB")
    return data


def _zip_time(entry):
    try:
        return datetime.datetime(*entry.date_time) if entry.date_time[0] > 1980 else None
    except ValueError:
        return None


def walk(folder, refused):
    """Yield the `File`s of a folder; links are refused."""
    left = TOTAL_LIMIT
    for where, inside, files in os.walk(folder):
        inside.sort()
        for name in sorted([*files, *inside]):
            path = pathlib.Path(where, name)
            parts = path.relative_to(folder).parts
            if _is_junk(parts):
                continue
            if path.is_symlink():
                refused.append((path.relative_to(folder).as_posix(), "it is a link"))
            elif path.is_file():
                size = path.stat().st_size
                if size > FILE_LIMIT:
                    why = f"it is larger than {FILE_LIMIT // 2**20} MB"
                    refused.append((path.relative_to(folder).as_posix(), why))
                    continue
                left -= size
                if left < 0:
                    raise ValueError(f"{folder} holds more than {TOTAL_LIMIT // 2**20} MB")
                time = datetime.datetime.fromtimestamp(int(path.stat().st_mtime))
                yield File(parts, path.read_bytes(), time)


def files(where, refused):
    """Return the `File`s of a zip or a folder; those that are refused are listed there."""
    where = pathlib.Path(where)
    if where.is_dir():
        return list(walk(where, refused))
    if not where.is_file():
        raise ValueError(f"there is no zip file or folder {where}")
    try:
        return list(unzip(where, refused, TOTAL_LIMIT))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None

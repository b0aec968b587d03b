"""The small measured results that come with the package, by name.

Each is one ``.npz`` in ``course_lib/shipped`` with the configuration and the provenance of the
run that made it; ``experiments`` holds the code that makes it again.
"""

import pathlib

from course_lib import storage

FOLDER = pathlib.Path(__file__).with_name("shipped")


def names():
    """Return the names of the shipped results."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.npz")))


def load(name):
    """Return the shipped result called `name` as a `storage.Stored`.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the names.
    """
    if name not in names():
        raise ValueError(f"no shipped result {name!r}; there are: {', '.join(names()) or 'none'}")
    return storage.load(FOLDER / f"{name}.npz")

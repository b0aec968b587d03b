"""What the tests share: what nbval collected, and the line about the browser checks."""

import os

import pytest


def pytest_terminal_summary(terminalreporter):
    """Say in one line that the browser checks were left out, and why."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[-1]).removeprefix("Skipped: ")
        if reason.startswith("browser checks left out"):
            terminalreporter.write_line(f"NOTE: {reason}", yellow=True)
            return


@pytest.fixture(scope="session")
def notebooks_collected(request):
    """The names of the notebooks of which nbval collected cells, or None outside `make test`."""
    if "BOOK_STATUS" not in os.environ:
        return None
    items = request.session.items
    return {item.path.stem for item in items if item.path.suffix == ".ipynb"}

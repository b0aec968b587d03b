"""What the tests share: where things are, and the lines that pytest ends with."""

import pytest


def pytest_terminal_summary(terminalreporter):
    """Say in one line that the browser checks were left out, and why."""
    for report in terminalreporter.stats.get("skipped", []):
        if "test_browser" in report.nodeid:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            reason = str(reason).removeprefix("Skipped: ")
            terminalreporter.write_line(f"The browser checks are left out: {reason}", yellow=True)
            break


@pytest.fixture(scope="session")
def notebooks_collected(request):
    """The names of the notebooks of which nbval collected cells, or None outside `make test`."""
    import os

    if "BOOK_STATUS" not in os.environ:
        return None
    items = request.session.items
    return {item.path.stem for item in items if item.path.suffix == ".ipynb"}

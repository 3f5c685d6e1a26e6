"""Settings of every test: hypothesis without deadlines, and a summary of what tests measured."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

# A failed assertion of a helper tells its values, as one of a test does.
pytest.register_assert_rewrite("tests.helpers")

hypothesis.settings.register_profile(
    "deltaloop", deadline=None, max_examples=50, derandomize=True, database=None
)
hypothesis.settings.load_profile("deltaloop")

# Pictures are drawn without a screen.
os.environ["MPLBACKEND"] = "Agg"

# A shell's background jobs ignore Ctrl-C, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    import deltaloop

    runtime = deltaloop.runtime()
    return f"deltaloop: {runtime['version']}, isa {runtime['isa']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let fits end badly: most tests fit random numbers, and look at bits or limits.

    tests/training/test_verdict.py looks at this warning. Examples in documents must not give any.
    """
    ignored = pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")
    for item in items:
        if isinstance(item, pytest.Function):
            item.add_marker(ignored, append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded with the fixture record_property."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {name} = {value}"
        for status in ("passed", "failed")
        for report in terminalreporter.stats.get(status, [])
        for name, value in report.user_properties
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)

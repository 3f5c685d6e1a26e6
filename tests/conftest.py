"""Settings of every test: hypothesis without deadlines, and a summary of what tests measured.

Also the fixtures of the command line's tests.
"""

from __future__ import annotations

import json
import os
import signal

import hypothesis
import pytest

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


@pytest.fixture
def run(capsys):
    """Run the command line in this process; returns status, output and messages."""

    def run(*argv: object) -> tuple[int, str, str]:
        from deltaloop.cli import main

        try:
            status = main([str(arg) for arg in argv])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def report(run):
    """Run a command with --json that must succeed; returns its one object."""

    def report(*argv: object) -> dict:
        status, out, err = run(*argv, "--json")
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)

    return report


@pytest.fixture
def fails(run):
    """Run a command that must fail with status 1 and one line; returns that line."""

    def fails(*argv: object) -> str:
        status, out, err = run(*argv)
        assert (status, out) == (1, "")
        assert err.startswith("deltaloop: ")
        assert err.count("\n") == 1
        return err.removeprefix("deltaloop: ").rstrip("\n")

    return fails

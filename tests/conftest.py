"""Settings of every test: who runs it, and what is left out; what tests measured, at the end.

A run of folders is shared among processes, one for each processor, where pytest-xdist is installed:
`-n 0` or `-p no:xdist` keeps it in one. Files and single tests are run by one process, which begins
at once. Tests that are marked as slow are left out: `--slow` runs them too, and so does naming one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

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

# More processes would wait for the memory, and for the longest test.
MAX_PROCESSES = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked as slow, too")


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give folders to several processes, as if `-n` were given; called before xdist looks at it."""
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    chosen = option.numprocesses is not None or option.dist != "no" or option.tx
    if chosen or option.usepdb or option.collectonly:
        return
    processes = min(_processors(), MAX_PROCESSES)
    if processes > 1 and any(Path(argument).is_dir() for argument in config.args):
        option.numprocesses = processes
        # What stands together stays together while there is enough: its fixtures are made once.
        option.dist = "worksteal"
        # Each process has a processor: threads of other libraries would only wait for it.
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_report_header() -> str:
    import deltaloop

    runtime = deltaloop.runtime()
    return f"deltaloop: {runtime['version']}, isa {runtime['isa']}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let fits end badly: most tests fit random numbers, and look at bits or limits.

    tests/training/test_verdict.py looks at this warning. Examples in documents must not give any.
    Slow tests are left out, unless they are asked for.
    """
    ignored = pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")
    for item in items:
        if isinstance(item, pytest.Function):
            item.add_marker(ignored, append=False)
    named = any("::" in argument for argument in config.args)
    if not (config.option.slow or config.option.markexpr or named):
        slow = [item for item in items if item.get_closest_marker("slow")]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture
def record_property(
    record_property: Callable[[str, object], None],
) -> Callable[[str, object], None]:
    """Record text: reports go from process to process, with plain objects alone."""

    def record(name: str, value: object) -> None:
        record_property(name, str(value))

    return record


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

"""Memory does not grow with the number of rows: asserted, since unlike time it does not jitter."""

from __future__ import annotations

import memory
import pytest


def test_peak_of_a_full_batch_epoch(capsys) -> None:
    pytest.importorskip("resource")
    measured = memory.measure("deltaloop")
    beside = measured["peak"] - measured["data"]
    with capsys.disabled():
        print(
            f"\nfull-batch epoch, 1,000,000 rows, 10-32-1: data {measured['data'] / 1e6:.1f} MB, "
            f"beside it {beside / 1e6:.1f} MB"
        )
    # A peak below the data would mean that it was not measured.
    assert 0 <= beside < memory.LIMIT

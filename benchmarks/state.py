"""In which state the processors are: as many cores, or threads of fewer.

The virtual CPUs of a cloud machine are cores of their own at one moment and threads of one core at
the next, for seconds at a time. `Spin` lets all of them do multiply-adds at once for a moment, and
sets the sum of their rates against the rate of one alone. `Others` tells how busy other programs
were meanwhile, and the host with other machines.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import machine

# Two cores do at least so much of twice the work of one, and two threads of one core less; seconds
# of one look, of which there are some, for a look is disturbed more easily than the state changes.
TWO_CORES = 0.8
LOOK, LOOKS = 3e-4, 4


# Seconds of other programs in a second that a turn may have, and those that are not seen: Linux
# counts them in hundredths.
OTHERS, UNSEEN = 0.1, 0.03


class Others:
    """Seconds of all CPUs that were spent by other processes than the given ones, on Linux."""

    def __init__(self, own: list[int]) -> None:
        self.own = own
        self.start = self.spent(), time.perf_counter()

    def spent(self) -> float:
        try:
            of_all = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
            mine = 0
            for pid in self.own:
                mine += sum(
                    map(
                        int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                    )
                )
        except OSError:
            return 0.0
        user, nice, system, _, _, interrupts, soft, steal = map(int, of_all)
        busy = user + nice + system + interrupts + soft + steal
        return (busy - mine) / os.sysconf("SC_CLK_TCK")

    def many(self) -> bool:
        """Whether they took so much that what was timed meanwhile does not count."""
        wall = time.perf_counter() - self.start[1]
        return self.spent() - self.start[0] > UNSEEN + OTHERS * wall


class Spin:
    """Multiply-adds on one CPU and on several; without a compiler nothing is known."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.fma = machine.multiply_adds() if threads > 1 else None
        if self.fma is not None:
            took = machine.shortest(self.fma)
            self.n = max(1, int(LOOK / took))

    def one(self) -> float:
        start = time.perf_counter()
        self.fma(self.n)
        return time.perf_counter() - start

    def look(self) -> float:
        """The share of its CPUs' rates that the machine gives at once, 1 at best."""
        if self.fma is None:
            return 1.0
        alone = min(self.one() for _ in range(LOOKS))
        ready = threading.Barrier(self.threads)
        took = [[0.0] * LOOKS for _ in range(self.threads)]

        def work(mine: list[float]) -> None:
            for i in range(LOOKS):
                ready.wait()
                mine[i] = self.one()

        others = [threading.Thread(target=work, args=(mine,)) for mine in took[1:]]
        for thread in others:
            thread.start()
        work(took[0])
        for thread in others:
            thread.join()
        return alone / min(map(max, zip(*took, strict=True)))

    def rates(self) -> tuple[float, float]:
        """FLOP per second on one CPU, and on all at once."""
        alone = machine.fma_flop() / machine.shortest(self.fma)
        return alone, alone * self.threads * max(self.look() for _ in range(5))


def cores(share: float) -> bool:
    """Whether a look found cores."""
    return share >= TWO_CORES


def words(share: float) -> str:
    return f"{'cores' if cores(share) else 'threads of one core'} ({100 * share:.0f} %)"

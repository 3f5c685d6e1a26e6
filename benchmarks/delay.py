"""A network with a delay between namespaces, for kernels without netem.

Run `python benchmarks/delay.py HOSTS SECONDS` as root beside a measurement, until it is ended. The
hosts are the namespaces of `namespaces.sh`, each with a tap device eth0 in place of veth. This
process carries their frames, each so many seconds late.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress

SET_DEVICE, TAP, NO_HEADER, NETWORK, SLACK = 0x400454CA, 2, 0x1000, 0x40000000, 29
BROADCAST = b"\xff" * 6


def tap(namespace: str, libc: ctypes.CDLL) -> int:
    """Make eth0 in a namespace; what is read and written are its frames."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    libc.setns(there, NETWORK)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, SET_DEVICE, struct.pack("16sH22x", b"eth0", TAP | NO_HEADER))
    libc.setns(home, NETWORK)
    return device


def main(hosts: int, delay: float) -> None:
    """Carry frames for ever."""
    libc = ctypes.CDLL(None)
    libc.prctl(SLACK, 1, 0, 0, 0)  # wake in time
    devices = []
    for i in range(hosts):
        name = f"dlhost{i}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        devices.append(tap(name, libc))
        for what in (f"addr add 10.77.0.{i + 1}/24 dev eth0", "link set eth0 up", "link set lo up"):
            subprocess.run(["ip", "-n", name, *what.split()], check=True)
    print("up", flush=True)
    known: dict[bytes, int] = {}
    late: deque[tuple[float, bytes, int]] = deque()
    while True:
        wait = max(late[0][0] - time.perf_counter(), 0.0) if late else None
        for device in select.select(devices, [], [], wait)[0]:
            try:
                while True:
                    frame = os.read(device, 65536)
                    known[frame[6:12]] = device
                    late.append((time.perf_counter() + delay, frame, device))
            except BlockingIOError:
                pass
        while late and late[0][0] <= time.perf_counter():
            _, frame, source = late.popleft()
            to = known.get(frame[:6])
            for device in devices if to is None else [to]:
                if device != source:
                    with suppress(BlockingIOError):  # lost, as on a line that is full
                        os.write(device, frame)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

"""Contenders in processes of their own: other versions of a library, or another number of threads.

`Remote` stands for a contender class of this folder, run by an interpreter of environments.py. The
process gets tasks and orders through one pipe and answers through another, pickled; it waits for
the next order without computing, so that it takes turns with the contenders of this process. It is
started when it is first needed. `python remote.py MODULE CLASS THREADS` is the process.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import environment
import environments
from contender import Contender


class Remote(Contender):
    """A contender class of `module_of` in an environment, '' for this interpreter's."""

    def __init__(
        self, kind: type[Contender], threads: int, where: str = "", name: str = ""
    ) -> None:
        super().__init__(threads)
        self.kind, self.where = kind, where
        self.local = kind(threads)
        self.name = name or kind.name
        self.variant = self.local.variant
        self.kinds = kind.kinds
        self.held = not where
        self._session: RemoteSession | None = None

    def present(self) -> bool:
        if not self.where:
            return self.local.present()
        return environments.interpreter(self.where) is not None

    def suits(self, cell) -> bool:
        return self.local.suits(cell)

    def session(self) -> RemoteSession:
        if self._session is None:
            self._session = RemoteSession(self)
        return self._session


class RemoteSession:
    """The process, with the methods of `timing.Session`."""

    def __init__(self, remote: Remote) -> None:
        self.label = remote.label
        kind = remote.kind
        settings = environment.threads(remote.threads)
        if remote.where:
            foreign = environment.settings(os.environ)
            kept = {name: text for name, text in os.environ.items() if name not in foreign}
            settings = kept | settings | environments.ENVIRONMENTS[remote.where].settings
        else:
            settings = os.environ | settings
        program = environments.interpreter(remote.where)
        command = [program, __file__, kind.__module__, kind.__name__, str(remote.threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=settings
        )
        self.pid = self.process.pid

    def ask(self, *order):
        try:
            pickle.dump(order, self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError):
            raise SystemExit(f"{self.label}: its process has ended") from None

    def begin(self, task):
        return self.ask("begin", task)

    def calibrate(self, least: int) -> int:
        return self.ask("calibrate", least)

    def turn(self, n: int) -> tuple[float, float]:
        return self.ask("turn", n)

    def end(self) -> None:
        self.ask("end")


def serve(contender: Contender, orders, answers) -> None:
    session = contender.session()
    while True:
        try:
            name, *arguments = pickle.load(orders)
        except EOFError:
            return
        answer = getattr(session, name)(*arguments)
        pickle.dump(answer, answers)
        answers.flush()


def main(module: str, name: str, threads: str) -> None:
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    kind = getattr(importlib.import_module(module), name)
    bytearray(31 << 20)  # see measure.py
    serve(kind(int(threads)), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

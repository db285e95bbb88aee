"""Processes that are started here and must not be left behind, whatever interrupts."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)

# What this process started itself, and so must wait for when it ends.
_children: dict[int, subprocess.Popen[bytes]] = {}


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM raises as Ctrl-C does, so that what cleans up after one cleans up after the other."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _handlers_put_back():
        signal.signal(signal.SIGTERM, stop)
        yield


@contextmanager
def _handlers_put_back() -> Iterator[None]:
    standing = {sign: signal.getsignal(sign) for sign in INTERRUPTS}
    try:
        yield
    finally:
        for sign, handler in standing.items():
            signal.signal(sign, handler)


def spawn(arguments: list[str], env: Mapping[str, str], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own. An interrupt meanwhile waits until the process can be ended again."""
    interrupts: list[int] = []
    with _handlers_put_back(), log.open("a") as out:
        for sign in INTERRUPTS:
            signal.signal(sign, lambda number, _: interrupts.append(number))
        process = subprocess.Popen(
            arguments,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _children[process.pid] = process
    if interrupts:
        end(process.pid)
        raise KeyboardInterrupt
    return process


def end(pid: int) -> None:
    """End a process and everything in its session: asked first, then killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + 5
        while time.monotonic() < until and _exists(pid):
            time.sleep(0.05)


def runs(pid: int, name: str) -> bool:
    """Whether process `pid` is a `name`: after a restart of the machine another may have its number."""
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # no such process, or a system without /proc
        if Path("/proc/self").exists():
            return False
    listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return name in listing.stdout


def _exists(group: int) -> bool:
    if group in _children and _children[group].poll() is not None:
        del _children[group]
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True

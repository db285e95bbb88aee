"""microburst as a child process between the functions and the local cloud."""

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local import processes

Rule = dict[str, Any]


class Proxy:
    """A running microburst: its rules, and how often each has fired."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"

    def _control(self, path: str, method: str = "GET", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_microburst/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def alive(self) -> bool:
        try:
            return bool(self._control("health")["status"] == "ok")
        except OSError:
            return False

    def inject(self, rules: list[Rule]) -> None:
        """These rules and no others from now on; the log of what fired starts anew."""
        self._control("fired", "DELETE")
        self._control("rules", "POST", rules)

    def fired(self) -> list[dict[str, Any]]:
        """What was injected since: service, operation and action of each."""
        found: list[dict[str, Any]] = self._control("fired?limit=100000")
        return found

    def heal(self) -> None:
        """No fault from now on; the log stays."""
        self._control("rules", "DELETE", [])


@contextmanager
def running(upstream: str, folder: Path) -> Iterator[Proxy]:
    """A proxy in front of `upstream` for the length of a block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    arguments = [sys.executable, str(Path(__file__).with_name("burst.py")), "--upstream", upstream, "--port", str(port)]
    process = processes.spawn(arguments, {"PATH": "/usr/bin:/bin"}, cwd=folder, log=folder / "microburst.log")
    try:
        proxy, end = Proxy(port), time.monotonic() + 60
        while not proxy.alive():
            assert process.poll() is None, (folder / "microburst.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield proxy
    finally:
        processes.end(process.pid)

"""``skydns serve`` as a process of its own, with ports of the test's, until the test is over."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

import dns.exception
import dns.message
import dns.query
import yaml

from bench.ports import free_port

START_SECONDS = 30.0
ANSWER_SECONDS = 5.0


class Serving:
    """A server with these flags and settings, as in a configuration file, on ports of its own."""

    def __init__(self, folder: Path, *flags: str, **settings: Any) -> None:
        self.port, self.http_port = free_port(), free_port()
        place = f"127.0.0.1:{self.http_port}"
        self.config = folder / "skydns.yaml"
        self._flags = flags
        pages = {"health": place, "ready": place, "metrics": place}
        defaults = {"listen": [f"127.0.0.1:{self.port}"], "http": pages}
        self.config.write_text(yaml.safe_dump(defaults | settings))
        self.log: list[str] = []
        self._lines: Queue[str] = Queue()
        self._process: subprocess.Popen[str] | None = None
        self._silent = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "skydns_py", "serve", "-c", str(self.config), *self._flags]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._silent = ""
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(START_SECONDS)

    def terminate(self) -> None:
        """Ask it to end; ``exit_code`` waits until it has."""
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> None:
        """End it at once, as a crash would; entering it anew starts it again, on the same ports."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_SECONDS)

    @property
    def pid(self) -> int:
        """Of the server's process."""
        assert self._process is not None
        return self._process.pid

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line)
            self._lines.put(line)

    def wait_for(self, text: str) -> str:
        """The next line of its log that contains ``text``."""
        while True:
            try:
                line = self._lines.get(timeout=START_SECONDS)
            except Empty:
                raise AssertionError(self._account(f"no {text!r} in its log")) from None
            if text in line:
                return line

    @property
    def exit_code(self) -> int:
        """What it ended with, once it has."""
        assert self._process is not None
        return self._process.wait(START_SECONDS)

    def ask(self, name: str, rdtype: str = "A", **how: Any) -> dns.message.Message:
        """The reply over UDP; ``how`` goes to dnspython (``source``, …).

        A server that was silent once is not asked again: a thousand questions would cost the run its time.
        """
        assert not self._silent, self._silent
        query = dns.message.make_query(name, rdtype, use_edns=False)
        try:
            return dns.query.udp(query, "127.0.0.1", ANSWER_SECONDS, self.port, **how)
        except dns.exception.Timeout:
            self._silent = self._account(f"no answer to {name} {rdtype} in {ANSWER_SECONDS} s")
            raise AssertionError(self._silent) from None

    def _account(self, what: str) -> str:
        assert self._process is not None
        code = self._process.poll()
        state = "it runs" if code is None else f"it ended with {code}"
        return f"{what}; {state}, and its log is:\n{''.join(self.log)}"

    def addresses(self, name: str, **how: Any) -> list[str]:
        """The A records that a name leads to, sorted."""
        reply = self.ask(name, "A", **how)
        return sorted(rdata.to_text() for rrset in reply.answer if rrset.rdtype == 1 for rdata in rrset)

"""A service that makes load balancers: an HTTP server that answers as it is told."""

import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = tuple[int, bytes, dict[str, str]]


class Hook:
    """``asked`` is everything it was asked; ``answers`` come first, then what ``usual`` gives."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.tokens: list[str] = []
        self.answers: deque[Reply] = deque()
        self.usual: Callable[[Any], Reply] = lambda _: (200, b'{"ingress": [{"ip": "203.0.113.5"}]}', {})
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.tokens.append(self.headers.get("Authorization", ""))
                hook.asked.append(body)
                code, text, headers = hook.answers.popleft() if hook.answers else hook.usual(body)
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/balancers"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()

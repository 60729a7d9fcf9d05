"""The stand-in API server's connections: HTTP/1.1, chunked watches, TLS."""

import json
import select
import socket
import ssl
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.kube.call import Call, discovery
from tests.kube.resources import REASONS, Object, Refused
from tests.kube.watch import events, too_old

if TYPE_CHECKING:
    from tests.kube_api import KubeApi, Refusal


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that they can be ended."""

    def __init__(self, address: tuple[str, int], api: "KubeApi", context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self.api = api
        self.context = context
        self.open: set[socket.socket] = set()

    def server_bind(self) -> None:
        """Without the look-up of our own name that the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "kubernetes", self.server_address[1]

    def handle_error(self, *unused: object) -> None:
        """Clients that go away are what tests are about."""

    def break_connections(self) -> None:
        for each in list(self.open):
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        self.request.settimeout(60)
        self.server.open.add(self.request)
        if self.server.context is not None:
            raw, self.request = self.request, self.server.context.wrap_socket(self.request, server_side=True)
            self.server.open.discard(raw)
            self.server.open.add(self.request)
        self.server.api.connections += 1
        super().setup()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.server.open.discard(self.request)
        self.request.close()

    def log_message(self, *unused: object) -> None:
        """Nothing."""

    def handle_expect_100(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        """Every method goes the same way; ``do_GET`` and its like are looked up by name."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        api = self.server.api
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {self.path}"
        api.requests.append(request)
        api.tokens.append((self.headers.get("Authorization") or "").removeprefix("Bearer "))
        try:
            if refusal := api.refusal(request):
                self._refuse(refusal)
            elif api.token and api.tokens[-1] != api.token:
                raise Refused(401, "Unauthorized")
            else:
                self._answer(content)
        except Refused as refused:
            self._send(refused.code, refused.status())

    def _refuse(self, refusal: "Refusal") -> None:
        if refusal.body:
            self._send_bytes(refusal.code, refusal.kind, refusal.body.encode(), refusal.headers)
        else:
            refused = Refused(refusal.code, self._words(refusal.code), REASONS.get(refusal.code, "Unknown"))
            self._send(refusal.code, refused.status(), refusal.headers)

    def _words(self, code: int) -> str:
        """What a real server says with this code."""
        if code != 403:
            return {401: "Unauthorized", 429: "too many requests, please try again later."}.get(
                code, "refused"
            )
        call = self._call()
        verb = call.verb(self.command)
        scope = f'in the namespace "{call.namespace}"' if call.namespace else "at the cluster scope"
        user = 'User "system:serviceaccount:kube-system:skydns"'
        what = f'resource "{call.resource.plural}" in API group "{call.resource.group}"'
        return f"{call.resource.full_name} is forbidden: {user} cannot {verb} {what} {scope}"

    def _answer(self, content: bytes) -> None:
        path = urlsplit(self.path).path
        if path in ("/readyz", "/livez", "/healthz"):
            return self._send_bytes(200, "text/plain; charset=utf-8", b"ok")
        if path == "/version":
            return self._send(200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
        if listed := discovery(self.server.api.without, path):
            return self._send(200, listed)
        call = self._call()
        if call.watched:
            return self._watch(call)
        return self._send(*call.run(self.command, content, self.headers.get("Content-Type") or ""))

    def _call(self) -> Call:
        api = self.server.api
        return Call.of(api.store, api.without, self.command, self.path)

    def _send(self, code: int, document: Object, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(code, "application/json", json.dumps(document).encode() + b"\n", headers)

    def _send_bytes(
        self, code: int, kind: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        given = {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _watch(self, call: "Call") -> None:
        api = self.server.api
        if call.query.get("resourceVersionMatch"):
            told = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch"
            raise Refused(422, f'ListOptions.meta.k8s.io "" is invalid: {told}')
        if api.gone_as_status and 0 < call.revision < api.store.compacted:
            raise too_old(call.revision, api.store)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events(api, call, self._left):
            if event is None:
                self.close_connection = True
                with suppress(OSError):
                    socket.socket.shutdown(self.request, socket.SHUT_RDWR)
                return
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _left(self) -> bool:
        """Whether the client ended the connection: it has nothing to say during a watch."""
        return bool(select.select([self.request], [], [], 0)[0])

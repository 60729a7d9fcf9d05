"""The provider for clouds: a service of the user's makes the load balancers, asked by HTTP POST.

1. What is asked is JSON: ``action`` (``ensure`` or ``release``), ``service`` (namespace, name, class, the
   addresses wished for, source ranges, policy), ``ports``, ``nodes``.  See docs/balancer.md.
2. 200 with ``{"ingress": [{"ip": …} or {"hostname": …}]}`` says that it is there, 202 that it will be: the
   same is asked again after ``Retry-After`` seconds.  Anything else is a failure, tried again later.
3. That something was asked for is written down before it is asked: so a Service that is deleted while no
   controller runs is released by the next one.  Asking is repeated; whoever answers must take that.
4. It is asked again whenever what it was told has changed: a port, a node.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from skydns_py.balancer.book import NOT_DONE, Book, Change, Outcome, Task
from skydns_py.balancer.choose import NoAddress, NotOurs, owner_of
from skydns_py.balancer.provider import same_wish
from skydns_py.balancer.store import Held, Store
from skydns_py.balancer.view import View
from skydns_py.balancer.written import Ingress, NotJson, rewritten
from skydns_py.cluster.objects import Node, Service
from skydns_py.errors import SkydnsError
from skydns_py.settings import WebhookSettings

ANSWER_OCTETS = 65_536
"""Of an answer that are read; one entry takes some 50."""
POLL_SECONDS, LONGEST_POLL = 2.0, 60.0
Json = dict[str, Any]


class HookFailed(SkydnsError):
    """The service could not be asked, or did not answer as it should."""


class Hook:
    """Asks; blocks for ``timeout_seconds`` at most between two packets."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if settings.url.startswith("https:"):
            context = ssl.create_default_context(cafile=settings.ca or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, body: bytes) -> tuple[tuple[Ingress, ...], float]:
        """What it gives, and the seconds to wait before asking again (0.0: that is all); HookFailed."""
        request = urllib.request.Request(self._settings.url, body, self._headers(), method="POST")  # noqa: S310 -- checked
        try:
            with self._opener.open(request, timeout=self._settings.timeout_seconds) as answer:
                text = answer.read(ANSWER_OCTETS + 1)
                if answer.status == 202:
                    return (), _seconds(answer.headers.get("Retry-After", ""))
                return parse_answer(text), 0.0
        except urllib.error.HTTPError as error:
            said = " ".join(error.read(200).decode(errors="replace").split())
            raise HookFailed(f"{self._settings.url} answers {error.code}: {said or error.reason}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise HookFailed(f"{self._settings.url} cannot be asked: {reason}") from None

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._settings.token_file:
            token = Path(self._settings.token_file).read_text(encoding="utf-8").strip()
            headers["Authorization"] = f"Bearer {token}"
        return headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would be sent on as a GET, with the token."""

    def redirect_request(self, *_: object) -> None:
        """None makes it an error."""


def parse_answer(text: bytes) -> tuple[Ingress, ...]:
    """The entries of an answer, each with an address or a name; HookFailed where it is not as agreed."""
    if len(text) > ANSWER_OCTETS:
        raise HookFailed(f"the webhook's answer is longer than {ANSWER_OCTETS} octets")
    try:
        found = json.loads(text or b"{}").get("ingress") or []
        return tuple(_entry(each) for each in found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        example = '{"ingress": [{"ip": "192.0.2.10"}]}'
        raise HookFailed(f"the webhook's answer is not as {example}") from None


def _entry(entry: Any) -> Ingress:
    if entry.get("ip"):
        return {"ip": str(ip_address(entry["ip"]))}
    hostname = entry.get("hostname", "")
    if not isinstance(hostname, str) or not hostname or len(hostname) > 253 or not hostname.isascii():
        raise ValueError("no address and no name")
    return {"hostname": hostname}


def _seconds(text: str) -> float:
    """Of ``Retry-After``; a date counts as nothing."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    return min(max(float(number), POLL_SECONDS), LONGEST_POLL)


def request(action: str, owner: str, service: Service | None, nodes: Sequence[Node]) -> Json:
    """What is asked, as JSON; of a Service that is gone only its name is known."""
    namespace, _, name = owner.partition("/")
    body: Json = {"action": action, "service": {"namespace": namespace, "name": name}}
    if service is None:
        return body
    exposure, wishes = service.exposure, service.exposure.wishes
    body["service"] |= {
        "class": wishes.balancer_class,
        "addresses": [str(ip_address(each)) for each in wishes.addresses],
        "pool": wishes.pool,
        "sharingKey": wishes.sharing_key,
        "sourceRanges": list(exposure.source_ranges),
        "externalTrafficPolicy": "Local" if exposure.external_local else "Cluster",
        "healthCheckNodePort": exposure.health_check_node_port,
    }
    body["ports"] = [
        {"name": port.name, "protocol": port.protocol, "port": port.port, "nodePort": port.node_port}
        for port in service.ports
    ]
    body["nodes"] = [
        {"name": node.name, "addresses": [str(ip_address(each)) for each in node.addresses]} for node in nodes
    ]
    return body


class WebhookProvider:
    """``nodes`` gives the cluster's nodes; see ``provider.Provider``."""

    parallel = 4

    def __init__(
        self, settings: WebhookSettings, book: Book, view: View, nodes: Callable[[], Sequence[Node]]
    ) -> None:
        self._settings = settings
        self._hook = Hook(settings)
        self._book = book
        self._view = view
        self._nodes = nodes

    def owners(self) -> Collection[str]:
        """See ``Provider``."""
        return self._view.given.keys()

    def ensure(self, service: Service) -> Task | None:
        """See ``Provider``."""
        owner, wanted = owner_of(service), service.exposure.wishes.balancer_class
        classes = self._settings.classes
        if wanted not in classes if wanted else bool(classes):
            if owner in self._view.given:
                return self.release(owner)
            raise NotOurs(f"the webhook is not for the class {wanted}")
        body = json.dumps(request("ensure", owner, service, self._nodes()), sort_keys=True).encode()
        asked = blake2b(body, digest_size=16).hexdigest()
        record = _record(self._view.given.get(owner, b""))
        if record.get("asked") == asked and _is_shown(service, record.get("ingress") or []):
            return None
        return partial(self._ask, service, body, asked, self._book.seat())

    def release(self, owner: str) -> Task | None:
        """See ``Provider``."""
        return partial(self._release, owner, self._book.seat()) if owner in self._view.given else None

    def _ask(
        self, service: Service, body: bytes, asked: str, seat: Mapping[str, int], store: Store
    ) -> Outcome:
        owner = owner_of(service)
        if not same_wish(service, self._book.decode(owner, self._read(store, owner)[0])):
            return NOT_DONE
        _, record = self._read(store, owner)
        if not record.revision and not self._note(store, owner, {"ingress": []}, seat):
            return NOT_DONE
        ingress, wait = self._hook.ask(body)
        stored, record = self._read(store, owner)
        if wait or not stored.revision:
            key = self._book.keys.service(owner)
            news = NOT_DONE.news._replace(keys={key: record})
            return Outcome(news, wait or NOT_DONE.again)
        value = rewritten(stored.value, ingress, _addresses(record))
        text = json.dumps({"asked": asked, "ingress": [dict(each) for each in ingress]}).encode()
        document, key = self._keys(owner)
        change = Change({document: stored, key: record}, {key: text}, value, {})
        return self._book.write(store, owner, change, seat)

    def _release(self, owner: str, seat: Mapping[str, int], store: Store) -> Outcome:
        body = json.dumps(request("release", owner, None, ())).encode()
        _, wait = self._hook.ask(body)
        if wait:
            return NOT_DONE._replace(again=wait)
        service, key = self._keys(owner)
        held = store.read([key, service])  # what is to be taken away first; see ``provider``
        stored, value, withdrawn = held[service], None, _addresses(held[key])
        if stored.revision:
            with suppress(NotJson):
                value = rewritten(stored.value, (), withdrawn)
        return self._book.write(store, owner, Change(held, {}, value, {key: None}, withdrawn), seat)

    def _keys(self, owner: str) -> tuple[str, str]:
        return self._book.service_key(owner), self._book.keys.service(owner)

    def _read(self, store: Store, owner: str) -> tuple[Held, Held]:
        service, key = self._keys(owner)
        found = store.read([service, key])
        return found[service], found[key]

    def _note(self, store: Store, owner: str, record: Json, seat: Mapping[str, int]) -> bool:
        service, key = self._keys(owner)
        text = json.dumps(record).encode()
        change = Change(store.read([service, key]), {key: text}, None, {})
        return self._book.write(store, owner, change, seat).again is None


def _record(value: bytes) -> Json:
    with suppress(ValueError):
        found = json.loads(value)
        return found if isinstance(found, dict) else {}
    return {}


def _addresses(record: Held) -> list[str]:
    """What was given, without the names."""
    return [each["ip"] for each in _record(record.value).get("ingress", []) if "ip" in each]


def _is_shown(service: Service, ingress: Sequence[Ingress]) -> bool:
    """Whether the Service says so; names in its status are not read, so they count as shown."""
    wanted = tuple(ip_address(each["ip"]).packed for each in ingress if "ip" in each)
    return service.exposure.balancer_addresses == wanted or set(wanted) <= set(service.exposure.addresses)


__all__ = ["Hook", "HookFailed", "NoAddress", "WebhookProvider", "parse_answer", "request"]

"""The store with Leases: what is written under which conditions, and what is made of lost answers."""

import json
from typing import Any

import pytest

from skydns_py.balancer.kubernetes_objects import session_name
from skydns_py.balancer.store import Held, Write
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_client import ApiError
from tests.balancer.kube import KEYS, LEASES, NAMESPACE, SERVICES, Memory, ledger, place, store
from tests.kube.store import Store

SEAT = KEYS.owner("192.0.2.1")
IP = KEYS.ip("192.0.2.1")
SERVICE = "/registry/services/specs/my-ns/web"


@pytest.fixture
def objects() -> Store:
    return Store()


def create(made: KubernetesStore, key: str, value: bytes = b"n1", lease: int = 0) -> int:
    return made.write([Write(key, value, lease)], {key: 0}).get(key, 0)


def session(objects: Store, node: str = "n1") -> int:
    return store(objects, node).grant(2)[0]


def service(objects: Store, **spec: Any) -> None:
    namespace = {"metadata": {"name": "my-ns"}}
    made = Memory(objects)
    made.call("POST", "/api/v1/namespaces", namespace)
    document = {
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec},
    }
    made.call("POST", "/api/v1/namespaces/my-ns/services", document)


def test_a_key_is_read_as_it_was_written_and_is_created_once(objects: Store) -> None:
    one, two = store(objects, "n1"), store(objects, "n2")
    assert one.read([IP]) == {IP: Held()}
    revision = create(one, IP, b"x")
    assert one.read([IP]) == {IP: Held(b"x", revision)}
    assert create(two, IP, b"y") == 0
    assert two.write([Write(IP, b"y")], {IP: revision - 2}) == {}
    assert two.write([Write(IP, b"y")], {IP: revision})[IP] > revision
    assert one.write([Write(IP)], {IP: revision}) == {}


def test_writing_what_is_there_already_makes_late_requests_fail(objects: Store) -> None:
    made = store(objects)
    first = create(made, IP, b"x")
    second = made.write([Write(IP, b"x")], {IP: first})[IP]
    assert second > first
    assert made.write([Write(IP)], {IP: first}) == {}


def test_a_key_that_is_removed_is_at_a_revision_between_the_old_and_the_next(objects: Store) -> None:
    made = store(objects)
    first = create(made, IP)
    removed = made.write([Write(IP)], {IP: first})[IP]
    assert first < removed < create(made, IP)


def test_a_seat_is_free_when_its_session_is_gone_and_not_before(objects: Store) -> None:
    lease, other = session(objects, "n1"), session(objects, "n2")
    one, two = store(objects, "n1"), store(objects, "n2")
    create(one, SEAT, b"n1", lease)
    assert create(two, SEAT, b"n2", other) == 0
    one.revoke(lease)
    revision = create(two, SEAT, b"n2", other)
    assert two.read([SEAT]) == {SEAT: Held(b"n2", revision, other)}
    assert create(one, SEAT, b"n1", lease) == 0


def test_of_two_that_replace_what_was_left_one_gets_it(objects: Store) -> None:
    lease, one, two = session(objects), session(objects, "n1"), session(objects, "n2")
    create(store(objects), SEAT, b"n0", lease)
    store(objects).revoke(lease)
    slow = Memory(objects)
    made = KubernetesStore(place(objects, "n1", slow), 1.0)

    def overtaken(method: str, path: str) -> None:
        if method == "PUT":
            slow.before = lambda *_: None
            assert create(store(objects, "n2"), SEAT, b"n2", two)

    slow.before = overtaken
    assert create(made, SEAT, b"n1", one) == 0
    assert made.read([SEAT])[SEAT].value == b"n2"


def test_what_was_left_and_is_known_takes_one_request(objects: Store) -> None:
    lease, other = session(objects, "n1"), session(objects, "n2")
    create(store(objects), SEAT, b"n1", lease)
    store(objects).revoke(lease)
    client, asked = Memory(objects), list[str]()
    client.before = lambda method, _: asked.append(method)
    where = place(objects, "n2", client)
    where.ledger = ledger(objects)
    assert create(KubernetesStore(where, 1.0), SEAT, b"n2", other)
    assert asked == ["PUT"]


def test_what_was_left_and_cleaned_away_meanwhile_is_created(objects: Store) -> None:
    lease, other = session(objects, "n1"), session(objects, "n2")
    create(store(objects), SEAT, b"n1", lease)
    store(objects).revoke(lease)
    where = place(objects, "n2")
    where.ledger = ledger(objects)
    objects.delete(LEASES, NAMESPACE, "skydns-owner.192.0.2.1", {})
    assert create(KubernetesStore(where, 1.0), SEAT, b"n2", other)


def test_a_seat_whose_answer_was_lost_is_known_as_ones_own(objects: Store) -> None:
    lease = session(objects)
    client = Memory(objects)
    made = KubernetesStore(place(objects, "n1", client), 1.0)

    def lose(method: str, path: str) -> None:
        client.after = lambda *_: None
        raise StoreError("no answer")

    client.after = lose
    with pytest.raises(StoreError, match="no answer"):
        create(made, SEAT, b"n1", lease)
    assert create(made, SEAT, b"n1", lease) == made.read([SEAT])[SEAT].revision


def test_a_session_lasts_while_it_is_renewed_whatever_answers_are_lost(objects: Store) -> None:
    made = store(objects)
    lease = session(objects)
    before = objects.get(LEASES, NAMESPACE, session_name(lease))["metadata"]["resourceVersion"]
    assert made.keep_alive(lease)
    assert made.keep_alive(lease)
    after = objects.get(LEASES, NAMESPACE, session_name(lease))
    assert int(after["metadata"]["resourceVersion"]) == int(before) + 2
    assert after["spec"]["holderIdentity"] == "n1"
    client = Memory(objects)
    other = KubernetesStore(place(objects, "n1", client), 1.0)
    client.after = _lose
    with pytest.raises(StoreError, match="no answer"):
        other.keep_alive(lease)
    client.after = lambda *_: None
    assert other.keep_alive(lease) == made.keep_alive(lease) == 2
    made.revoke(lease)
    assert made.keep_alive(lease) == other.keep_alive(lease) == 0
    made.revoke(lease)


def test_a_session_that_somebody_else_keeps_writing_to_is_one_line(objects: Store) -> None:
    lease = session(objects)
    client, writer = Memory(objects), store(objects)
    client.before = lambda method, _: writer.keep_alive(lease) if method == "PUT" else None
    with pytest.raises(StoreError, match=f"the Lease {session_name(lease)} changes each time it is read"):
        KubernetesStore(place(objects, "n1", client), 1.0).keep_alive(lease)


def _lose(*unused: str) -> None:
    raise StoreError("no answer")


def test_keys_that_are_only_compared_hold_the_rest_up(objects: Store) -> None:
    made = store(objects)
    revision = create(made, SEAT)
    assert made.write([Write(IP, b"x")], {IP: 0, SEAT: revision + 2}) == {}
    assert made.read([IP]) == {IP: Held()}
    assert made.write([Write(IP, b"x")], {IP: 0, SEAT: revision})


def test_writes_are_made_in_order_up_to_the_first_that_fails(objects: Store) -> None:
    made = store(objects)
    other = KEYS.ip("192.0.2.2")
    create(made, other)
    third = KEYS.ip("192.0.2.3")
    writes = [Write(IP, b"x"), Write(other, b"x"), Write(third, b"x")]
    assert made.write(writes, {IP: 0, other: 0, third: 0}) == {}
    assert [bool(held.revision) for held in made.read([IP, other, third]).values()] == [True, True, False]


def test_of_a_service_only_the_status_is_written_and_only_as_it_was_read(objects: Store) -> None:
    service(objects, loadBalancerClass="x")
    made = store(objects)
    held = made.read([SERVICE])[SERVICE]
    document = json.loads(held.value)
    document["spec"] = {"type": "ExternalName"}
    document["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    value = json.dumps(document).encode()
    assert made.write([Write(SERVICE, value)], {SERVICE: held.revision})
    found = objects.get(SERVICES, "my-ns", "web")
    assert found["spec"]["loadBalancerClass"] == "x"
    assert found["status"]["loadBalancer"] == {"ingress": [{"ip": "192.0.2.1"}]}
    assert made.write([Write(SERVICE, value)], {SERVICE: held.revision}) == {}


def test_a_service_that_went_is_not_made_again_by_writing_its_status(objects: Store) -> None:
    service(objects)
    made = store(objects)
    held = made.read([SERVICE])[SERVICE]
    objects.delete(SERVICES, "my-ns", "web", {})
    assert made.write([Write(SERVICE, held.value)], {SERVICE: held.revision}) == {}
    assert made.read([SERVICE]) == {SERVICE: Held()}


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda made: made.grant(2), "create leases in namespace kube-system"),
        (lambda made: made.keep_alive(5), "get leases in namespace kube-system"),
        (lambda made: made.revoke(5), "delete leases in namespace kube-system"),
        (lambda made: next(made.follow(KEYS.root)), "list leases in namespace kube-system"),
        (lambda made: made.read([IP]), "get leases in namespace kube-system"),
        (lambda made: made.write([Write(IP, b"")], {IP: 4}), "update leases in namespace kube-system"),
        (lambda made: made.read([SERVICE]), "get services in namespace my-ns"),
        (
            lambda made: made.write([Write(SERVICE, b'{"metadata": {}}')], {SERVICE: 4}),
            "update services/status in namespace my-ns",
        ),
    ],
)
def test_a_permission_that_is_missing_is_named_in_one_line(objects: Store, ask: Any, line: str) -> None:
    client = Memory(objects)

    def refuse(method: str, path: str) -> None:
        raise ApiError(f"{method} {path}: forbidden", 403, "Forbidden")

    client.before = refuse
    expected = f"does not let skydns balancer {line}; allow it, as manifests/kubernetes/balancer.yaml does"
    with pytest.raises(StoreError, match=expected):
        ask(KubernetesStore(place(objects, "n1", client), 1.0))

"""The etcd source over TLS and with users, against a real etcd."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from etcd3 import etcdrpc
from etcd3.etcdrpc import auth_pb2
from twisted.internet import reactor

from skydns_py.cluster.objects import Kind, Record, Ref
from skydns_py.sources.etcd import EtcdSettings, EtcdSource, Timing
from tests import needs
from tests.authority import Authority
from tests.etcd_server import EtcdServer
from tests.reactor import run_in_reactor
from tests.sources.recording import Recorder

QUICK = Timing(keepalive=1, keepalive_timeout=1, request=2, page=5)
KEY = "/skydns/local/cluster/a"
A = Ref(Kind.RECORD, "", "local/cluster/a")


@contextmanager
def following(settings: EtcdSettings) -> Iterator[Recorder]:
    """A started source's sink."""
    sink = Recorder()
    source = EtcdSource(settings, sink, reactor, QUICK)
    run_in_reactor(source.start)
    try:
        yield sink
    finally:
        run_in_reactor(source.stop)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "own").create()


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd that speaks TLS and wants a client certificate."""
    tls = (authority.ca, *authority.issue("server"))
    with EtcdServer(tmp_path_factory.mktemp("secure"), "--client-cert-auth", tls=tls) as server:
        yield server


@needs.program("openssl")
class TestTls:
    def settings(self, server: EtcdServer, authority: Authority, **changes: Any) -> EtcdSettings:
        certificate, key = authority.issue("client")
        given = {"ca": str(authority.ca), "cert": str(certificate), "key": str(key), **changes}
        return EtcdSettings(endpoints=(server.url,), **given)

    def test_objects_come_over_tls_with_a_client_certificate(
        self, secure: EtcdServer, authority: Authority
    ) -> None:
        settings = self.settings(secure, authority)
        files = {"ca_cert": settings.ca, "cert_cert": settings.cert, "cert_key": settings.key}
        with following(settings) as sink, secure.client(**files) as client:
            sink.wait_call("synced")
            client.put(KEY, '{"host": "1.2.3.4"}')
            sink.wait(lambda s: A in s.state)
            assert not sink.named("lost")

    def test_a_server_of_another_authority_is_not_followed_and_the_line_says_why(
        self, secure: EtcdServer, authority: Authority, tmp_path: Path
    ) -> None:
        other = Authority(tmp_path / "other").create()
        with following(self.settings(secure, authority, ca=str(other.ca))) as sink:
            [(reason,)] = sink.wait_call("lost")
        assert reason.startswith(f"etcd at {secure.url} and this side do not agree on TLS: ")
        assert "CERTIFICATE_VERIFY_FAILED" in reason
        assert reason.endswith("; check ca, cert and key")

    def test_without_a_client_certificate_the_server_ends_the_connection(
        self, secure: EtcdServer, authority: Authority
    ) -> None:
        with following(self.settings(secure, authority, cert="", key="")) as sink:
            [(reason,)] = sink.wait_call("lost")
        assert reason.startswith(f"etcd at {secure.url} ")
        assert not sink.named("synced")

    def test_http_to_a_server_that_speaks_tls_is_lost_with_its_address(self, secure: EtcdServer) -> None:
        url = secure.url.replace("https:", "http:")
        with following(EtcdSettings(endpoints=(url,))) as sink:
            [(reason,)] = sink.wait_call("lost")
        assert reason.startswith(f"etcd at {url} cannot be reached: ")

    def test_a_certificate_file_that_is_missing_is_named_and_read_once_it_is_there(
        self, secure: EtcdServer, authority: Authority, tmp_path: Path
    ) -> None:
        late = tmp_path / "late.pem"
        with following(self.settings(secure, authority, ca=str(late))) as sink:
            assert sink.wait_call("lost") == [(f"cannot read {late}: No such file or directory",)]
            late.write_bytes(authority.ca.read_bytes())
            sink.wait_call("synced")

    def test_a_certificate_file_that_is_none_is_lost_in_one_line(
        self, secure: EtcdServer, authority: Authority, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.pem"
        bad.write_text("no certificate")
        for changes in ({"ca": str(bad)}, {"cert": str(bad)}, {"key": str(bad)}):
            with following(self.settings(secure, authority, **changes)) as sink:
                [(reason,)] = sink.wait_call("lost")[:1]
            assert "\n" not in reason
            assert secure.url in reason


def grant(stub: Any, user: str, password: str, role: str) -> None:
    """A user with a role of that name."""
    stub.UserAdd(etcdrpc.AuthUserAddRequest(name=user, password=password))
    stub.RoleAdd(etcdrpc.AuthRoleAddRequest(name=role))
    stub.UserGrantRole(etcdrpc.AuthUserGrantRoleRequest(user=user, role=role))


def may_read(stub: Any, role: str, prefix: bytes) -> None:
    """Let the role read below a prefix that ends in a slash."""
    span = {"key": prefix, "range_end": prefix[:-1] + b"0"}
    permission = auth_pb2.Permission(permType=auth_pb2.Permission.READ, **span)
    stub.RoleGrantPermission(etcdrpc.AuthRoleGrantPermissionRequest(name=role, perm=permission))


class Root:
    """Writes as root, with a token of its own for each call, so that none is ever out of date."""

    def __init__(self, server: EtcdServer) -> None:
        self.client = server.client()

    def __enter__(self) -> "Root":
        return self

    def __exit__(self, *unused: object) -> None:
        self.client.close()

    def log_in(self) -> Any:
        request = etcdrpc.AuthenticateRequest(name="root", password="root-secret")
        self.client.metadata = (("token", self.client.authstub.Authenticate(request).token),)
        return self.client

    def renew_all_tokens(self) -> None:
        """Switch authentication off and on: no token from before counts any more."""
        stub = self.log_in().authstub
        stub.AuthDisable(etcdrpc.AuthDisableRequest(), metadata=self.client.metadata)
        stub.AuthEnable(etcdrpc.AuthEnableRequest())


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd where ``root`` may all and ``dns`` may read the two prefixes."""
    with EtcdServer(tmp_path / "guarded", "--bcrypt-cost=4") as server:
        with server.client() as client:
            grant(client.authstub, "root", "root-secret", "root")
            grant(client.authstub, "dns", "secret", "reader")
            grant(client.authstub, "stranger", "secret", "nothing")
            for prefix in (b"/registry/", b"/skydns/"):
                may_read(client.authstub, "reader", prefix)
            client.authstub.AuthEnable(etcdrpc.AuthEnableRequest())
        yield server


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("secret\n")
    return file


def as_user(server: EtcdServer, name: str, file: Path) -> EtcdSettings:
    return EtcdSettings(endpoints=(server.url,), username=name, password_file=str(file))


def test_objects_come_to_a_user_with_a_password(guarded: EtcdServer, password_file: Path) -> None:
    with following(as_user(guarded, "dns", password_file)) as sink, Root(guarded) as root:
        sink.wait_call("synced")
        root.log_in().put(KEY, '{"host": "1.2.3.4"}')
        sink.wait(lambda s: A in s.state)
        assert not sink.named("lost")


def test_a_wrong_password_is_told_once_and_the_file_read_again(
    guarded: EtcdServer, password_file: Path
) -> None:
    password_file.write_text("wrong")
    with following(as_user(guarded, "dns", password_file)) as sink:
        sink.wait_call("lost")
        password_file.write_text("secret")
        sink.wait_call("synced")
        assert sink.named("lost") == [
            (
                f"etcd at {guarded.url} refuses user 'dns': authentication failed, invalid user ID or "
                "password; check username and password_file",
            )
        ]


def test_an_etcd_that_wants_a_user_says_so(guarded: EtcdServer) -> None:
    with following(EtcdSettings(endpoints=(guarded.url,))) as sink:
        [(reason,)] = sink.wait_call("lost")
    assert reason == f"etcd at {guarded.url} wants a user: set username and password_file"


def test_a_user_who_may_not_read_is_told(guarded: EtcdServer, password_file: Path) -> None:
    with following(as_user(guarded, "stranger", password_file)) as sink:
        [(reason,)] = sink.wait_call("lost")
    assert reason == f"etcd at {guarded.url} forbids user 'stranger' to read: grant it the prefixes"


def test_a_password_file_that_is_missing_is_named(guarded: EtcdServer, tmp_path: Path) -> None:
    with following(as_user(guarded, "dns", tmp_path / "none")) as sink:
        assert sink.wait_call("lost") == [(f"cannot read {tmp_path}/none: No such file or directory",)]


def test_a_password_file_that_is_no_text_is_named(guarded: EtcdServer, password_file: Path) -> None:
    password_file.write_bytes(b"\xff\xfe")
    with following(as_user(guarded, "dns", password_file)) as sink:
        assert sink.wait_call("lost") == [(f"etcd at {guarded.url}: {password_file}: not UTF-8 text",)]


def test_a_lease_is_asked_for_with_a_new_token_where_the_old_one_has_expired(
    guarded: EtcdServer, password_file: Path
) -> None:
    with following(as_user(guarded, "dns", password_file)) as sink, Root(guarded) as root:
        sink.wait_call("synced")
        root.log_in().put(KEY, '{"host": "1.2.3.4"}')
        sink.wait(lambda s: A in s.state)
        root.renew_all_tokens()
        client = root.log_in()
        client.put(KEY, json.dumps({"host": "1.2.3.5"}), lease=client.lease(90))
        sink.wait(lambda s: s.state[A].host == "1.2.3.5")
        assert isinstance(found := sink.state[A], Record)
        assert found.lease_seconds == 90


def test_a_restarted_etcd_is_logged_in_to_again(guarded: EtcdServer, password_file: Path) -> None:
    with following(as_user(guarded, "dns", password_file)) as sink:
        sink.wait_call("synced")
        guarded.restart()
        sink.wait_call("synced", 2)
        with Root(guarded) as root:
            root.log_in().put(KEY, '{"host": "1.2.3.4"}')
            sink.wait(lambda s: A in s.state)
        assert not any("invalid auth token" in reason for (reason,) in sink.named("lost"))


def test_a_user_configured_where_etcd_wants_none_does_no_harm(tmp_path: Path, password_file: Path) -> None:
    with EtcdServer(tmp_path / "open") as server, following(as_user(server, "dns", password_file)) as sink:
        sink.wait_call("synced")
        assert not sink.named("lost")

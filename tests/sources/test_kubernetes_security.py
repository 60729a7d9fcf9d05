"""The client of the Kubernetes API: tokens, and TLS both ways."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skydns_py.errors import ConfigError, StoreError
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests import needs
from tests.authority import Authority
from tests.kube_api import KubeApi
from tests.sources.scripted_http import client_of, one_line

SERVICES = "/api/v1/services"


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        yield running


class TestToken:
    def test_a_token_is_read_again_when_its_file_has_changed(self, api: KubeApi, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text("first\n")
        with client_of(replace(api.access, token_file=str(file), token="given")) as client:
            client.call("GET", SERVICES)
            self.rotate(file, "second")
            client.call("GET", SERVICES)
        assert api.tokens == ["first", "second"]
        assert api.connections == 1

    @pytest.mark.parametrize("content", [None, "", "two words"])
    def test_the_last_token_stands_while_its_file_has_none(
        self, api: KubeApi, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / "token"
        file.write_text("first")
        with client_of(replace(api.access, token_file=str(file))) as client:
            client.call("GET", SERVICES)
            file.unlink() if content is None else file.write_text(content)
            client.call("GET", SERVICES)
        assert api.tokens == ["first", "first"]

    def test_a_token_is_read_for_a_new_connection_though_its_file_looks_the_same(
        self, api: KubeApi, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("first")
        before = file.stat()
        with client_of(replace(api.access, token_file=str(file))) as client:
            client.call("GET", SERVICES)
            file.write_text("other")
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            api.stop()
            api.start()
            client.call("GET", SERVICES)
        assert api.tokens == ["first", "other"]

    def test_without_any_token_nothing_is_asked(self, api: KubeApi, tmp_path: Path) -> None:
        access = replace(api.access, token_file=str(tmp_path / "token"))
        expected = "token: No such file or directory: no token to show"
        with client_of(access) as client, pytest.raises(StoreError, match=expected):
            client.call("GET", SERVICES)
        assert api.requests == []

    def test_no_message_has_the_token(self, api: KubeApi) -> None:
        with client_of(replace(api.access, token="hush-hush")) as client:
            api.refuse(403)
            with pytest.raises(ApiError) as caught:
                client.call("GET", SERVICES)
            api.stop()
            with pytest.raises(StoreError) as other:
                client.call("GET", SERVICES)
        assert "hush" not in f"{caught.value}{other.value}{api.access}"

    def test_a_token_that_would_end_the_header_is_refused(self, api: KubeApi) -> None:
        with pytest.raises(ConfigError, match="no bearer token"):
            ApiClient(replace(api.access, token="a\r\nX: y"), 10)

    def rotate(self, file: Path, token: str) -> None:
        """As the kubelet does: another file takes its place."""
        other = file.with_suffix(".new")
        other.write_text(token)
        other.rename(file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "own").create()


@needs.program("openssl")
class TestTls:
    @pytest.fixture
    def secure(self, authority: Authority) -> Iterator[KubeApi]:
        with KubeApi(tls=(authority.ca, *authority.issue("server"))) as api:
            yield api

    def refused(self, access: Access) -> str:
        with client_of(access) as client, pytest.raises(StoreError) as caught:
            client.call("GET", SERVICES)
        return one_line(caught.value)

    def reached(self, access: Access) -> None:
        with client_of(access) as client:
            assert client.call("GET", SERVICES)["items"] == []

    def test_the_server_is_known_by_its_authority(self, secure: KubeApi) -> None:
        self.reached(secure.access)

    def test_another_authority_is_not_accepted(self, secure: KubeApi, tmp_path: Path) -> None:
        other = Authority(tmp_path / "other").create()
        text = self.refused(replace(secure.access, ca=other.ca.read_text()))
        assert "its certificate is not accepted" in text

    def test_the_systems_authorities_are_asked_where_none_is_given(self, secure: KubeApi) -> None:
        assert "its certificate is not accepted" in self.refused(replace(secure.access, ca=""))

    def test_a_certificate_for_another_name_is_not_accepted(self, authority: Authority) -> None:
        tls = (authority.ca, *authority.issue("named", "DNS:kubernetes.default.svc"))
        with KubeApi(tls=tls) as api:
            assert "its certificate is not accepted: IP address mismatch" in self.refused(api.access)
            self.reached(replace(api.access, tls_name="kubernetes.default.svc"))
            assert "Hostname mismatch" in self.refused(replace(api.access, tls_name="example.com"))

    def test_insecure_looks_at_no_certificate(self, secure: KubeApi) -> None:
        self.reached(replace(secure.access, ca="", insecure=True))

    def test_a_certificate_below_the_authority_may_be_trusted_by_itself(
        self, secure: KubeApi, authority: Authority
    ) -> None:
        leaf = (authority.folder / "server.pem").read_text()
        self.reached(replace(secure.access, ca=leaf))

    def test_a_client_certificate_is_shown(self, authority: Authority) -> None:
        certificate, key = (each.read_text() for each in authority.issue("client"))
        with KubeApi(tls=(authority.ca, *authority.issue("server")), client_ca=authority.ca) as api:
            for _ in range(20):  # what the server says races with our request
                assert "certificate required" in self.refused(api.access)
            self.reached(replace(api.access, cert=certificate, key=key))

    def test_http_and_https_are_told_apart(self, secure: KubeApi, api: KubeApi) -> None:
        mixed = replace(api.access, server=api.url.replace("http:", "https:"))
        assert "no TLS connection: " in self.refused(mixed)
        plain = replace(secure.access, server=secure.url.replace("https:", "http:"))
        assert f"GET {SERVICES} at {plain.server}: " in self.refused(plain)

"""Reading a kubeconfig and a pod's service account."""

import base64
import copy
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skydns_py.errors import ConfigError
from skydns_py.sources.kubernetes_access import Access, from_kubeconfig, in_cluster, tls_context
from tests import needs
from tests.authority import Authority

Document = dict[str, Any]
SERVER = "https://192.0.2.1:6443"

pytestmark = needs.program("openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls") / "own").create()
    made.issue("client")
    return made


@pytest.fixture(scope="module")
def pem(authority: Authority) -> dict[str, str]:
    files = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}
    return {name: (authority.folder / file).read_text() for name, file in files.items()}


def document(cluster: Document | None = None, user: Document | None = None) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [
            {"name": "other", "context": {"cluster": "missing", "user": "missing"}},
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": {} if user is None else user}],
    }


def write(folder: Path, content: object) -> str:
    path = folder / "config"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_kubeconfig(path)
    text = str(caught.value)
    assert text.startswith(path)
    assert text.isprintable()
    return text.removeprefix(path)


class TestKubeconfig:
    def test_the_current_context_names_cluster_and_user(self, tmp_path: Path) -> None:
        path = write(tmp_path, document(user={"token": "t"}))
        assert from_kubeconfig(path) == Access(SERVER, token="t")

    def test_certificates_are_read_from_the_file(self, tmp_path: Path, pem: dict[str, str]) -> None:
        user = {"client-certificate-data": data(pem["cert"]), "client-key-data": data(pem["key"])}
        path = write(tmp_path, document({"certificate-authority-data": data(pem["ca"])}, user))
        assert from_kubeconfig(path) == Access(SERVER, pem["ca"], pem["cert"], pem["key"])

    def test_files_are_relative_to_the_kubeconfigs_folder(
        self, tmp_path: Path, authority: Authority, pem: dict[str, str]
    ) -> None:
        (tmp_path / "keys").symlink_to(authority.folder)
        (tmp_path / "token").write_text("t\n")
        user = {
            "client-certificate": "keys/client.pem",
            "client-key": "keys/client.key",
            "tokenFile": "token",
        }
        path = write(tmp_path, document({"certificate-authority": str(authority.ca)}, user))
        expected = Access(SERVER, pem["ca"], pem["cert"], pem["key"], token_file=str(tmp_path / "token"))
        assert from_kubeconfig(path) == expected

    def test_data_wins_over_the_file_beside_it(self, tmp_path: Path, pem: dict[str, str]) -> None:
        cluster = {"certificate-authority": "missing", "certificate-authority-data": data(pem["ca"])}
        assert from_kubeconfig(write(tmp_path, document(cluster))).ca == pem["ca"]

    def test_data_may_stand_on_several_lines(self, tmp_path: Path, pem: dict[str, str]) -> None:
        cluster = {"certificate-authority-data": base64.encodebytes(pem["ca"].encode()).decode()}
        assert from_kubeconfig(write(tmp_path, document(cluster))).ca == pem["ca"]

    def test_the_server_may_be_named_otherwise_and_may_go_unchecked(self, tmp_path: Path) -> None:
        cluster = {"tls-server-name": "kubernetes", "insecure-skip-tls-verify": True}
        access = from_kubeconfig(write(tmp_path, document(cluster)))
        assert (access.tls_name, access.insecure) == ("kubernetes", True)

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            ("https://[2001:db8::1]:6443", "https://[2001:db8::1]:6443"),
            ("https://example.com/k8s/clusters/c-1/", "https://example.com/k8s/clusters/c-1"),
            ("https://localhost", "https://localhost"),
        ],
    )
    def test_the_server_is_any_url_of_one(self, tmp_path: Path, server: str, expected: str) -> None:
        assert from_kubeconfig(write(tmp_path, document({"server": server}))).server == expected

    def test_over_http_no_credentials_are_kept(self, tmp_path: Path) -> None:
        user = {"token": "t", "exec": {"command": "login"}}
        access = from_kubeconfig(write(tmp_path, document({"server": "http://127.0.0.1:8001"}, user)))
        assert access == Access("http://127.0.0.1:8001")

    def test_a_context_needs_no_user(self, tmp_path: Path) -> None:
        config = document()
        del config["contexts"][1]["context"]["user"]
        assert from_kubeconfig(write(tmp_path, config)) == Access(SERVER)

    def test_json_is_a_kubeconfig_too(self, tmp_path: Path) -> None:
        text = '{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a"}}],'
        text += f'"clusters": [{{"name": "a", "cluster": {{"server": "{SERVER}"}}}}]}}'
        assert from_kubeconfig(write(tmp_path, text)).server == SERVER

    def test_a_name_with_an_end_of_line_leaves_the_message_one_line(self, tmp_path: Path) -> None:
        config = document({"server": "x"})
        config["clusters"][0]["name"] = config["contexts"][1]["context"]["cluster"] = "a\nb"
        assert r": clusters['a\nb'].cluster.server: write a URL" in refusal(write(tmp_path, config))

    def test_no_secret_shows_when_it_is_printed(self, tmp_path: Path) -> None:
        assert (
            repr(from_kubeconfig(write(tmp_path, document(user={"token": "hush"}))))
            == f"Access(server='{SERVER}')"
        )


def changed(**changes: object) -> Document:
    return {**document(), **{name.replace("_", "-"): value for name, value in changes.items()}}


REFUSED: list[tuple[object, str]] = [
    ("", ": the file: write a mapping of keys to values"),
    ("a: [1", ":1: no YAML: expected ',' or ']', but got '<stream end>'"),
    ("a: 1\n---\nb: 2\n", ":2: no YAML: but found another document"),
    ("a: !!python/object:os.system x", ":1: no YAML: could not determine a constructor"),
    ("\x00", ": no YAML: "),
    (changed(current_context=""), ": current-context: is not set: name one of the contexts"),
    (changed(current_context=5), ": current-context: write a string"),
    (changed(current_context="two"), ": contexts: has no entry named 'two'"),
    (changed(current_context="other"), ": clusters: has no entry named 'missing'"),
    (changed(clusters={"name": "c"}), ": clusters: write a list"),
    (changed(clusters=["c", None]), ": clusters: has no entry named 'c'"),
    (changed(clusters=[{"name": "c", "cluster": [1]}]), ": clusters[c].cluster: write a mapping"),
    (changed(contexts=[{"name": "one"}]), ": contexts[one].context.cluster: is missing"),
    (changed(users=[]), ": users: has no entry named 'u'"),
    (document({"server": None}), ": clusters[c].cluster.server: is missing"),
    (document({"server": "10.0.0.1:6443"}), ": clusters[c].cluster.server: write a URL such as https://"),
    (document({"server": "ftp://a"}), "write a URL such as"),
    (document({"server": "https://"}), "write a URL such as"),
    (document({"server": "https://a:99999"}), "write a URL such as"),
    (document({"server": "https://[::1"}), "write a URL such as"),
    (document({"server": "https://me:secret@a"}), "write a URL such as"),
    (document({"server": "https://a/?b"}), "write a URL such as"),
    (document({"server": "https://a b"}), "write a URL such as"),
    (document({"server": "https://a\r\nX: y"}), "write a URL such as"),
    (
        document({"proxy-url": "http://p"}),
        ".proxy-url: is not supported: name a server that is reached directly",
    ),
    (document({"insecure-skip-tls-verify": "yes"}), ".insecure-skip-tls-verify: write true or false"),
    (
        document({"certificate-authority-data": "%"}),
        ".certificate-authority-data: is no base64 of a PEM text",
    ),
    (
        document({"certificate-authority-data": data("x")}),
        ": the certificate authority is no PEM certificate",
    ),
    (
        document(user={"token": "two\nlines"}),
        ": users[u].user.token: has characters that no bearer token has",
    ),
    (document(user={"token": 12345}), ": users[u].user.token: write a string, in quotes where it looks like"),
    (
        document(user={"exec": {"command": "x"}}),
        ": users[u].user.exec: the plugin's program is not run: use a token",
    ),
    (
        document(user={"auth-provider": {"name": "gcp"}}),
        ": users[u].user.auth-provider: gone from Kubernetes 1.26",
    ),
    (
        document(user={"username": "a", "password": "b"}),
        ": users[u].user.username: basic authentication is gone",
    ),
    (document(user={"as": "admin"}), ": users[u].user.as: impersonation is not supported"),
    (
        document(user={"client-key-data": data("x")}),
        ": users[u].user: client-certificate and client-key need each",
    ),
    (
        document(user={"client-key-data": data("x"), "client-certificate-data": data("x")}),
        ": client certificate and key are not a pair of PEM texts",
    ),
]


class TestRefusals:
    @pytest.mark.parametrize(("content", "expected"), REFUSED)
    def test_what_cannot_be_used_is_told_with_its_place(
        self, tmp_path: Path, content: object, expected: str
    ) -> None:
        assert expected in refusal(write(tmp_path, content))

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert refusal(str(tmp_path / "none")) == ": No such file or directory"
        for key in ("tokenFile", "client-certificate", "client-key"):
            with pytest.raises(ConfigError, match=f"{tmp_path}/gone: No such file or directory"):
                from_kubeconfig(write(tmp_path, document(user={key: "gone"})))

    @pytest.mark.parametrize(
        ("name", "expected"), [("a\x1f", r"/a\x1f': No such file"), ("a\0b", r"/a\x00b': is no path")]
    )
    def test_a_path_that_is_none_leaves_the_message_one_line(
        self, tmp_path: Path, name: str, expected: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            from_kubeconfig(write(tmp_path, document(user={"tokenFile": name})))
        assert expected in str(caught.value)

    def test_a_file_that_is_no_text_or_too_large_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "config"
        path.write_bytes(b"\xff\xfe")
        assert refusal(str(path)) == ": is no text"
        path.write_bytes(b"#" * (5 << 20))
        assert refusal(str(path)) == ": is over 4 MB"

    def test_an_authority_and_insecure_contradict(self, tmp_path: Path, authority: Authority) -> None:
        cluster = {"certificate-authority": str(authority.ca), "insecure-skip-tls-verify": True}
        assert "take it out, or the certificate-authority" in refusal(write(tmp_path, document(cluster)))

    def test_an_encrypted_key_is_refused_without_asking_for_a_passphrase(
        self, tmp_path: Path, authority: Authority, pem: dict[str, str]
    ) -> None:
        key = str(tmp_path / "key")
        plain = str(authority.folder / "client.key")
        sealing = ["openssl", "pkcs8", "-topk8", "-in", plain, "-passout", "pass:x", "-out", key]
        subprocess.run(sealing, check=True, capture_output=True, timeout=30)
        user = {"client-certificate-data": data(pem["cert"]), "client-key": key}
        assert refusal(write(tmp_path, document(user=user))) == (
            ": the client key is encrypted: write it without a passphrase"
        )

    def test_a_key_of_another_certificate_is_refused(self, tmp_path: Path, authority: Authority) -> None:
        folder = authority.folder
        user = {"client-certificate": str(folder / "client.pem"), "client-key": str(folder / "ca.key")}
        assert "are not a pair" in refusal(write(tmp_path, document(user=user)))

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        place=st.integers(0, 40),
        value=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("a://"),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
    def test_any_value_anywhere_is_taken_or_told_in_one_line(
        self, tmp_path: Path, place: int, value: object
    ) -> None:
        config = copy.deepcopy(document({"certificate-authority": "", "tls-server-name": ""}, {"token": "t"}))
        places = list(spots(config))
        places[place % len(places)](value)
        told = ""
        try:
            from_kubeconfig(write(tmp_path, config))
        except ConfigError as error:
            told = str(error)
        assert told.isprintable()


def spots(tree: Any) -> list[Callable[[object], None]]:
    """What sets each value of a document."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[Callable[[object], None]] = []
    for key, inner in pairs:
        found += [lambda value, key=key: tree.__setitem__(key, value), *spots(inner)]  # type: ignore[misc]  # mypy cannot infer a lambda's default
    return found


class TestInCluster:
    @pytest.fixture
    def account(self, tmp_path: Path, authority: Authority) -> Path:
        (tmp_path / "token").write_text("t\n")
        (tmp_path / "ca.crt").write_text(authority.ca.read_text())
        return tmp_path

    def environ(self, host: str = "10.0.0.1", port: str = "443") -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("10.0.0.1", "https://10.0.0.1:443"),
            ("2001:db8::1", "https://[2001:db8::1]:443"),
            ("api.example.com", "https://api.example.com:443"),
        ],
    )
    def test_the_pods_environment_and_service_account_are_used(
        self, account: Path, pem: dict[str, str], host: str, expected: str
    ) -> None:
        access = in_cluster(account, self.environ(host))
        assert access == Access(expected, pem["ca"], token_file=str(account / "token"))

    @pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_without_the_environment_this_is_no_pod(self, account: Path, missing: str) -> None:
        with pytest.raises(ConfigError, match="this is no pod; name a kubeconfig"):
            in_cluster(account, {**self.environ(), missing: ""})

    def test_an_environment_that_is_no_address_is_refused(self, account: Path) -> None:
        with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST: write a URL"):
            in_cluster(account, self.environ(port="x"))

    @pytest.mark.parametrize(
        ("file", "content", "expected"),
        [
            ("token", None, "No such file or directory: the pod needs automountServiceAccountToken: true"),
            ("token", "\n", "is empty"),
            ("ca.crt", None, "No such file or directory"),
            ("ca.crt", "nonsense", "no PEM certificate"),
        ],
    )
    def test_a_service_account_that_is_not_mounted_is_told(
        self, account: Path, file: str, content: str | None, expected: str
    ) -> None:
        path = account / file
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(ConfigError, match=f"^{path}: .*{expected}"):
            in_cluster(account, self.environ())


class TestTlsContext:
    def test_only_tls_1_2_and_later_with_the_name_checked(self, pem: dict[str, str]) -> None:
        context = tls_context(Access(SERVER, pem["ca"]))
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)

    def test_only_insecure_leaves_the_certificate_unchecked(self) -> None:
        context = tls_context(Access(SERVER, insecure=True))
        assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)

    def test_only_the_given_authority_is_trusted(self, pem: dict[str, str]) -> None:
        assert len(tls_context(Access(SERVER, pem["ca"])).get_ca_certs()) == 1

    def test_a_key_is_loaded_where_the_system_has_no_files_in_memory(
        self, pem: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        tls_context(Access(SERVER, pem["ca"], pem["cert"], pem["key"]))
        assert list(tmp_path.iterdir()) == []

    def test_a_key_is_loaded_where_nothing_can_be_written(
        self, pem: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not hasattr(os, "memfd_create"):
            pytest.skip("this system has no files in memory")
        monkeypatch.setattr("tempfile.tempdir", "/proc/none")
        tls_context(Access(SERVER, pem["ca"], pem["cert"], pem["key"]))

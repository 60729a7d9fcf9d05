"""How the Kubernetes API is reached: from a kubeconfig, or from the service account of the pod we run in.

1. What is refused is refused when the configuration is read, with the file and the key: unreadable files,
   PEM texts that are none, and ways to log in that need another program.
2. Paths in a kubeconfig are relative to its folder, and ``*-data`` wins over the file it stands beside.
3. Over ``http://`` no credentials are kept, so none travel in the clear; kubectl does the same.
4. A token from a file is not read here: the client reads it when it speaks, because it is rotated.
"""

import base64
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from skydns_py.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LONGEST_FILE = 4 << 20
"""Bytes of a kubeconfig, certificate or key; the largest bundle of authorities in use is a quarter of it."""
_OTHER_WAYS = {
    "exec": "the plugin's program is not run: use a token, a tokenFile or a client certificate",
    "auth-provider": "gone from Kubernetes 1.26: use a token, a tokenFile or a client certificate",
    "username": "basic authentication is gone since Kubernetes 1.19: use a token or a client certificate",
    "password": "basic authentication is gone since Kubernetes 1.19: use a token or a client certificate",
    "as": "impersonation is not supported: use the credentials of that user",
    "as-uid": "impersonation is not supported: use the credentials of that user",
    "as-groups": "impersonation is not supported: use the credentials of a member",
    "as-user-extra": "impersonation is not supported: use the credentials of that user",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is, how it is known to be it, and who we are to it.

    ``server`` is a URL, ``https://10.0.0.1:443`` or ``http://127.0.0.1:8001`` (kubectl proxy), a path
    before ``/api`` included.  ``ca``, ``cert`` and ``key`` are PEM texts, "" for the system's authorities
    or no client certificate.  ``token_file`` is read again when it changes, and wins over ``token``.
    ``tls_name`` is the name its certificate is for, "" for the host of ``server``; with ``insecure`` no
    certificate is looked at.
    """

    server: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    token_file: str = ""
    token: str = ""
    insecure: bool = False
    tls_name: str = ""

    def __repr__(self) -> str:
        """Only what is no secret."""
        return f"Access(server={self.server!r})"


def from_kubeconfig(path: str) -> Access:
    """The access that the current context of a kubeconfig names.

    Raises ConfigError, one line with file, key and what to mend.  The format is that of
    https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
    """
    return _Kubeconfig(path).access()


def in_cluster(folder: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ) -> Access:
    """The access that every pod is given: its environment, and ``token`` and ``ca.crt`` in ``folder``.

    Raises ConfigError where this is no pod, or its service account is not mounted.
    """
    host, port = (environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        raise ConfigError("KUBERNETES_SERVICE_HOST and _PORT are not set: this is no pod; name a kubeconfig")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = folder / "token"
    if not _text(str(token), "the pod needs automountServiceAccountToken: true").strip():
        raise ConfigError(f"{token}: is empty: no service account token is mounted")
    access = Access(_server(server, "KUBERNETES_SERVICE_HOST"), _text(str(folder / "ca.crt")))
    _check(access, str(folder / "ca.crt"))
    return Access(access.server, access.ca, token_file=str(token))


def tls_context(access: Access) -> ssl.SSLContext:
    """What checks the server's certificate and shows ours: TLS 1.2 or later, the host's name verified.

    As for Kubernetes' own clients, a certificate that is trusted by name need not be self-signed.
    Raises ConfigError where a certificate or key is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif access.ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load_authorities(context, access.ca)
    else:
        context.load_default_certs()
    if access.cert:
        _load_certificate(context, access.cert, access.key)
    return context


def is_token(text: str) -> bool:
    """Whether it can be sent as a bearer token (RFC 6750 section 2.1, and whatever else a header carries)."""
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def _load_authorities(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise ConfigError("the certificate authority is no PEM certificate") from None


def _load_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    with _as_file(f"{cert}\n{key}\n") as path:
        try:
            context.load_cert_chain(path, password="")  # or OpenSSL would ask for one on the terminal
        except (ssl.SSLError, ValueError, OSError):
            raise ConfigError(_wrong_pair(key)) from None


def _wrong_pair(key: str) -> str:
    if "ENCRYPTED" in key:
        return "the client key is encrypted: write it without a passphrase"
    return "client certificate and key are not a pair of PEM texts"


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path to read the text from: OpenSSL takes only files.  In memory: a pod's disk may be read-only."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "wb") as memory:
            memory.write(text.encode())
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            yield file.name


class _Kubeconfig:
    """One kubeconfig, read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = Path(path).parent
        self._document = self._mapping(_yaml(path), "the file")

    def access(self) -> Access:
        name = self._string(self._document, "current-context", "")
        if not name:
            raise self._wrong("current-context", "is not set: name one of the contexts")
        context = self._named("contexts", "context", name)
        where = _spot("contexts", "context", name)
        cluster_name = self._required(context, "cluster", where)
        cluster = self._named("clusters", "cluster", cluster_name)
        access = self._cluster(cluster, _spot("clusters", "cluster", cluster_name))
        user = self._string(context, "user", where)
        if user and access.server.startswith("https:"):
            access = self._user(access, self._named("users", "user", user), _spot("users", "user", user))
        _check(access, self._path)
        return access

    def _cluster(self, cluster: Mapping[str, Any], where: str) -> Access:
        server = _server(self._required(cluster, "server", where), f"{self._path}: {where}.server")
        if cluster.get("proxy-url"):
            raise self._wrong(
                f"{where}.proxy-url", "is not supported: name a server that is reached directly"
            )
        ca = self._pem(cluster, "certificate-authority", where)
        insecure = cluster.get("insecure-skip-tls-verify") or False
        if not isinstance(insecure, bool):
            raise self._wrong(f"{where}.insecure-skip-tls-verify", "write true or false")
        if insecure and ca:
            raise self._wrong(
                f"{where}.insecure-skip-tls-verify", "take it out, or the certificate-authority"
            )
        return Access(server, ca, insecure=insecure, tls_name=self._string(cluster, "tls-server-name", where))

    def _user(self, cluster: Access, user: Mapping[str, Any], where: str) -> Access:
        for key, advice in _OTHER_WAYS.items():
            if user.get(key):
                raise self._wrong(f"{where}.{key}", advice)
        cert, key = (self._pem(user, f"client-{part}", where) for part in ("certificate", "key"))
        if bool(cert) != bool(key):
            raise self._wrong(where, "client-certificate and client-key need each other")
        token_file = self._file(user, "tokenFile", where)
        if token_file:
            _text(token_file)
        token = self._token(user, where)
        return replace(cluster, cert=cert, key=key, token_file=token_file, token=token)

    def _named(self, group: str, kind: str, name: str) -> Mapping[str, Any]:
        entries = self._document.get(group) or []
        if not isinstance(entries, list):
            raise self._wrong(group, "write a list")
        for entry in entries:
            if isinstance(entry, dict) and entry.get("name") == name:
                return self._mapping(entry.get(kind) or {}, _spot(group, kind, name))
        raise self._wrong(group, f"has no entry named {name!r}")

    def _pem(self, values: Mapping[str, Any], key: str, where: str) -> str:
        data = self._string(values, f"{key}-data", where)
        if data:
            return self._decoded(data, f"{where}.{key}-data")
        path = self._file(values, key, where)
        return _text(path) if path else ""

    def _token(self, user: Mapping[str, Any], where: str) -> str:
        token = self._string(user, "token", where)
        if token and not is_token(token):
            raise self._wrong(f"{where}.token", "has characters that no bearer token has")
        return token

    def _decoded(self, data: str, where: str) -> str:
        try:
            return base64.b64decode("".join(data.split()), validate=True).decode("utf-8")
        except ValueError:
            raise self._wrong(where, "is no base64 of a PEM text") from None

    def _file(self, values: Mapping[str, Any], key: str, where: str) -> str:
        path = self._string(values, key, where)
        return str(self._folder / path) if path else ""

    def _required(self, values: Mapping[str, Any], key: str, where: str) -> str:
        value = self._string(values, key, where)
        if not value:
            raise self._wrong(f"{where}.{key}", "is missing")
        return value

    def _string(self, values: Mapping[str, Any], key: str, where: str) -> str:
        value = values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(
                f"{where}.{key}".lstrip("."), "write a string, in quotes where it looks like a number"
            )
        return value

    def _mapping(self, value: object, where: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, "write a mapping of keys to values")
        return value

    def _wrong(self, where: str, advice: str) -> ConfigError:
        return ConfigError(f"{self._path}: {where}: {advice}")


def _spot(group: str, kind: str, name: str) -> str:
    return f"{group}[{_shown(name)}].{kind}"


def _yaml(path: str) -> object:
    try:
        return yaml.safe_load(_text(path))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: no YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: no YAML: {' '.join(str(error).split())}") from None


def _server(url: str, where: str) -> str:
    """The URL without what a request appends to; ConfigError names ``where``."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc or not url.isascii() or " " in url:
        raise ConfigError(f"{where}: write a URL such as https://10.0.0.1:6443")
    return url.rstrip("/")


def _text(path: str, advice: str = "") -> str:
    """A file's text, bounded; ConfigError names it."""
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{_shown(path)}: {error.strerror}" + (f": {advice}" if advice else "")) from None
    except ValueError:
        raise ConfigError(f"{_shown(path)}: is no path of a file") from None
    if len(content) > LONGEST_FILE:
        raise ConfigError(f"{_shown(path)}: is over {LONGEST_FILE >> 20} MB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{_shown(path)}: is no text") from None


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _check(access: Access, path: str) -> None:
    """Refuse certificates that are none before anything is connected."""
    if access.server.startswith("https:"):
        try:
            tls_context(access)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

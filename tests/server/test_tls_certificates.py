"""Certificates: what is refused at the start, and what happens as they change under the server."""

import logging
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from skydns_py.dataplane.counters import Counters
from skydns_py.errors import ConfigError
from skydns_py.server.tls import Credentials
from tests import needs
from tests.authority import Authority
from tests.builders import Served
from tests.dataplane import samples, wire
from tests.server.secure import Secure, TlsConnection

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)


def replace(source: tuple[Path, Path], target: tuple[Path, Path]) -> None:
    """As a tool does that writes anew and renames."""
    for new, old in zip(source, target, strict=True):
        shutil.copy(new, old.with_suffix(".new"))
        old.with_suffix(".new").rename(old)


def serial(client: TlsConnection) -> object:
    certificate = client.tls.getpeercert()
    assert certificate
    return certificate["serialNumber"]


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> tuple[Path, Path]:
    """A pair that the test may change."""
    pair = tmp_path / "tls.crt", tmp_path / "tls.key"
    replace(authority.issue("first"), pair)
    return pair


def test_new_certificate_is_for_new_connections_and_old_ones_go_on(
    served: Served, authority: Authority, files: tuple[Path, Path]
) -> None:
    with Secure(served.feed, *files, authority.ca) as server, server.tls() as old:
        replace(authority.issue("second"), files)
        with server.tls() as new, server.http1() as web:
            assert serial(new) == serial(web) != serial(old)
            assert old.ask(PLAIN) == new.ask(PLAIN)


def test_broken_certificate_keeps_the_one_before_and_one_line_says_so(
    served: Served, authority: Authority, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with Secure(served.feed, *files, authority.ca) as server, caplog.at_level(logging.INFO):
        with server.tls() as client:
            first = serial(client)
        files[0].write_text("nonsense")
        for _ in range(3):
            with server.tls() as client, server.http1():
                assert serial(client) == first
        assert caplog.messages == [
            f"tls.cert: {files[0]}: no certificate in PEM form; the certificate before it stays in use"
        ]
        replace(authority.issue("third"), files)
        with server.tls() as client:
            assert serial(client) != first
        assert caplog.messages[1:] == [f"new connections get the new certificate of {files[0]}"]


def test_pair_replaced_by_halves_is_used_once_it_is_whole(
    served: Served, authority: Authority, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with Secure(served.feed, *files, authority.ca) as server:
        with server.tls() as client:
            first = serial(client)
        certificate, key = authority.issue("fourth")
        shutil.copy(certificate, files[0])
        with server.tls() as client:
            assert serial(client) == first
        shutil.copy(key, files[1])
        with server.tls() as client:
            assert serial(client) != first
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


def test_files_that_vanish_leave_the_certificate_in_use(
    served: Served, authority: Authority, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with Secure(served.feed, *files, authority.ca) as server:
        files[1].unlink()
        for _ in range(2):
            with server.tls() as client:
                assert client.ask(PLAIN)
    assert caplog.messages == [
        f"tls.key: {files[1]}: No such file or directory; the certificate before it stays in use"
    ]


def test_chain_is_sent_whole(served: Served, authority: Authority, tmp_path: Path) -> None:
    """Issued by an authority in between, which the client does not know."""
    between, key = tmp_path / "between.pem", tmp_path / "between.key"
    request, options = tmp_path / "between.csr", tmp_path / "options"
    options.write_text("basicConstraints=critical,CA:TRUE\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=between")
    signer = ("-CA", str(authority.ca), "-CAkey", str(authority.folder / "ca.key"), "-CAcreateserial")
    openssl("req", *new, "-keyout", str(key), "-out", str(request))
    openssl("x509", "-req", "-in", str(request), *signer, "-extfile", str(options), "-out", str(between))
    folder = tmp_path / "below"
    folder.mkdir()
    shutil.copy(between, folder / "ca.pem")
    shutil.copy(key, folder / "ca.key")
    leaf, leaf_key = Authority(folder).issue("leaf")
    leaf.write_text(leaf.read_text() + between.read_text())
    with Secure(served.feed, leaf, leaf_key, authority.ca) as server, server.tls() as client:
        assert client.ask(PLAIN)


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


def refusal(cert: Path, key: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        Credentials(str(cert), str(key), Counters())
    return str(refused.value)


def test_files_that_cannot_be_used_at_the_start_are_refused(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("good")
    _, other = authority.issue("other")
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", str(key), "-aes128", "-passout", "pass:x", "-out", str(locked))
    absent = tmp_path / "absent"
    assert refusal(absent, key) == f"tls.cert: {absent}: No such file or directory"
    assert refusal(cert, tmp_path) == f"tls.key: {tmp_path}: Is a directory"
    assert refusal(key, key) == f"tls.cert: {key}: no certificate in PEM form"
    assert refusal(cert, cert) == f"tls.key: {cert}: no private key in PEM form"
    assert refusal(cert, locked) == f"tls.key: {locked}: has a passphrase; take it off with openssl pkey"
    assert refusal(cert, other) == f"tls.cert: {cert} and {other} cannot be used: key values mismatch"


def test_certificate_that_has_ended_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x")
    openssl("req", *new, "-keyout", str(key), "-out", str(tmp_path / "csr"))
    ends = ("-days", "-1", "-signkey", str(key))
    openssl("x509", "-req", "-in", str(tmp_path / "csr"), *ends, "-out", str(cert))
    counters = Counters()
    Credentials(str(cert), str(key), counters)
    assert counters.certificate_ends < time.time()
    (line,) = caplog.messages
    assert re.fullmatch(rf"tls\.cert: {cert}: not valid since .*; clients will refuse it", line)

"""A certificate authority in a folder, made with openssl(1), and what it issues."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

LOCAL = "IP:127.0.0.1"


@dataclass(frozen=True)
class Authority:
    """Its certificate is ``ca``."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def create(self) -> "Authority":
        self.folder.mkdir()
        subject = ("-subj", f"/CN={self.folder.name}", "-days", "2")
        _openssl("req", "-x509", *self._new_key("ca"), *subject, "-out", str(self.ca))
        return self

    def issue(self, name: str, names: str = LOCAL) -> tuple[Path, Path]:
        """A certificate for ``names`` (openssl's subjectAltName), for servers and clients, and its key."""
        certificate, request, key, options = (
            self.folder / f"{name}.{end}" for end in ("pem", "csr", "key", "options")
        )
        options.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *self._new_key(name), "-subj", f"/CN={name}", "-out", str(request))
        signer = ("-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key"), "-CAcreateserial")
        files = ("-in", str(request), "-extfile", str(options), "-out", str(certificate))
        _openssl("x509", "-req", "-days", "2", *signer, *files)
        return certificate, key

    def _new_key(self, name: str) -> tuple[str, ...]:
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        return (*kind, "-nodes", "-keyout", str(self.folder / f"{name}.key"))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)

"""Every error this package raises on purpose.

A user reads these as one line, so each says what is wrong and what would mend it.
"""


class SkydnsError(Exception):
    """The root: one line for a person, no traceback owed."""


class ConfigError(SkydnsError):
    """A setting, flag or file that cannot be used; the text names file, line and key path."""


class DecodeError(SkydnsError):
    """One cluster object that cannot be used.

    ``path`` is the field, as ``spec.ports[0].port`` ("" for the object as a whole); ``reason`` what is wrong.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class StoreError(SkydnsError):
    """etcd refused, or could not be reached, for a command that needs its answer now."""


class QueryError(SkydnsError):
    """A packet that is answered with an error; ``rcode`` is the response code (RFC 1035 section 4.1.1)."""

    rcode: int = 2


class MalformedQuery(QueryError):
    """FORMERR: the packet does not parse (RFC 1035 section 4.1)."""

    rcode = 1


class UnsupportedQuery(QueryError):
    """NOTIMP: an opcode or meta-type this server does not implement (RFC 1035 section 4.1.1, RFC 8906)."""

    rcode = 4


class RefusedQuery(QueryError):
    """REFUSED: a class or name this server will not answer."""

    rcode = 5


class BadVersion(QueryError):
    """BADVERS: an EDNS version above 0 (RFC 6891 section 6.1.3); 16 needs the extended bits of an OPT."""

    rcode = 16

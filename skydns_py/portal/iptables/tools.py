"""What is known of the host's iptables programs, and the names that the rules use."""

from dataclasses import dataclass

PREFIX = "SKYDNS-"
"""Every chain of ours begins with it; no other chain is ever written."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Program names by family ("" where a family has none) and what they support.

    ``bpf`` is the match xt_bpf; ``random_fully`` the option of MASQUERADE; ``wait`` the arguments that make
    the program wait for the lock of the legacy variant, () where it knows none.
    """

    restore4: str = "iptables-restore"
    save4: str = "iptables-save"
    restore6: str = "ip6tables-restore"
    save6: str = "ip6tables-save"
    random_fully: bool = True
    bpf: bool = True
    wait: tuple[str, ...] = ("-w", "5")

    def restore(self, family: int) -> tuple[str, ...]:
        """The command that loads rules for a family and keeps whatever it does not name."""
        program = self.restore4 if family == 4 else self.restore6
        return (program, "--noflush", "--counters", *self.wait)

    def save(self, family: int) -> str:
        """The program that lists a family's rules; "" without one."""
        return self.save4 if family == 4 else self.save6

"""The world's top-level domains, from the Public Suffix List as ``publicsuffixlist`` carries it.

A domain counts as soon as a rule of the list ends in it: South Africa's list has ``co.za`` and no ``za``.
"""

from importlib.resources import files

_END = "===END ICANN DOMAINS==="
"""Below stand the suffixes of companies, which are no top-level domains."""


def top_level_domains() -> frozenset[bytes]:
    """Every real top-level domain as a lower-case label, internationalised ones as A-labels."""
    text = (files("publicsuffixlist") / "public_suffix_list.dat").read_text("utf-8").partition(_END)[0]
    rules = (line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("//"))
    last_labels = {rule.lstrip("!").rpartition(".")[2] for rule in rules}
    return frozenset(label.encode("idna") for label in last_labels)

"""Whether a text is a label selector as the Kubernetes API understands it (its "Labels and Selectors" page).

A server refuses a wrong one with 400, again and again; here it is refused before anything starts.
"""

import re

_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"\s*(?:!\s*{_KEY}|{_KEY}(?:\s*(?:==?|!=)\s*{_VALUE}|\s*[<>]\s*-?[0-9]+"
    rf"|\s+(?:in|notin)\s*\(\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*\))?)\s*",
    re.ASCII,
)


def parse_selector(text: str) -> str:
    """The selector itself, "" for every object; ValueError at the first requirement that is none."""
    at = 0
    while text:
        found = _REQUIREMENT.match(text, at)
        if found is not None and found.end() == len(text):
            break
        if found is None or text[found.end()] != ",":
            raise ValueError(f"{text[at:]!r} is not KEY=VALUE, KEY!=VALUE, KEY in (A, B), KEY or !KEY")
        at = found.end() + 1
    return text

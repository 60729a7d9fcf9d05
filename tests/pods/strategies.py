"""Services for Hypothesis: few names, so that they meet, and names that contend for variables."""

from hypothesis import strategies as st

from skydns_py.cluster.objects import Service, ServicePort

NAMESPACES = st.sampled_from(["default", "my-ns", "other-ns"])
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.sampled_from(["kubernetes", "kubernetes-ro", "a", "a-service", "a-port", "web", "3scale"]) | LABELS
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
PORTS = st.builds(
    ServicePort,
    name=st.just("") | LABELS,
    protocol=st.sampled_from(["TCP", "UDP", "SCTP"]),
    port=st.integers(1, 65535),
)


def services() -> st.SearchStrategy[list[Service]]:
    """Services, no two of one namespace with one name; some without a portal IP."""
    one = st.builds(
        Service,
        namespace=NAMESPACES,
        name=NAMES,
        ports=st.lists(PORTS, max_size=4, unique_by=(lambda p: (p.port, p.protocol), lambda p: p.name)).map(
            tuple
        ),
        addresses=st.lists(ADDRESSES, max_size=2, unique=True).map(tuple),
    )
    return st.lists(one, max_size=6, unique_by=lambda each: each.ref)

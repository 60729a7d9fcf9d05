"""Cluster objects as Hypothesis draws them, from so few names and addresses that they meet."""

from hypothesis import strategies as st

from skydns_py.cluster.objects import (
    ClusterObject,
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Record,
    Service,
    ServicePort,
    Subset,
)
from skydns_py.cluster.state import ServiceView
from tests.builders import all_packed

ADDRESSES = all_packed("10.1.0.1 10.1.0.2 10.1.1.1 fd00::1 fd00::2")
PORT_NAMES = ("", "http", "dns", "p" * 62, "p" * 63)
PATHS = (
    *("svc/x/a", "svc/x/a/r", "svc/x/a/r", "svc/x/a/h0", "x/a", "x", "dns/ns/r", "dns-version"),
    *("pod/x/10-1-0-1", "apex", "q/r/s"),
)
HOSTS = ("10.9.0.1", "fd00::9", "a.x.svc.cluster.local", "www.example.com", "")

namespaces = st.sampled_from(("x", "x", "x", "y", "svc", "pod"))
service_names = st.sampled_from(("a", "a", "b"))
addresses = st.sampled_from(ADDRESSES)
protocols = st.sampled_from(("TCP", "UDP", "SCTP"))
numbers = st.sampled_from((53, 80))
several_addresses = st.lists(addresses, max_size=2, unique=True).map(tuple)

service_ports = st.lists(
    st.builds(ServicePort, name=st.sampled_from(PORT_NAMES), protocol=protocols, port=numbers), max_size=3
).map(tuple)
endpoint_ports = st.lists(
    st.builds(EndpointPort, name=st.sampled_from(PORT_NAMES), protocol=protocols, port=numbers), max_size=2
).map(tuple)
hosts = st.builds(
    Endpoint,
    address=addresses,
    hostname=st.sampled_from(("", "h0", "h1", "10-1-0-1")),
    ready=st.sampled_from((True, True, False)),
)
subsets = st.lists(
    st.builds(Subset, endpoints=st.lists(hosts, max_size=3).map(tuple), ports=endpoint_ports), max_size=2
).map(tuple)

with_portal = st.builds(
    Service,
    namespaces,
    service_names,
    ports=service_ports,
    addresses=several_addresses,
    publish_not_ready=st.booleans(),
)
headless = st.builds(
    Service,
    namespaces,
    service_names,
    ports=service_ports,
    headless=st.just(True),
    publish_not_ready=st.booleans(),
)
external = st.builds(
    Service,
    namespaces,
    service_names,
    external_name=st.sampled_from(("b.x.svc.cluster.local", "www.example.com")),
)
services = with_portal | headless | external
views = st.builds(ServiceView, services, subsets)

endpoints = st.builds(Endpoints, namespaces, service_names, subsets)
slices = st.builds(
    EndpointSlice, namespaces, st.sampled_from(("s1", "s2")), service_names | st.just(""), subsets
)
pods = st.builds(
    Pod,
    namespaces,
    st.sampled_from(("p", "q")),
    several_addresses,
    host_network=st.booleans(),
    finished=st.sampled_from((False, False, True)),
)
records = st.builds(
    Record,
    st.sampled_from(PATHS).map("local/cluster/{}".format) | st.just("arpa/in-addr/10/1/0/1"),
    st.sampled_from(HOSTS),
    port=numbers,
    text=st.sampled_from(("", "text")),
    mail=st.booleans(),
    targetstrip=st.integers(0, 2),
)
kubernetes_objects: st.SearchStrategy[ClusterObject] = st.one_of(
    services,
    services,
    endpoints,
    slices,
    slices,
    pods,
    st.builds(Namespace, namespaces),
    st.builds(Node, st.just("n")),
)
objects = kubernetes_objects | records

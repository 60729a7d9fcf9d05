"""Client affinity, rule 7 of the model.

1. Each target of a portal has a set of the sources it got, ``seen-ID-TARGET``, whose elements time out, and
   a chain ``to-ID-TARGET`` that puts the source in (or renews it) and translates.
2. ``cluster-ID`` asks the sets of the cluster's targets one after the other and, where none knows the
   source, chooses at random; ``local-ID`` does the same with the local targets.
3. The policies' chains of the portal lead to those two, so every front shares the same sets.
4. Names come from a hash of the portal and the target, never from a position: while a target is wanted its
   set stays, through every change beside it and through a restart.
5. A set holds 65 535 sources at most (nft's default for sets that packets fill): a flood of sources costs
   that much kernel memory a target, and those beyond it are sent without being remembered.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from skydns_py.portal.nftables.layout import address_text
from skydns_py.portal.nftables.policies import Policies
from skydns_py.portal.plan.model import Portal, Target


class Sticky:
    """The chains of one portal with affinity; ``inside`` and ``outside`` are where its fronts lead."""

    def __init__(self, policies: Policies, portal: Portal, identity: str) -> None:
        self._policies, self._portal, self._id = policies, portal, identity
        self._ip = "ip" if portal.family == 4 else "ip6"
        self.inside = self._inside_name()
        self.outside = f"outside-{identity}"

    def _inside_name(self) -> str:
        if self._portal.internal_local and not self._portal.local:
            return "drop"
        return f"inside-{self._id}"

    def items(self, comment: str) -> Iterator[str]:
        """The chains and sets that some front needs; ``comment`` names the portal."""
        portal = self._portal
        from_outside = bool(portal.public or portal.balancer or portal.node_port)
        if portal.inside and self.inside != "drop":
            send = f"goto {'local' if portal.internal_local else 'cluster'}-{self._id}"
            yield f"chain\t{self.inside}\t{';'.join(self._policies.inside_rules(send))}"
        if from_outside:
            yield f"chain\t{self.outside}\t{';'.join(self._outside())}"
        wants_cluster = from_outside or (portal.inside and not portal.internal_local)
        wants_local = (portal.inside and portal.internal_local) or (from_outside and portal.external_local)
        cluster, local = portal.cluster if wants_cluster else (), portal.local if wants_local else ()
        for name, targets in (("cluster", cluster), ("local", local)):
            if targets:
                yield self._choice(name, targets, comment)
        for target in dict.fromkeys((*cluster, *local)):
            yield from self._target(target)

    def _outside(self) -> list[str]:
        send = f"goto cluster-{self._id}"
        if not self._portal.external_local:
            return self._policies.outside_rules(send)
        here = f"goto local-{self._id}" if self._portal.local else "drop"
        return self._policies.outside_local_rules(send, here)

    def _choice(self, name: str, targets: Sequence[Target], comment: str) -> str:
        names = [self._name(target) for target in targets]
        rules = [f"{self._ip} saddr @seen-{each} goto to-{each}" for each in names]
        choices = ", ".join(f"{index} : goto to-{each}" for index, each in enumerate(names))
        last = f"numgen random mod {len(names)} vmap {{ {choices} }}" if names[1:] else f"goto to-{names[0]}"
        return f"chain\t{name}-{self._id}\t{';'.join((*rules, last + comment))}"

    def _target(self, target: Target) -> Iterator[str]:
        name, address = self._name(target), address_text(target.address)
        where = f"[{address}]:{target.port}" if self._portal.family == 6 else f"{address}:{target.port}"
        seen = f"update @seen-{name} {{ {self._ip} saddr timeout {self._portal.affinity_seconds}s }}"
        send = f"meta l4proto {self._portal.protocol.lower()} dnat to {where}"
        yield f"set\tseen-{name}\t"
        yield f"chain\tto-{name}\t{seen};{send}"

    def _name(self, target: Target) -> str:
        text = f"{address_text(target.address)} {target.port}"
        return f"{self._id}-{sha256(text.encode()).hexdigest()[:12]}"

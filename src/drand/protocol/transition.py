"""From a candidate group and the result of its key generation to the epoch record: pure functions.

Source: drand v1.5.11, core/drand_beacon.go, WaitDKG: disqualified nodes leave the group, the others keep their index.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from collective.errors import NotEnoughShares
from collective.sharing.commitment import PublicPolynomial
from drand.errors import InvalidGroup
from drand.model.bundles import DkgTerms, Participant, session_id
from drand.model.chain import Index
from drand.model.group import Group
from drand.model.records import Epoch


def fresh_terms(candidates: Group) -> DkgTerms:
    """The terms of a fresh key generation among `candidates`: everybody deals, everybody holds."""
    participants = tuple(Participant(node.index, node.identity.key) for node in candidates.nodes)
    return DkgTerms(
        session_id=session_id(candidates.genesis_unix_s),
        scheme=candidates.scheme,
        threshold=candidates.threshold,
        dealers=participants,
        holders=participants,
    )


def qualified_group(candidates: Group, qualified: Collection[Index], commits: Sequence[bytes]) -> Group:
    """The group that a fresh key generation made.

    candidates  the group everybody agreed on, without a key
    qualified   indices of the nodes whose deals make the key
    commits     the public polynomial, encoded points, constant term first
    raises      NotEnoughShares for fewer qualified nodes than the threshold, InvalidGroup for a polynomial that has
                not `threshold` coefficients or for a qualified index that is no candidate's, MalformedPoint for
                a coefficient that does not decode

    The genesis seed stays: it is the hash of the candidates, forever. The group may be small enough now for a lower
    minimum of its threshold; it never has fewer nodes than the threshold.
    """
    strangers = set(qualified) - {node.index for node in candidates.nodes}
    if strangers:
        raise InvalidGroup(f"qualified nodes {sorted(strangers)} are no candidates")
    if len(set(qualified)) < candidates.threshold:
        raise NotEnoughShares(f"{len(set(qualified))} nodes qualified, the threshold is {candidates.threshold}")
    if len(commits) != candidates.threshold:
        raise InvalidGroup(f"{len(commits)} public coefficients for threshold {candidates.threshold}")
    PublicPolynomial.decode(candidates.scheme.key_group, commits)  # known when rounds are made
    nodes = tuple(node for node in candidates.nodes if node.index in qualified)
    group = replace(candidates, nodes=nodes, public_key=tuple(commits))
    group.check()
    return group


def fresh_epoch(
    candidates: Group, qualified: Collection[Index], commits: Sequence[bytes], index: Index, epoch_id: bytes
) -> Epoch:
    """The record of what a fresh key generation made for the node at `index`; raises like `qualified_group`.

    raises    InvalidGroup also when our own node did not qualify
    """
    group = qualified_group(candidates, qualified, commits)
    if group.node(index) is None:
        raise InvalidGroup(f"our node {index} is not among the qualified ones")
    return Epoch(group=group, index=index, epoch_id=epoch_id)

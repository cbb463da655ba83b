"""The identity, the leader's signature on a group, and the operator's randomness in what is dealt."""

from dataclasses import replace

from collective.signatures import schnorr
from drand.model.vault_messages import (
    DealShares,
    GroupSigned,
    IdentityShown,
    ShowIdentity,
    SignGroup,
    UserEntropy,
)
from tests.support.committee import TOY_UNCHAINED
from tests.support.vaults import Ceremony, fresh_id


def test_the_identity_is_self_signed():
    site = Ceremony(1, 1).sites[0]
    identity = site.ask(ShowIdentity(fresh_id()), IdentityShown).identity
    identity.check_self_signature()
    assert identity == site.keys.identity


def test_a_leader_signs_the_hash_of_a_group_it_is_in_once():
    ceremony = Ceremony()
    site, group = ceremony.sites[0], ceremony.candidates
    signed = site.ask(SignGroup(fresh_id(), group), GroupSigned)
    schnorr.verify(ceremony.scheme.key_group, ceremony.scheme.decode_key(site.key), group.hash(), signed.signature)
    site.restart()
    assert site.ask(SignGroup(fresh_id(), group), GroupSigned).signature == signed.signature
    outsider = Ceremony(1, 1, seed=9).sites[0]
    assert "not in this group" in outsider.refusal(SignGroup(fresh_id(), group)).reason
    assert "threshold" in site.refusal(SignGroup(fresh_id(), replace(group, threshold=1))).reason
    assert "another scheme" in site.refusal(SignGroup(fresh_id(), replace(group, scheme=TOY_UNCHAINED))).reason


def test_the_operators_script_alone_determines_the_constant_term():
    request = UserEntropy("/script", user_only=True)
    first, second = Ceremony(), Ceremony()
    second.sites[0].entropy = first.sites[1].entropy
    second.sites[0].restart()
    mine, same = first.deal(0, request), second.deal(0, request)
    assert mine.commits[0] == same.commits[0]
    assert mine.commits[1:] != same.commits[1:]


def test_the_operators_script_is_mixed_with_the_systems_randomness():
    request = UserEntropy("/script", user_only=False)
    first, second = Ceremony(), Ceremony()
    second.sites[0].entropy = first.sites[1].entropy
    second.sites[0].restart()
    assert first.deal(0, request).commits[0] != second.deal(0, request).commits[0]
    assert Ceremony().deal(0, request).commits[0] != Ceremony().deal(0).commits[0]


def test_a_script_that_gives_nothing_stops_the_dealing_only_when_it_stands_alone():
    ceremony = Ceremony()
    ceremony.sites[0].script = lambda path, size: b""
    alone = DealShares(fresh_id(), ceremony.terms, UserEntropy("/script", user_only=True))
    refused = ceremony.sites[0].refusal(alone)
    assert "error picking secret" in refused.reason
    assert refused.retry
    assert ceremony.deal(0, UserEntropy("/script", user_only=False))

"""A dealer that has no place in the new group hands its share on, and goes."""

from drand.protocol.dkg import HandedOver
from tests.support.dkg_world import World, resharing_terms, vaults


def leaving_world(**lies):
    everybody = vaults(5, seed=2)
    terms = resharing_terms(everybody[:4], everybody[1:], 3, 3)
    everybody[0].corrupt_for = frozenset(lies.get("corrupt", ()))
    return World(everybody, terms)


def test_a_leaving_dealer_is_done_when_everybody_is_content():
    world = leaving_world()
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert len(world.generated()) == 4


def test_a_leaving_dealer_answers_complaints_before_it_goes():
    world = leaving_world(corrupt={3})
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert {result.qualified for result in world.generated().values()} == {(0, 1, 2, 3)}
    assert len(world.generated()) == 4
    key = world.generated()["1"].commits[0]
    assert key == world.terms.old.commits[0]


def test_a_leaving_dealer_that_is_evicted_goes_without_showing_its_share():
    world = leaving_world(corrupt={0, 1, 2})
    world.run()
    assert world.nodes["0"].outcome == HandedOver()
    assert [type(bundle).__name__ for bundle in world.nodes["0"].sent if bundle.author == 0][:1] == ["DealBundle"]
    assert len(world.generated()) == 4

"""Whatever the order in which bundles come: those who end with a key agree on it, and their shares recover it."""

from itertools import combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.dkg_world import World, fresh_terms, resharing_terms, vaults

SEEDS = st.integers(0, 10**6)


def world_of(seed, count=5, threshold=3, *, jitter=True):
    members = vaults(count, seed=seed % 97)
    return World(members, fresh_terms(members, threshold), seed=seed, jitter=jitter)


def agreement(world, *, but=()):
    """The one (qualified set, public polynomial) that all honest nodes with a key have."""
    results = {name: result for name, result in world.generated().items() if name not in but}
    found = {(result.qualified, result.commits) for result in results.values()}
    assert len(found) == 1, results
    return found.pop()


def check_shares(world, *, but=()):
    """Any `threshold` shares determine the secret behind the public key."""
    group = world.terms.scheme.key_group
    _, commits = agreement(world, but=but)
    names = [name for name in sorted(world.generated()) if name not in but]
    for chosen in combinations(names, world.terms.threshold):
        secret = world.secret(list(chosen))
        assert group.encode(group.multiply(group.generator(), secret)) == commits[0]


@given(SEEDS)
@settings(max_examples=30)
def test_honest_nodes_always_agree_and_any_threshold_of_shares_recovers_the_key(seed):
    world = world_of(seed)
    world.run()
    assert agreement(world)[0] == (0, 1, 2, 3, 4)
    assert len(world.generated()) == 5
    check_shares(world)


@given(SEEDS, st.sampled_from("01234"), st.sets(st.integers(0, 4), max_size=3), st.booleans())
@settings(max_examples=60)
def test_a_dealer_of_wrong_shares_is_out_unless_it_can_put_them_right(seed, dealer, victims, stubborn):
    world = world_of(seed)
    vault = world.nodes[dealer].vault
    vault.corrupt_for = frozenset(victims - {int(dealer)})
    vault.lies_again = stubborn
    world.run()
    qualified, _ = agreement(world, but=dealer)
    lost = len(vault.corrupt_for) >= 3 or (stubborn and vault.corrupt_for)
    assert qualified == tuple(place for place in range(5) if not (lost and place == int(dealer)))
    check_shares(world, but=dealer)


@given(SEEDS, st.sets(st.sampled_from("01234"), min_size=1, max_size=2))
@settings(max_examples=40)
def test_silent_nodes_are_left_out_and_the_others_agree(seed, silent):
    world = world_of(seed)
    world.silent = silent
    world.run()
    qualified, _ = agreement(world, but=silent)
    assert qualified == tuple(place for place in range(5) if str(place) not in silent)
    assert set(world.generated()) - silent == {str(place) for place in qualified}
    check_shares(world, but=silent)


@given(SEEDS, st.sampled_from("01234"))
@settings(max_examples=60)
def test_a_two_faced_dealer_is_out_everywhere_when_links_are_about_equally_fast(seed, liar):
    """Without a vote, agreement cannot be certain: a face that a dealer shows at the very end may still split us."""
    world = world_of(seed)
    world.post = lambda to, bundle: world.at(world.now + world.random.uniform(0.10, 0.15), to, "bundle", bundle)
    world.equivocate(liar)
    world.run()
    qualified, _ = agreement(world, but=liar)
    assert qualified == tuple(place for place in range(5) if place != int(liar))
    check_shares(world, but=liar)


@given(SEEDS, st.sampled_from("01234"), st.floats(0, 6), st.floats(0.01, 3))
@example(14, "4", 0.64, 5.62)
@settings(max_examples=60)
def test_a_node_killed_at_any_moment_comes_back_to_the_same_key(seed, name, crash_s, down_s):
    world = world_of(seed)
    world.at(crash_s, name, "crash")
    world.at(crash_s + down_s, name, "restart")
    world.run()
    qualified, _ = agreement(world)
    assert set(world.generated()) >= {str(place) for place in qualified} - {name}
    assert len(qualified) >= 4
    check_shares(world)


@given(SEEDS)
@settings(max_examples=30)
def test_messages_that_get_lost_on_their_way_come_by_another(seed):
    world = world_of(seed)
    post = world.post
    world.post = lambda to, bundle: post(to, bundle) if world.random.random() > 0.05 else None
    world.run()
    assert agreement(world)[0] == (0, 1, 2, 3, 4)
    assert len(world.generated()) == 5


@given(SEEDS, st.sets(st.sampled_from("0123"), max_size=1))
@settings(max_examples=40)
def test_a_resharing_keeps_the_key_and_gives_everybody_a_new_share(seed, silent):
    everybody = vaults(6, seed=seed % 97)
    terms = resharing_terms(everybody[:4], everybody[1:], 2, 4)
    world = World(everybody, terms, seed=seed, jitter=True)
    world.silent = silent
    world.run()
    _, commits = agreement(world, but=silent)
    assert commits[0] == terms.old.commits[0]
    assert len(commits) == 4
    check_shares(world, but=silent)

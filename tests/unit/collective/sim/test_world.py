import pytest

from collective.sim.clocks import SimulatedClock
from collective.sim.contacts import Contact, ContactLink
from collective.sim.disk import SimulatedDisk
from collective.sim.network import LinkRules, Network
from collective.sim.world import SafetyViolated, SeededEntropy, World


def test_actions_happen_in_order_of_time_and_then_of_asking():
    world, seen = World(1, start_s=0), []
    world.at(2, lambda: seen.append("second"))
    world.at(1, lambda: seen.append("first"))
    world.at(2, lambda: seen.append("third"))
    world.at(9, lambda: seen.append("too late"))
    world.run(5)
    assert seen == ["first", "second", "third"]
    assert world.now == 5
    assert world.steps == 3


def test_an_action_asked_for_in_the_past_happens_now():
    world, seen = World(1, start_s=100), []
    world.at(3, lambda: seen.append(world.now))
    world.run(101)
    assert seen == [100]


def test_a_run_stops_at_the_moment_its_condition_holds():
    world, seen = World(1, start_s=0), []
    for second in range(5):
        world.at(second, lambda: seen.append(world.now))
    world.run(10, stop=lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    assert world.now == 2


def chatter(seed: int) -> tuple[str, list[float]]:
    world = World(seed)
    network = Network(world, LinkRules(loss=0.2, duplication=0.2, reordering=0.2))
    arrivals: list[float] = []

    def arrive() -> None:
        arrivals.append(world.now)
        world.note("arrived")

    for _ in range(200):
        network.carry("a", "b", arrive)
    world.run(world.now + 100)
    return world.trace, arrivals


def test_one_seed_repeats_a_run_exactly_and_another_does_not():
    assert chatter(7) == chatter(7)
    assert chatter(7)[0] != chatter(8)[0]


def test_lossy_links_lose_and_double_about_as_often_as_they_should():
    world = World(3)
    network = Network(world, LinkRules(loss=0.5, duplication=0.5))
    arrived = []
    for _ in range(2000):
        network.carry("a", "b", lambda: arrived.append(1))
    world.run(world.now + 1000)
    assert 800 < network.lost < 1200
    assert len(arrived) > 1.3 * (network.sent - network.lost)


def test_a_cut_is_one_way_and_healing_ends_every_fault():
    world, seen = World(5), []
    network = Network(world, LinkRules(loss=1.0))
    network.cut("a", "b")
    network.heal()
    network.cut("a", "b")
    assert not network.carry("a", "b", lambda: seen.append("ab"))
    assert network.carry("b", "a", lambda: seen.append("ba"))
    world.run(world.now + 60)
    assert seen == ["ba"]


def test_a_mended_cut_lets_messages_pass_and_leaves_the_other_faults():
    world, seen = World(5), []
    network = Network(world, LinkRules(loss=0.0))
    network.cut("a", "b")
    network.cut("b", "a")
    network.mend("a", "b")
    network.mend("a", "b")  # as two cuts that overlapped
    assert network.carry("a", "b", lambda: seen.append("ab"))
    assert not network.carry("b", "a", lambda: seen.append("ba"))
    world.run(world.now + 60)
    assert seen == ["ab"]


def test_a_drifting_clock_rings_when_it_shows_the_time():
    world = World(1, start_s=1000)
    clock = SimulatedClock(world, offset_s=2.0, drift_ppm=1000)
    assert clock.now() == 1002
    due = clock.true_time(1103.1)
    world.run(due)
    assert clock.now() == pytest.approx(1103.1)
    clock.step(-50)
    assert clock.now() == pytest.approx(1053.1)


def test_a_contact_carries_messages_one_after_another_and_only_while_it_is_open():
    world, seen = World(1, start_s=0), []
    link = ContactLink(world, (Contact(start_unix_s=10, end_unix_s=20, one_way_s=1, bytes_per_s=10),))
    assert not link.carry(1, lambda: seen.append("early"))
    world.run(10)
    assert link.carry(20, lambda: seen.append(world.now))
    assert link.carry(20, lambda: seen.append(world.now))
    assert not link.carry(100, lambda: seen.append("does not fit"))
    world.run(40)
    assert seen == [13, 15]
    assert not link.carry(1, lambda: seen.append("late"))


def test_a_crash_loses_what_was_not_synced():
    disk: SimulatedDisk[str] = SimulatedDisk()
    disk.write("a")
    disk.sync()
    disk.write("b")
    assert disk.read() == ["a", "b"]
    assert disk.durable == ["a"]
    disk.crash()
    assert disk.read() == ["a"]
    disk.replace(["c"])
    assert disk.durable == ["c"]
    disk.full = True
    with pytest.raises(OSError, match="no space"):
        disk.write("d")


def test_seeded_entropy_repeats_and_a_violation_names_its_seed():
    world = World(42)
    assert SeededEntropy(world, "x").bytes(32) == SeededEntropy(World(42), "x").bytes(32)
    assert SeededEntropy(world, "x").bytes(32) != SeededEntropy(world, "y").bytes(32)
    with pytest.raises(SafetyViolated, match="seed 42"):
        raise world.violated("two values for one round")

"""Whether all members hold one chain is asked of each of them, and a difference is told to the operator."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drand.daemon import agreement as module
from drand.daemon.agreement import ASKED_AT_ONCE, PATIENCE_MINUTES, Agreement, OtherChain, differences
from drand.daemon.beacon import BeaconShell
from drand.daemon.control_face import ControlFace
from drand.model.chain import ChainInfo
from drand.model.group import Group, Peer
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.schemes import scheme_named
from drand.net.errors import PeerRefused, PeerUnreachable
from tests.support.committee import Committee
from tests.support.daemons import PATIENCE_S, Planted, network, running, until
from tests.support.shells import Site, StubClient

COMMITTEE = Committee(size=4, threshold=3)
GROUP = COMMITTEE.group
OURS = GROUP.chain_info()
SLOWER = replace(OURS, period_s=OURS.period_s + 27)
NO_GROUP = PeerRefused("drand: no dkg group setup yet for beacon default", code="UNKNOWN")
LOG = logging.getLogger("a.node")


class Asked:
    """The check of member 0, over members that answer what the test says."""

    def __init__(self, group: Group = GROUP) -> None:
        self.client = StubClient()
        self.group = group
        self.others = [node.identity.address for node in group.nodes[1:]]
        self.told: list[list[str]] = []
        self.agreement = Agreement(self.client, group.beacon_id, LOG, self._compared)  # type: ignore[arg-type]
        self.say(OURS)

    def _compared(self, others: Mapping[str, OtherChain]) -> None:
        self.told.append(sorted(others))

    def say(self, what: ChainInfo | Exception, *members: str) -> None:
        self.client.chains |= dict.fromkeys(members or self.others, lambda: what)

    async def begin(self) -> None:
        self.agreement.begin(self.group, self.group.nodes[0].identity)
        await self.pass_over()

    async def minute(self) -> None:
        self.agreement.on_minute()
        await self.pass_over()

    async def pass_over(self) -> None:
        """Until everybody who is asked now has answered or failed."""
        if self.agreement._asking is not None:
            await asyncio.gather(self.agreement._asking, return_exceptions=True)

    def asked(self) -> list[str]:
        asked, self.client.asked = self.client.asked, []
        return sorted(peer.address for peer, _ in asked)


@pytest.fixture
def asked(caplog: pytest.LogCaptureFixture) -> Asked:
    caplog.set_level(logging.INFO)
    return Asked()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(one.levelname, one.getMessage()) for one in caplog.records if one.name == LOG.name]


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    found: dict[str, Any] = caplog.records[-1].fields  # type: ignore[attr-defined]
    return found


async def test_members_that_all_hold_our_chain_are_asked_once_and_it_is_said(
    asked: Asked, caplog: pytest.LogCaptureFixture
):
    await asked.begin()
    await asked.minute()
    assert asked.asked() == sorted(asked.others)
    assert lines(caplog) == [("INFO", "all 4 members hold the same chain")]
    assert fields(caplog) == {"chain": OURS.hash().hex()}
    assert asked.told == [[]]


async def test_members_are_asked_without_a_chain_hash(asked: Asked):
    await asked.begin()
    assert {metadata for _, metadata in asked.client.asked} == {Metadata(OUR_VERSION, "default")}


async def test_a_member_with_another_period_is_named_with_both_hashes_and_what_to_do(
    asked: Asked, caplog: pytest.LogCaptureFixture
):
    odd = asked.others[1]
    asked.say(SLOWER, odd)
    await asked.begin()
    await asked.minute()
    ((level, text),) = lines(caplog)
    assert level == "ERROR"
    assert text.startswith(f"{odd} holds another chain than this node; do not announce the chain")
    assert "`drand show chain-info --hash`" in text
    assert "`drand util reset`" in text
    assert fields(caplog) == {
        "member": odd,
        "chain": SLOWER.hash().hex(),
        "ours": OURS.hash().hex(),
        "differs": {"period_s": (SLOWER.period_s, OURS.period_s)},
    }
    assert asked.told == [[], [odd]]
    assert asked.asked() == sorted(asked.others)  # a difference is an answer


@pytest.mark.parametrize(
    ("theirs", "names"),
    [
        (OURS, []),
        (SLOWER, ["period_s"]),
        (replace(OURS, genesis_unix_s=OURS.genesis_unix_s + 1), ["genesis_unix_s"]),
        (replace(OURS, public_key=bytes(48), genesis_seed=bytes(32)), ["public_key", "genesis_seed"]),
        (replace(OURS, beacon_id="other"), ["beacon_id"]),
        (replace(OURS, scheme=scheme_named("pedersen-bls-unchained")), ["scheme"]),
    ],
)
def test_only_what_differs_is_named(theirs: ChainInfo, names: list[str]):
    assert list(differences(theirs, OURS)) == names


async def test_a_member_that_answers_late_is_asked_again_each_minute_until_it_does(
    asked: Asked, caplog: pytest.LogCaptureFixture
):
    away, behind = asked.others[:2]
    asked.say(PeerUnreachable("connection refused"), away)
    asked.say(NO_GROUP, behind)
    await asked.begin()
    assert lines(caplog) == []
    assert asked.asked() == sorted(asked.others)
    asked.say(OURS, behind)
    await asked.minute()
    assert asked.asked() == sorted([away, behind])
    asked.say(SLOWER, away)
    await asked.minute()
    await asked.minute()
    assert asked.asked() == [away]
    assert [level for level, _ in lines(caplog)] == ["ERROR"]
    assert asked.told == [[], [away]]


async def test_who_never_answers_is_named_after_half_an_hour_and_left_alone(
    asked: Asked, caplog: pytest.LogCaptureFixture
):
    asked.say(PeerUnreachable("connection refused"), asked.others[0])
    await asked.begin()
    for _ in range(PATIENCE_MINUTES + 2):
        await asked.minute()
    assert asked.asked().count(asked.others[0]) == PATIENCE_MINUTES
    ((level, text),) = lines(caplog)
    assert (level, text.split(":")[0]) == ("INFO", "1 of 4 members did not say which chain they hold")
    assert fields(caplog) == {"members": {asked.others[0]: "connection refused"}}


async def test_a_member_that_hangs_keeps_nobody_from_being_compared(
    asked: Asked, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "ANSWER_S", 0.0)
    hanging, odd = asked.others[:2]
    answers = asked.client.chain_info

    async def chain_info(peer: Peer, metadata: Metadata) -> ChainInfo:
        if peer.address == hanging:
            await asyncio.Event().wait()
        return await answers(peer, metadata)

    monkeypatch.setattr(asked.client, "chain_info", chain_info)
    asked.say(SLOWER, odd)
    await asked.begin()
    assert asked.told == [[], [odd]]
    assert asked.agreement._unanswered == {GROUP.nodes[1].identity.peer: "no answer within 0 s"}
    asked.agreement.on_minute()
    asking = asked.agreement._asking
    asked.agreement.on_minute()  # while those of the last minute are still being asked
    assert asked.agreement._asking is asking
    asked.agreement.close()
    await asked.pass_over()
    assert asking is not None
    assert asking.cancelled()


async def test_a_bug_about_one_answer_is_logged_and_keeps_nobody_from_being_compared(
    asked: Asked, caplog: pytest.LogCaptureFixture
):
    asked.say(ZeroDivisionError("a bug"), asked.others[0])
    asked.say(SLOWER, asked.others[2])
    await asked.begin()
    assert sorted(text.split(";")[0] for _, text in lines(caplog)) == sorted(
        [
            f"internal error while comparing chains with {asked.others[0]}",
            f"{asked.others[2]} holds another chain than this node",
        ]
    )


async def test_few_are_asked_at_a_time():
    asked = Asked(Committee(size=3 * ASKED_AT_ONCE, threshold=2 * ASKED_AT_ONCE).group)
    under_way, most, ours = 0, 0, asked.group.chain_info()

    async def chain_info(peer: Peer, metadata: Metadata) -> ChainInfo:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return ours

    asked.client.chain_info = chain_info  # type: ignore[method-assign]
    await asked.begin()
    assert most == ASKED_AT_ONCE
    assert asked.agreement._unanswered == {}


async def test_a_group_is_compared_once_and_one_that_follows_it_anew(asked: Asked):
    await asked.begin()
    await asked.begin()
    assert len(asked.asked()) == 3
    asked.group = replace(GROUP, transition_unix_s=GROUP.genesis_unix_s + 300)
    await asked.begin()
    assert len(asked.asked()) == 3
    assert asked.told == [[], []]


async def test_a_member_alone_asks_nobody(caplog: pytest.LogCaptureFixture):
    alone = Asked(Committee(size=1, threshold=1).group)
    with caplog.at_level(logging.INFO):
        await alone.begin()
        await alone.minute()
    assert (alone.asked(), lines(caplog)) == ([], [])


async def test_a_beacon_asks_at_its_start_and_at_the_minute_and_tells_its_observer(site: Site):
    late, *others = (node.identity.address for node in site.committee.group.nodes[1:])
    site.client.chains = dict.fromkeys(others, lambda: OURS)
    site.shell.start()
    first = site.shell.agreement._asking
    assert first is not None
    await first
    site.client.chains[late] = lambda: SLOWER
    site.shell.on_minute()
    await until(site.shell, lambda: bool(site.shell.agreement.others))
    assert list(site.observer.others) == [late]


async def test_a_beacon_without_a_group_asks_nobody(fresh: Site):
    fresh.shell.start()
    fresh.shell.on_minute()
    assert (fresh.shell.agreement._asking, fresh.client.asked) == (None, [])


async def all_answered(shells: Sequence[BeaconShell]) -> None:
    """Let minutes pass until everybody has answered everybody, those too that were not ready the first time."""
    async with asyncio.timeout(PATIENCE_S):
        for shell in shells:
            while shell.agreement._unanswered:
                assert shell.agreement._asking is not None
                await shell.agreement._asking
                shell.on_minute()
            assert shell.agreement._asking is not None
            await shell.agreement._asking


async def test_after_a_ceremony_every_member_learns_that_all_hold_the_same_chain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with network(tmp_path, nodes=2, threshold=2) as made:
        await all_answered(made.shells)
        assert [shell.agreement.others for shell in made.shells] == [{}, {}]
        names = sorted(shell.log.name for shell in made.shells)
    assert sorted(one.name for one in caplog.records if "all 2 members hold the" in one.getMessage()) == names


async def test_of_three_daemons_two_notice_that_the_third_was_given_another_period(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    planted = Planted(tmp_path, size=3, threshold=2)
    slower = replace(planted.group, period_ns=2 * planted.group.period_ns)
    assert slower.hash() == planted.group.hash()  # what the leader signs does not tell them apart
    planted.write(2, slower, planted.secret)
    caplog.set_level(logging.INFO)
    async with (
        running(planted.node(planted.order[0])) as first,
        running(planted.node(planted.order[1]), metrics="0") as second,
        running(planted.node(planted.order[2])) as third,
    ):
        shells = [daemon.shell("default") for daemon in (first, second, third)]
        addresses = [shell.identity.address for shell in shells]
        await all_answered(shells)
        assert [sorted(shell.agreement.others) for shell in shells] == [
            [addresses[2]],
            [addresses[2]],
            sorted(addresses[:2]),
        ]
        assert shells[0].agreement.others[addresses[2]].chain_hash == slower.chain_info().hash()
        seen = await ControlFace(first).status(Metadata(), ())
        assert seen.other_chains == {addresses[2]: slower.chain_info().hash()}
        count = second._metrics.registry.get_sample_value  # type: ignore[union-attr]
        assert count("chain_disagreements", {"beacon_id": "default"}) == 1
    said = [one for one in caplog.records if "holds another chain" in one.getMessage()]
    assert len(said) == 4
    assert json.dumps(said[0].fields["differs"]) in ('{"period_s": [2, 1]}', '{"period_s": [1, 2]}')  # type: ignore[attr-defined]

"""The link inside one process: in order, bounded, and never in the way of the loop for long."""

import asyncio
import threading
from pathlib import Path

from drand.model.schemes import scheme_named
from drand.model.vault_messages import (
    DealShares,
    IdentityShown,
    OpenEpoch,
    SharesDealt,
    ShowIdentity,
    UserEntropy,
    VaultRefused,
    VaultReply,
    VaultRequest,
)
from drand.vault.folder import VaultFolder
from drand.vault.links import MAX_WAITING, InprocLink, open_vault
from drand.vault.vault import Vault
from tests.support.vaults import GENESIS_S, PERIOD_S, Ceremony, fresh_id, sign_request

SCHEME = scheme_named("pedersen-bls-chained")


def slow_link() -> tuple[InprocLink, threading.Event, threading.Event, DealShares]:
    """A vault whose randomness script prints only when told to; the request that makes it wait."""
    ceremony, started, go_on = Ceremony(), threading.Event(), threading.Event()

    def script(path: str, size: int) -> bytes:
        started.set()
        assert go_on.wait(30)
        return bytes(size)

    ceremony.sites[0].script = script
    request = DealShares(fresh_id(), ceremony.terms, UserEntropy("/script", user_only=True))
    return InprocLink(ceremony.sites[0].vault), started, go_on, request


async def test_a_script_is_waited_for_outside_the_loop_and_others_wait_their_turn():
    link, started, go_on, request = slow_link()
    dealing = asyncio.create_task(link.ask(request))
    await asyncio.to_thread(started.wait, 30)
    shown = asyncio.create_task(link.ask(ShowIdentity(fresh_id())))
    await asyncio.sleep(0)
    assert not dealing.done()
    assert not shown.done()
    go_on.set()
    assert isinstance(await dealing, SharesDealt)
    assert isinstance(await shown, IdentityShown)


async def test_answers_come_in_the_order_of_the_questions():
    link = InprocLink(Ceremony(1, 1).sites[0].vault)
    asked = [fresh_id() for _ in range(20)]
    answered: list[str] = []

    async def ask(request_id):
        answered.append((await link.ask(ShowIdentity(request_id))).request_id)

    await asyncio.gather(*(ask(request_id) for request_id in asked))
    assert answered == asked


async def test_too_many_questions_are_told_to_come_back():
    link, started, go_on, request = slow_link()
    tasks = [asyncio.create_task(link.ask(request))]
    await asyncio.to_thread(started.wait, 30)
    tasks += [asyncio.create_task(link.ask(ShowIdentity(fresh_id()))) for _ in range(MAX_WAITING - 1)]
    await asyncio.sleep(0)
    refused = await link.ask(ShowIdentity(fresh_id()))
    assert isinstance(refused, VaultRefused)
    assert refused.retry
    go_on.set()
    assert not any(isinstance(reply, VaultRefused) for reply in await asyncio.gather(*tasks))


async def test_a_caller_that_gives_up_does_not_stop_the_vault():
    link, started, go_on, request = slow_link()
    dealing = asyncio.create_task(link.ask(request))
    await asyncio.to_thread(started.wait, 30)
    dealing.cancel()
    await asyncio.gather(dealing, return_exceptions=True)
    go_on.set()
    again = await link.ask(DealShares(fresh_id(), request.terms))
    assert isinstance(again, SharesDealt)
    await link.close()


async def test_a_closed_link_finishes_what_was_asked_and_takes_nothing_more():
    link, started, go_on, request = slow_link()
    dealing = asyncio.create_task(link.ask(request))
    await asyncio.to_thread(started.wait, 30)
    go_on.set()
    await link.close()
    assert isinstance(await dealing, SharesDealt)
    refused = await link.ask(ShowIdentity(fresh_id()))
    assert isinstance(refused, VaultRefused)
    assert "closed" in refused.reason


async def test_a_vault_that_was_not_waited_for_overwrites_nothing_of_the_one_that_follows(tmp_path: Path):
    """The shell's patience ends while a script runs on: the next vault of the folder deals, then the script is done."""
    ceremony, started, go_on, over = Ceremony(scheme=SCHEME), threading.Event(), threading.Event(), threading.Event()
    folder, site = VaultFolder(tmp_path / "default"), ceremony.sites[0]
    folder.save_key_pair(site.keys)

    def script(path: str, size: int) -> bytes:
        started.set()
        assert go_on.wait(30)
        return bytes(size)

    class Watched(Vault):
        def answer(self, request: VaultRequest) -> VaultReply:
            try:
                answers.append(super().answer(request))
            finally:
                over.set()
            return answers[-1]

    answers: list[VaultReply] = []
    old = InprocLink(Watched(site.keys, folder.state_file, entropy=site.entropy, clock=site.clock, read_script=script))
    request = DealShares(fresh_id(), ceremony.terms, UserEntropy("/script", user_only=True))
    dealing = asyncio.create_task(old.ask(request))
    await asyncio.to_thread(started.wait, 30)
    closing = asyncio.create_task(old.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, dealing, return_exceptions=True)

    following = open_vault("inproc:", folder.path)
    dealt = await following.ask(DealShares(fresh_id(), ceremony.terms))
    assert isinstance(dealt, SharesDealt)
    kept = folder.state_file.read()
    go_on.set()
    assert await asyncio.to_thread(over.wait, 30)
    assert [type(answer) for answer in answers] == [VaultRefused]
    assert folder.state_file.read() == kept


def test_a_closed_vault_gives_and_exports_nothing():
    ceremony = Ceremony(1, 1)
    [end] = ceremony.run()
    site, group = ceremony.sites[0], ceremony.group(end.commits)
    site.clock.unix_s = GENESIS_S + PERIOD_S
    exported = len(site.exported)
    site.vault.close()
    site.vault.close()
    opening, signing = OpenEpoch(fresh_id(), end.epoch_id, group), sign_request(end.epoch_id, 1, group.genesis_seed)
    for request in (opening, signing, ShowIdentity(fresh_id())):
        assert site.refusal(request).reason == "the vault is closed"
    assert len(site.exported) == exported

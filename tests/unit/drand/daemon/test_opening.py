"""From the files of a beacon to its shell: what is read when."""

from pathlib import Path

from drand.daemon.folders import BeaconFolder
from drand.daemon.opening import open_beacon
from drand.model.bundles import DkgTerms, Participant, session_id
from drand.model.vault_messages import DealShares, RequestId, SharesDealt
from drand.vault.folder import VaultFolder
from drand.vault.links import InprocLink, open_vault
from tests.support.daemons import make_keys, running


async def test_what_another_process_kept_before_it_let_the_folder_go_is_not_forgotten(tmp_path: Path):
    """The state is read while the daemon before still has the folder; that one deals, ends, and the store is free."""
    make_keys(tmp_path)
    folder = BeaconFolder(tmp_path, "default")
    keys = VaultFolder(folder.root).load_key_pair()
    alone = (Participant(0, keys.identity.key),)
    terms = DkgTerms(
        session_id=session_id(1_700_000_000), scheme=keys.identity.scheme, threshold=1, dealers=alone, holders=alone
    )
    dealt: list[object] = []

    def opener(*args: object, **kwargs: object) -> InprocLink:
        early = open_vault(*args, **kwargs)  # type: ignore[arg-type]
        dealt.append(open_vault("inproc:", folder.root).vault.answer(DealShares(RequestId("before"), terms)))
        return early

    async with running(tmp_path, only_beacon="") as daemon:
        shell = await open_beacon(folder, "inproc:", daemon._outside, opener=opener)
        dealt.append(await shell._vault.ask(DealShares(RequestId("after"), terms)))
        await shell.stop()
    before, after = dealt
    assert isinstance(before, SharesDealt)
    assert isinstance(after, SharesDealt)
    assert after.bundle == before.bundle

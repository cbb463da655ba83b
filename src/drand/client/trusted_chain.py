"""Which chain a client speaks about, and how an answer to "what is its key" comes to be believed."""

from collections.abc import Awaitable, Callable

from collective.errors import BadSetting
from drand.client.chains import PUBLIC_CHAINS, public_chain
from drand.client.contract import Source
from drand.client.errors import ForgedBeacon, RoundMissing, WrongChain
from drand.client.judge import Judge, judge_of
from drand.model.chain import ChainInfo

CHAIN_HASH_BYTES = 32


def named_chain(chain: str | bytes | ChainInfo) -> tuple[bytes, ChainInfo | None]:
    """The hash of a chain, and its information where it is known without asking anybody.

    chain    a built-in name, a chain hash (64 hex digits, or 32 bytes), or the information itself
    raises   BadSetting
    """
    if isinstance(chain, ChainInfo):
        return chain.hash(), chain
    text = chain.hex() if isinstance(chain, bytes) else chain
    known = public_chain(text.lower()) or public_chain(text)
    if known is not None:
        return known.hash(), known
    try:
        chain_hash = bytes.fromhex(text)
    except ValueError:
        chain_hash = b""
    if len(chain_hash) != CHAIN_HASH_BYTES:
        raise BadSetting(
            f"{text!r} is no built-in chain and no chain hash",
            hint=f"a chain hash has 64 hexadecimal digits; built in are: {', '.join(PUBLIC_CHAINS)}",
        )
    return chain_hash, None


def question_of_trust(chain_hash: bytes, now: Callable[[], float]) -> Callable[[Source], Awaitable[Judge]]:
    """The question that makes a judge from what a source says about a chain known only by its hash.

    The hash covers key, times, seed and id, but not the scheme. So the information is believed when one beacon of the
    same source verifies under it as well: no beacon can be made to verify under a wrong scheme. A chain that has not
    begun has no beacon; its scheme is then checked by the first one.
    """

    async def ask(source: Source) -> Judge:
        info = await source.info(chain_hash)
        if info.hash() != chain_hash:
            raise WrongChain(source.name, f"gave the information of chain {info.hash().hex()}")
        judge = judge_of(source.name, info)
        try:
            beacon = await source.beacon(info, None)
        except RoundMissing:
            if now() < info.genesis_unix_s + info.period_s:
                return judge
            raise
        try:
            judge.one(source.name, beacon, now())
        except ForgedBeacon as error:
            what = f"its round {beacon.round} does not verify under the key and the scheme {info.scheme.name} it gave"
            raise WrongChain(source.name, what) from error
        return judge

    return ask

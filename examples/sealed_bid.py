"""A sealed-bid auction without an auctioneer to trust: bids are locked to a round, and all open when it comes.

Nobody, the seller included, can read a bid before the round; nobody can withhold one after it, as a bidder who only
commits to a hash could. Here the round is quicknet's first, so that the example runs offline; a real auction takes a
coming one (`chain.schedule.next_round`, or `drand timelock encrypt --at`).
"""

from dataclasses import dataclass

from drand.client.chains import public_chain
from drand.errors import TooEarly
from drand.model.chain import Beacon, ChainInfo, Round
from drand.timelock import TlockIdentity, TlockRecipient, decrypt_bytes, encrypt_bytes

QUICKNET_ROUND_1 = "b55e7cb2d5c613ee0b2e28d6750aabbb78c39dcc96bd9d38c2c2e12198df95571de8e8e402a0cc48871c7089a2b3af4b"
CLOSING = Round(1)
BIDS = {"Ada": 120, "Bob": 95, "Eve": 110}


@dataclass
class Relay:
    """Stands in for `Client("quicknet")`: gives the closing round once it is `open`."""

    open: bool = False

    def get(self, round_: Round) -> Beacon:
        if not self.open:
            raise TooEarly(f"round {round_} is not there yet")
        return Beacon(round_, bytes.fromhex(QUICKNET_ROUND_1))


def sealed(chain: ChainInfo) -> dict[str, bytes]:
    """What the bidders publish."""
    return {name: encrypt_bytes(str(bid).encode(), [TlockRecipient(chain, CLOSING)]) for name, bid in BIDS.items()}


def main() -> None:
    chain = public_chain("quicknet")
    envelopes, relay = sealed(chain), Relay()
    for name, envelope in envelopes.items():
        print(f"{name} publishes {len(envelope)} bytes: {envelope[-16:].hex()}...")

    key = TlockIdentity(chain, relay)
    try:
        decrypt_bytes(envelopes["Ada"], [key])
    except TooEarly as early:
        print(f"before the round: {early}")

    relay.open = True
    bids = {name: int(decrypt_bytes(envelope, [key])) for name, envelope in envelopes.items()}
    winner = max(bids, key=lambda name: bids[name])
    assert bids == BIDS
    print(f"after it: {bids}; {winner} wins")


if __name__ == "__main__":
    main()

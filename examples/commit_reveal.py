"""Two players toss a coin over the network: each commits to a call, a round decides, nobody can wait and see.

Commit and reveal alone has a hole: who reveals last may refuse when he has lost. A beacon closes it: the coin is the
round's, so refusing to reveal is losing by the rules, and the other's reveal decides nothing.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from drand.client import Sampler
from drand.client.chains import public_chain
from drand.model.chain import Beacon, Round
from drand.model.verification import ChainVerifier

FASTNET_ROUND_1 = "9544ddce2fdbe8688d6f5b4f98eed5d63eee3902e7e162050ac0f45905a55657714880adabe3c3096b92767d886567d0"


@dataclass(frozen=True)
class Player:
    name: str
    call: str  # heads or tails
    salt: bytes  # 32 fresh random bytes; fixed here so that the example says the same each time

    def commitment(self) -> bytes:
        return hmac.digest(self.salt, f"{self.name} calls {self.call}".encode(), sha256)


def toss(randomness: bytes, commitments: list[bytes]) -> str:
    """The coin depends on the round and on both commitments: another game of the same round has another coin."""
    purpose = "coin/" + "/".join(commitment.hex() for commitment in commitments)
    return Sampler(randomness, purpose).choice(["heads", "tails"])


def main() -> None:
    ada, bob = Player("Ada", "heads", b"a" * 32), Player("Bob", "tails", b"b" * 32)

    # 1. Both publish their commitments, and agree on a coming round.
    commitments = [ada.commitment(), bob.commitment()]
    print("committed:", *(commitment.hex()[:16] for commitment in commitments))

    # 2. The round comes; each verifies it himself. Client("quicknet").get(round) would fetch it.
    chain = public_chain("fastnet")
    beacon = Beacon(Round(1), bytes.fromhex(FASTNET_ROUND_1))
    ChainVerifier(chain.scheme, chain.public_key).check(beacon)
    coin = toss(beacon.randomness, commitments)
    print(f"round {beacon.round} tosses {coin}")

    # 3. Both reveal call and salt; whoever does not, or reveals something else, has lost.
    for player, commitment in zip((ada, bob), commitments, strict=True):
        assert hmac.compare_digest(player.commitment(), commitment)
        print(f"{player.name} called {player.call} and {'wins' if player.call == coin else 'loses'}")


if __name__ == "__main__":
    main()

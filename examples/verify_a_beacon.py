"""Verify a beacon offline with the library: no network, no daemon."""

from drand.client.chains import public_chain
from drand.errors import InvalidBeacon
from drand.model.chain import Beacon, Round
from drand.model.verification import ChainVerifier

QUICKNET_ROUND_1 = "b55e7cb2d5c613ee0b2e28d6750aabbb78c39dcc96bd9d38c2c2e12198df95571de8e8e402a0cc48871c7089a2b3af4b"


def main() -> None:
    chain = public_chain("quicknet")
    verifier = ChainVerifier(chain.scheme, chain.public_key)

    beacon = Beacon(Round(1), bytes.fromhex(QUICKNET_ROUND_1))
    verifier.check(beacon)  # raises InvalidBeacon unless the League of Entropy signed round 1
    print(f"round {beacon.round}: {beacon.randomness.hex()}, due at {chain.schedule.due_unix_s(1)}")

    try:
        verifier.check(Beacon(Round(2), beacon.signature))
    except InvalidBeacon as error:
        print(f"as expected: {error}")


if __name__ == "__main__":
    main()

"""A lottery that every ticket holder can check: winners from a list by a round, offline with a stored beacon.

The same with a coming round, on the command line: `drand draw --from tickets.txt --winners 3 --at 2030-01-01T12:00:00Z`
"""

from drand.client.chains import public_chain
from drand.client.draw import Announcement, check, commit, draw, encode_receipt, parse_receipt
from drand.model.chain import Beacon, Round

TICKETS = [f"ticket {number:03}" for number in range(1, 101)]
QUICKNET_ROUND_1 = "b55e7cb2d5c613ee0b2e28d6750aabbb78c39dcc96bd9d38c2c2e12198df95571de8e8e402a0cc48871c7089a2b3af4b"


def main() -> None:
    chain = public_chain("quicknet")

    # Before the round: fix the list and how many win, and publish this hash and the round.
    announced = Announcement(
        chain=chain,
        commitment=commit(TICKETS, winners_wanted=3),
        round=Round(1),
        committed_unix_s=chain.genesis_unix_s - 3600,
    )
    print(f"{len(TICKETS)} tickets, list {announced.commitment.list_sha256.hex()}, drawn by round 1 of quicknet")

    # After it: Client("quicknet").get(1) would fetch and verify this beacon; here it is at hand, `check` verifies it.
    beacon = Beacon(Round(1), bytes.fromhex(QUICKNET_ROUND_1))
    receipt = encode_receipt(draw(announced, TICKETS, beacon))

    # Anybody, later, with the receipt alone:
    for place, winner in enumerate(check(parse_receipt(receipt)).winners, 1):
        print(f"{place}. {winner}")


if __name__ == "__main__":
    main()

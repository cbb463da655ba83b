"""The League of Entropy's public chains, by name: what is needed to verify them without asking anybody.

Each entry's chain hash is recomputed from its fields by tests/unit/drand/client/test_chains.py.
"""

from typing import Literal, TypeAlias, overload

from drand.model.chain import ChainInfo
from drand.model.schemes import scheme_named

# name -> (beacon id, scheme, public key, period in seconds, genesis in unix seconds, genesis seed, chain hash)
_CHAINS: dict[str, tuple[str, str, str, int, int, str, str]] = {
    # 30 s, chained; the first chain, since July 2020
    "default": (
        "default",
        "pedersen-bls-chained",
        "868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a569937c529eeda66c7293784a9402801af31",
        30,
        1595431050,
        "176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        "8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce",
    ),
    # 3 s, signatures on G1; since August 2023
    "quicknet": (
        "quicknet",
        "bls-unchained-g1-rfc9380",
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
        3,
        1692803367,
        "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
        "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
    ),
    # 3 s, BN254 for the EVM's precompiles; since September 2024
    "evmnet": (
        "evmnet",
        "bls-bn254-unchained-on-g1",
        "07e1d1d335df83fa98462005690372c643340060d205306a9aa8106b6bd0b3820557ec32c2ad488e4d4f6008f89a346f"
        "18492092ccc0d594610de2732c8b808f0095685ae3a85ba243747b1b2f426049010f6b73a0cf1d389351d5aaaa1047f6"
        "297d3a4f9749b33eb2d904c9d9ebf17224150ddd7abd7567a9bec6c74480ee0b",
        3,
        1727521075,
        "cd7ad2f0e0cce5d8c288f2dd016ffe7bc8dc88dbb229b3da2b6ad736490dfed6",
        "04f1e9062b8a81f848fded9c12306733282b2727ecced50032187751166ec8c3",
    ),
    # 3 s, retired: superseded by quicknet; its past rounds still verify
    "fastnet": (
        "fastnet",
        "bls-unchained-on-g1",
        "a0b862a7527fee3a731bcb59280ab6abd62d5c0b6ea03dc4ddf6612fdfc9d01f01c31542541771903475eb1ec6615f8d"
        "0df0b8b6dce385811d6dcf8cbefb8759e5e616a3dfd054c928940766d9a5b9db91e3b697e5d70a975181e007f87fca5e",
        3,
        1677685200,
        "a81e9d63f614ccdb144b8ff79fbd4d5a2d22055c0bfe4ee9a8092003dab1c6c0",
        "dbd506d6ef76e5f386f41c651dcb808c5bcbd75471cc4eafa3f4df7ad4e4c493",
    ),
}

# Chains whose operators have stopped them for good.
RETIRED_HASHES: frozenset[bytes] = frozenset({bytes.fromhex(_CHAINS["fastnet"][-1])})

# Where the League serves its chains to everybody.
PUBLIC_SOURCES: tuple[str, ...] = (
    "https://api.drand.sh",
    "https://api2.drand.sh",
    "https://api3.drand.sh",
    "https://drand.cloudflare.com",
)

PUBLIC_CHAINS: tuple[str, ...] = tuple(_CHAINS)
INFO_HINT = "give a file with what /info answers, in JSON: `drand get chain-info ADDRESS` prints it"


PublicName: TypeAlias = Literal["default", "quicknet", "evmnet", "fastnet"]


@overload
def public_chain(name: PublicName) -> ChainInfo: ...
@overload
def public_chain(name: str) -> ChainInfo | None: ...
def public_chain(name: str) -> ChainInfo | None:
    """The chain of this name, or with this hash in hex; None when it is not built in."""
    for known, (beacon_id, scheme, key, period_s, genesis_unix_s, seed, chain_hash) in _CHAINS.items():
        if name in (known, chain_hash):
            return ChainInfo(
                public_key=bytes.fromhex(key),
                period_s=period_s,
                genesis_unix_s=genesis_unix_s,
                genesis_seed=bytes.fromhex(seed),
                scheme=scheme_named(scheme),
                beacon_id=beacon_id,
            )
    return None

"""Repeatable randomness for tests."""

import hashlib


class SeededEntropy:
    """SHA-256 in counter mode; the same seed gives the same bytes."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.drawn = 0

    def bytes(self, count: int) -> bytes:
        blocks = []
        for _ in range((count + 31) // 32):
            blocks.append(hashlib.sha256(f"{self.seed}/{self.drawn}".encode()).digest())
            self.drawn += 1
        return b"".join(blocks)[:count]

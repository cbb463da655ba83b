"""Signatures: Schnorr over any prime group, BLS over any pairing suite, and BLS verified many at a time."""

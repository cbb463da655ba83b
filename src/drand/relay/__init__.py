"""The relay: beacons of any chains, verified, kept and served to many."""

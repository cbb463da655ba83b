"""Messages sealed to a public key."""

"""Verifying many beacons on several cores: `Verifiers`, its worker processes, and what goes between them.

Processes and not threads, because the pairing libraries hold the interpreter's lock; `python -m drand.verifying` and
not `multiprocessing`, because that imports the caller's `__main__` again. See docs/decisions/0012-verifying-workers.md.
"""

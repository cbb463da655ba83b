"""The line that tells the version: by itself, so that `drand --version` loads nothing else."""

VERSION_LINE = "drand 1.5.11 (pydrand)"

"""What this implementation measures, beside Go's where DRAND_GO names its binary: `python -m bench --help`."""

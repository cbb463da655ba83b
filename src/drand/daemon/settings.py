"""How one daemon is set up: what the operator's flags and variables say."""

from dataclasses import dataclass, field
from pathlib import Path

from collective.errors import BadSetting

DEFAULT_CONTROL = "8888"
INPROC = "inproc:"  # the vault inside the daemon


def default_folder() -> Path:
    """~/.drand, as v1.5.11."""
    return Path.home() / ".drand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One daemon's settings. Addresses are host:port; an empty one means "not set"."""

    folder: Path = field(default_factory=default_folder)
    private_listen: str = ""  # peers' gRPC; empty: the address in the stored key
    public_listen: str = ""  # HTTP API; empty: none
    control: str = DEFAULT_CONTROL  # port, host:port or unix:///path
    metrics: str = ""  # [host:]port; empty: none
    tls_disable: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    certs_dir: Path | None = None  # PEM files of more roots to trust
    only_beacon: str | None = None  # load just this id; "" loads none; None loads all
    vault: str = INPROC
    json_logs: bool = False
    verbose: bool = False
    rate_per_s: float = 0.0  # HTTP requests that a client address may make in the long run; 0: any number
    burst: float = 0.0  # at once; 0: twice the rate
    access_log: str = ""  # of HTTP requests: a file, "-" for standard output; empty: none

    @property
    def has_files_to_reread(self) -> bool:
        """Whether SIGHUP has a meaning: a certificate may be renewed, an access log moved away."""
        return self.tls_cert is not None or self.access_log not in ("", "-")

    def check(self) -> None:
        """Raise BadSetting on combinations that cannot work."""
        if self.tls_disable and (self.tls_cert or self.tls_key):
            raise BadSetting(
                "option 'tls-disable' used with 'tls-cert' or 'tls-key': combination is not valid",
                hint="leave out --tls-disable to serve TLS, or the two files to serve without",
            )
        if not self.tls_disable and not (self.tls_cert and self.tls_key):
            raise BadSetting(
                "TLS is on, but no certificate and private key are given",
                hint="pass --tls-cert and --tls-key, or --tls-disable behind a proxy that does TLS",
            )
        if self.rate_per_s < 0 or self.burst < 0:
            raise BadSetting("a rate limit is not negative")
        if self.vault != INPROC:  # said now, not when the first beacon is loaded
            raise BadSetting(
                f"the vault link {self.vault!r} is not available in this version",
                hint="leave out --vault: the keys are held by the daemon itself",
            )

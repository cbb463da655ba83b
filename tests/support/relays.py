"""Relays and nginx as processes, for tests."""

import os
import shutil
import signal
import sys
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.running import PATIENCE_S, Running

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
WHY_NOT = "needs nginx (Debian: nginx-light)"
CONF = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "relay.conf"


class RelayProcess:
    """`drand relay` on a port of its own, which can be killed and started again."""

    def __init__(self, *flags: str) -> None:
        [self.port] = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "drand.cli.main", "relay", "--listen", self.address, *flags]
        self.running: Running | None = None

    def start(self) -> Running:
        """Start, and wait until it serves."""
        self.running = Running(self._command)
        self.running.wait_for("the relay is ready", patience_s=PATIENCE_S)
        return self.running

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        running, self.running = self.running, None
        if running is not None:
            running.end(number)


class Nginx:
    """nginx with deploy/nginx/relay.conf in front of two addresses."""

    def __init__(self, folder: Path, one: str, two: str) -> None:
        assert NGINX is not None
        [port] = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        text = CONF.read_text()
        for old, new in (
            ("127.0.0.1:8081", one),
            ("127.0.0.1:8082", two),
            ("listen 80 ", f"listen {self.address} "),
            ("/var/cache/nginx/drand", str(folder / "cache")),
        ):
            assert old in text, f"{CONF} has no {old!r} any more"
            text = text.replace(old, new)
        (folder / "relay.conf").write_text(text)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
        user = "user root; " if os.geteuid() == 0 else ""  # another could not reach the test's folder
        (folder / "nginx.conf").write_text(
            f"{user}daemon off; worker_processes 1; worker_rlimit_nofile 20000;"
            f"pid {folder / 'pid'}; error_log stderr notice; events {{ worker_connections 8192; }}"
            f"http {{ access_log off; {places} include {folder / 'relay.conf'}; }}"
        )
        self._command = [NGINX, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        self.running: Running | None = None

    def start(self) -> None:
        """Start."""
        checked = Running([*self._command, "-t"])
        checked.wait_for("test is successful")
        checked.wait_end()
        self.running = Running(self._command)
        self.running.wait_for("start worker process ")

    def stop(self) -> None:
        """End it."""
        running, self.running = self.running, None
        if running is not None:
            running.end(signal.SIGTERM)

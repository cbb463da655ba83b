"""`drand start`: what it refuses at once, and the settings its flags and variables make. No daemon runs here."""

import pytest

from tests.support.command_line import drand
from tests.support.node_folder import Node


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "TLS is on, but no certificate and private key are given"),
        (("--tls-disable", "--tls-cert", "a.pem"), "combination is not valid"),
        (("--tls-disable", "--db", "postgres"), "not available in this version"),
        (("--tls-disable", "--vault", "unix:/run/vault"), "not available in this version"),
        (("--tls-disable", "--folder", "/proc/no/such"), "cannot make the folder"),
    ],
)
def test_a_daemon_that_cannot_run_says_so_at_once(arguments: tuple[str, ...], text: str, node: Node):
    ended = drand("start", "--folder", node.folder, "--control", node.nobody, *arguments)
    assert ended.code == 1
    assert text in ended.err
    assert ended.hints


def test_a_daemon_is_set_up_as_flags_and_variables_say(node: Node, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("drand.daemon.daemon.run_daemon", seen.append)
    monkeypatch.setenv("DRAND_PUBLIC_LISTEN", "127.0.0.1:8081")
    flags = (
        "--tls-disable",
        "--private-listen",
        "0.0.0.0:4444",
        "--id",
        "",
        "--json",
        "--verbose",
        "--metrics",
        "9999",
    )
    assert drand("start", "--folder", node.folder, *flags).code == 0
    (settings,) = seen
    assert (settings.private_listen, settings.public_listen) == ("0.0.0.0:4444", "127.0.0.1:8081")
    assert (settings.only_beacon, settings.json_logs, settings.verbose) == ("", True, True)
    assert (settings.folder, settings.metrics, settings.control) == (node.folder, "9999", "8888")
    assert drand("start", "--folder", node.folder, "--tls-disable").code == 0
    assert seen[-1].only_beacon is None

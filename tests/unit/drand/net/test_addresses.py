"""Addresses, and who is named as the caller."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collective.errors import Malformed
from drand.net.addresses import HostPort, UnixPath, caller, parse_control, parse_host_port, socket_ip


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:80", "::1", 80),
        ("node.example.org:4444", "node.example.org", 4444),
        (":8080", "", 8080),
    ],
)
def test_host_and_port_are_split_and_written_alike(text: str, host: str, port: int):
    address = parse_host_port(text)
    assert address == HostPort(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        "host:65536",
        "host:-1",
        "host:8x",
        "a:b:1",
        "[::1",
        "[]:1",
        "[::1]x:1",
        "a b:1",
        "h\n:1",
        "h:١",
    ],
)
def test_an_address_that_does_not_split_is_refused(text: str):
    with pytest.raises(Malformed):
        parse_host_port(text)


def test_a_default_port_fills_in():
    assert parse_host_port("host", default_port=8080) == HostPort("host", 8080)
    assert parse_host_port("[::1]", default_port=8080) == HostPort("::1", 8080)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8888", HostPort("127.0.0.1", 8888)),
        ("localhost:8888", HostPort("127.0.0.1", 8888)),
        (":8888", HostPort("127.0.0.1", 8888)),
        ("0.0.0.0:8888", HostPort("0.0.0.0", 8888)),
        ("unix:///run/drand.sock", UnixPath(Path("/run/drand.sock"))),
        ("unix:run/drand.sock", UnixPath(Path("run/drand.sock"))),
    ],
)
def test_the_control_address_stays_on_this_machine_unless_an_interface_is_named(text: str, address: object):
    assert parse_control(text) == address


@pytest.mark.parametrize("text", ["", "unix:", "unix://", "host", "99999"])
def test_a_control_address_that_names_nothing_is_refused(text: str):
    with pytest.raises(Malformed):
        parse_control(text)


def test_a_proxys_word_counts_only_for_callers_without_a_public_address():
    claimed = {"x-real-ip": "203.0.113.9", "x-forwarded-for": "198.51.100.1, 10.0.0.1"}
    assert caller("ipv4:127.0.0.1:5000", claimed) == "203.0.113.9"
    assert caller("ipv4:10.1.2.3:5000", {"x-forwarded-for": "198.51.100.1, 10.0.0.1"}) == "198.51.100.1"
    assert caller("ipv4:203.0.113.77:5000", claimed) == "203.0.113.77:5000"
    assert caller("ipv4:192.168.0.1:5000", {}) == "192.168.0.1:5000"
    assert caller("unix:", claimed) == "203.0.113.9"


def test_quotas_count_the_kernels_view():
    assert socket_ip("ipv4:127.0.0.1:5000") == "127.0.0.1"
    assert socket_ip("ipv6:%5B::1%5D:5000") == "[::1]"


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_malformed(text: str):
    for parse in (parse_host_port, parse_control):
        try:
            address = parse(text)
        except Malformed:
            continue
        assert isinstance(address, HostPort | UnixPath)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("", "0.0.0.0", "::", "192.168.0.1", "drand.example", "localhost.example")],
)
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool):
    assert HostPort(host, 8888).is_loopback is loopback

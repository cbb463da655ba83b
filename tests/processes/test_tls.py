"""A network whose nodes speak TLS to each other and to clients, under a root of its own."""

import json
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.processes import Ceremony, Network, Tls
from tests.support.running import Running


def issued_by(authority: Authority, number: int) -> Tls:
    """The certificate of one node."""
    certificate, key = authority.issue(f"node{number}")
    return Tls(certificate, key, authority.roots)


@pytest.mark.slow
def test_ceremony_rounds_and_http_api_work_over_tls_and_a_stranger_to_the_root_is_told_so(tmp_path: Path):
    authority = Authority(tmp_path)
    with Network(tmp_path, 3, lambda number: issued_by(authority, number)) as network:
        network.start()
        network.hold(Ceremony(threshold=3))
        for node in network.nodes:
            node.wait_round(2)
        first, second, third = network.nodes
        assert first.tls is not None
        assert first.body("/public/1") == second.body("/public/1") == third.body("/public/1")

        trusted = ["--certs-dir", str(first.tls.trusted)]
        shown = json.loads(first.run("get", "chain-info", *trusted, second.private))
        assert shown == json.loads(first.body("/info"))
        assert "answers correctly" in first.run("util", "check", *trusted, "--id", "default", third.private)

        # whoever does not know the root, or speaks without TLS, is told in words
        said = first.refuses("get", "chain-info", second.private)
        assert "certificate" in said.lower(), said
        said = first.refuses("util", "check", "--verbose", "--tls-disable", second.private)
        assert f"following nodes don't answer: {second.private}" in said


@pytest.mark.slow
def test_a_participant_that_does_not_trust_the_leaders_root_says_so_in_its_log(tmp_path: Path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other", "another root")

    def certificate(number: int) -> Tls:
        return issued_by(authority if number == 0 else other, number)

    with Network(tmp_path, 2, certificate) as network:
        network.start()
        leader, stranger = network.nodes
        leading = network.lead(Ceremony(threshold=2))
        network.join(stranger, leader)
        assert stranger.daemon is not None
        line = stranger.daemon.wait_until(lambda line: "certificate" in line.lower(), "the reason")
        assert leader.private in line
        assert leading.alive


def test_certificate_and_key_that_do_not_fit_are_refused_at_the_start(tmp_path: Path):
    authority = Authority(tmp_path)
    mine, another = issued_by(authority, 0), issued_by(authority, 1)
    with Network(tmp_path, 1, lambda _: Tls(mine.certificate, another.key, mine.trusted)) as network:
        (node,) = network.nodes
        assert "does not belong to the certificate" in one_error(node.launch())
        node.tls = Tls(mine.certificate, tmp_path / "nowhere.key", mine.trusted)
        assert "nowhere.key" in one_error(node.launch())


def one_error(process: Running) -> str:
    """The one line that says what was wrong."""
    errors = [line for line in process.refuse().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, process.output
    return errors[0]

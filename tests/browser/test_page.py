"""The page at `/` in a real Chromium: it lives, it verifies, it is silent about itself, and it can be read.

Screenshots are left in build/screenshots.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drand.client.draw import Announcement, commit, draw, encode_receipt
from drand.model.chain import Round
from tests.support.chromium import CHROMIUM, DRIVER, WHY_NOT, Chromium
from tests.support.living_chain import InThread, LivingChain

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=WHY_NOT),
    pytest.mark.xdist_group("browser"),
]
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
ENTRIES = [f"ticket {number}" for number in range(1, 301)]

CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgb = (css) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (el) => {
  for (; el; el = el.parentElement) { const c = rgb(getComputedStyle(el).backgroundColor); if (c[3] === 255) return c; }
  return [255, 255, 255];
};
const low = [];
for (const el of document.querySelectorAll("body *")) {
  const text = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!text || !el.checkVisibility() || el.closest("noscript, svg")) continue;
  const [a, b] = [light(rgb(getComputedStyle(el).color)), light(behind(el))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) low.push(`${el.tagName}#${el.id}.${el.className}: ${ratio.toFixed(2)}`);
}
return low;
"""
UNNAMED = """
return [...document.querySelectorAll("button, input, select, a, [role=img]")].filter((el) =>
  !el.innerText?.trim() && !el.labels?.length && !el.getAttribute("aria-label") && !el.getAttribute("aria-labelledby"))
  .map((el) => el.outerHTML.slice(0, 120));
"""


@pytest.fixture(scope="module")
def chain() -> LivingChain:
    return LivingChain()


@pytest.fixture(scope="module")
def server(chain: LivingChain) -> Iterator[InThread]:
    with InThread(chain, LivingChain(members=False, beacon_id="quick")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(server: InThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def page(browser: Chromium, server: InThread, chain: LivingChain) -> Chromium:
    browser.open("about:blank")
    browser.open(f"{server.url}/#{chain.info().hash().hex()}")
    browser.wait(lambda: browser.text("#state") == "live", "the stream")
    return browser


def shown_round(page: Chromium) -> int:
    return int(page.run("return Number(document.getElementById('round').dataset.round ?? 0)"))


def test_a_round_appears_within_a_second_of_its_time(page: Chromium, chain: LivingChain):
    page.run(
        """
        window.seen = [];
        const round = document.getElementById("round");
        new MutationObserver(() => window.seen.push([Number(round.dataset.round), Date.now() / 1000]))
          .observe(round, {attributes: true});
        """
    )

    def four_in_time() -> bool:
        """The last four that appeared; a machine busy for a while is forgiven, a page that is always late not."""
        last: list[tuple[int, float]] = page.run("return window.seen.slice(-4)")
        rounds = [round_ for round_, _ in last]
        in_time = all(0 <= at - chain.info().schedule.due_unix_s(round_) < 1.0 for round_, at in last)
        return len(last) == 4 and rounds == list(range(rounds[0], rounds[0] + 4)) and in_time

    page.wait(four_in_time, "four rounds, each within a second of its time")
    assert "after it was due" in page.text("#arrival")


def test_the_randomness_shown_is_that_of_the_round(page: Chromium, chain: LivingChain):
    number = "Number(document.getElementById('round').dataset.round)"
    round_, randomness = page.run(f"return [{number}, document.getElementById('randomness').innerText]")
    found = chain.get(Round(round_))
    assert found is not None
    assert randomness == found.randomness.hex()


def test_a_round_is_looked_up_and_its_verification_shown(page: Chromium, chain: LivingChain):
    page.type("#wanted", "7")
    page.press("#look button")
    page.wait(lambda: "Round 7 is valid" in page.text("#verdict"), "the verdict")
    found = chain.get(Round(7))
    assert found is not None
    assert found.randomness.hex() in page.text("#verdict")


def test_a_forged_round_and_one_of_the_future_are_called_what_they_are(page: Chromium, chain: LivingChain):
    chain.forged.add(5)
    page.type("#wanted", "5")
    page.press("#look button")
    page.wait(lambda: "Round 5 is NOT valid" in page.text("#verdict"), "the verdict")
    page.run("document.getElementById('wanted').value = ''")
    page.type("#wanted", "999999")
    page.press("#look button")
    page.wait(lambda: "Too early" in page.text("#verdict"), "the answer")
    assert "is due in" in page.text("#verdict")
    page.console()  # a browser notes every answer that is no success


def look_up(page: Chromium, text: str, until: str) -> str:
    page.run("document.getElementById('wanted').value = ''")
    page.type("#wanted", text)
    page.press("#look button")
    page.wait(lambda: until in page.text("#verdict"), until)
    return page.text("#verdict")


def test_a_number_may_be_written_as_the_page_writes_it(page: Chromium):
    assert "Rounds are numbered" in look_up(page, "0", "Not a round")
    assert "SHA-256" in look_up(page, "1,1", "Round 11 is valid")
    assert "Rounds are numbered" in look_up(page, "seven", "Not a round")


def receipt(chain: LivingChain) -> dict[str, Any]:
    info = chain.info()
    beacon = chain.committee.beacon(9)
    announced = Announcement(
        chain=info,
        commitment=commit(ENTRIES, 5),
        round=beacon.round,
        committed_unix_s=info.schedule.due_unix_s(beacon.round) - 60,
    )
    made = draw(announced, ENTRIES, beacon)
    return dict(json.loads(encode_receipt(made)))


def check(page: Chromium, path: Path, document: dict[str, Any]) -> str:
    path.write_text(json.dumps(document))
    page.run("document.getElementById('receipt').value = ''; document.getElementById('drawn').replaceChildren()")
    page.type("#receipt", str(path))
    page.press("#draw button")
    page.wait(lambda: page.text("#drawn"), "the verdict on the draw")
    return page.text("#drawn")


def test_a_draw_receipt_is_checked(page: Chromium, chain: LivingChain, tmp_path: Path):
    told = check(page, tmp_path / "receipt.json", receipt(chain))
    assert "The draw is good" in told, told
    assert all(winner in told for winner in receipt(chain)["winners"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("positions", [1, 2, 3, 4, 5]),
        ("winners", ["me"] * 5),
        ("entries", [*ENTRIES[:-1], "a late ticket"]),
        ("committed_unix_s", 4_000_000_000),
        ("list_sha256", "00" * 32),
        ("winners_wanted", 6),
    ],
)
def test_an_altered_receipt_is_not_good(page: Chromium, chain: LivingChain, tmp_path: Path, field: str, value: object):
    told = check(page, tmp_path / "receipt.json", receipt(chain) | {field: value})
    assert "NOT good" in told, told


def test_a_receipt_with_another_chains_round_is_not_good(page: Chromium, chain: LivingChain, tmp_path: Path):
    altered = receipt(chain)
    altered["beacon"] = altered["beacon"] | {"signature": chain.committee.beacon(8).signature.hex()}
    assert "NOT good" in check(page, tmp_path / "receipt.json", altered)
    page.console()


def test_a_receipt_whose_chain_is_not_served_here_is_neither_good_nor_bad(
    page: Chromium, chain: LivingChain, tmp_path: Path
):
    altered = receipt(chain)
    altered["chain"] = altered["chain"] | {"chain_hash": "ab" * 32}
    told = check(page, tmp_path / "receipt.json", altered)
    assert "Not fully checked" in told
    assert "drand draw --check" in told
    page.console()


def test_who_signed_is_shown_where_it_is_known(page: Chromium, server: InThread):
    page.wait(lambda: page.run("return !document.getElementById('who').hidden"), "the signers")
    assert page.run("return document.querySelectorAll('#signers tbody tr').length") == 5
    relay = server.chains[1].info().hash().hex()
    page.run(
        "const c = document.getElementById('chain'); c.value = arguments[0]; c.dispatchEvent(new Event('change'))",
        relay,
    )
    page.wait(lambda: page.run("return document.getElementById('who').hidden"), "no signers")
    page.console()


def test_nothing_is_asked_of_another_host_and_the_console_is_empty(page: Chromium, server: InThread):
    page.console()
    page.requested()
    page.open("about:blank")
    page.open(server.url + "/")
    page.wait(lambda: shown_round(page) > 0, "a round")
    before = shown_round(page)
    page.wait(lambda: shown_round(page) > before + 1, "two more")
    asked = [url for url in page.requested() if not url.startswith(("about:", "data:"))]
    assert asked
    assert [url for url in asked if not url.startswith(server.url + "/")] == []
    assert page.console() == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_both_themes_can_be_read_on_wide_and_narrow_screens(page: Chromium, chain: LivingChain, theme: str, width: int):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.devtools("Emulation.setDeviceMetricsOverride", screen)
    page.devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    page.wait(lambda: "after it was due" in page.text("#arrival"), "a live round")
    page.type("#wanted", "3")
    page.press("#look button")
    page.wait(lambda: "Round 3 is valid" in page.text("#verdict"), "the verdict")
    page.screenshot(SHOTS / f"page-{theme}-{width}.png")
    assert page.run(CONTRAST) == []
    assert page.run(UNNAMED) == []
    assert page.run("return document.documentElement.scrollWidth") <= width, "it is wider than the screen"
    page.devtools("Emulation.clearDeviceMetricsOverride", {})
    page.devtools("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_can_be_used_with_the_keyboard_alone(page: Chromium):
    seen = []
    for _ in range(30):
        page.devtools(
            "Input.dispatchKeyEvent", {"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        )
        page.devtools(
            "Input.dispatchKeyEvent", {"type": "keyUp", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        )
        seen.append(page.run("return document.activeElement?.id ?? ''"))
    assert {"chain", "theme", "copy", "wanted", "receipt"} <= set(seen)


def test_who_has_the_focus_in_the_table_keeps_it_when_a_round_comes(page: Chromium):
    page.wait(lambda: page.run("return document.querySelectorAll('#recent tbody tr').length >= 8"), "a full table")
    last = page.run(
        "const all = document.querySelectorAll('#recent button'); all[1].focus(); return all[all.length - 1].innerText"
    )
    page.wait(lambda: last not in page.text("#recent"), "a round that pushes the oldest out")
    assert page.run("return document.activeElement.closest('#recent') !== null")


def test_another_chain_chosen_in_haste_shows_nothing_of_the_first(page: Chromium, server: InThread):
    hashes = [one.info().hash().hex() for one in server.chains]
    page.run(
        """
        const choice = document.getElementById("chain");
        for (const hash of arguments[0]) { choice.value = hash; choice.dispatchEvent(new Event("change")); }
        """,
        [hashes[1], hashes[0], hashes[1]],
    )
    page.wait(lambda: page.text("#state") == "live" and shown_round(page), "the second chain")
    shown = page.run("return [...document.querySelectorAll('#recent button')].map((one) => one.innerText)")
    assert len(set(shown)) == len(shown)
    round_ = shown_round(page)
    found = server.chains[1].get(Round(round_))
    assert found is not None
    assert page.run("return document.getElementById('who').hidden")
    assert page.run("return location.hash") == f"#{hashes[1]}"
    page.console()


def test_a_server_that_leaves_is_said_to_be_gone_and_none_of_its_verdicts_is_shown_again(browser: Chromium):
    with InThread() as empty:
        browser.open(empty.url)
        browser.wait(lambda: "no chain yet" in browser.text("#trouble"), "the notice")
        assert not browser.run("return document.getElementById('now').checkVisibility()")
    with InThread(LivingChain()) as server:
        browser.open(server.url)
        look_up(browser, "2", "Round 2 is valid")
    browser.wait(lambda: browser.text("#state") == "reconnecting", "the loss")
    assert "No connection" in browser.text("#next")
    assert "No answer" in look_up(browser, "2", "does not answer")
    browser.console()


def test_without_an_accept_header_for_html_the_root_is_what_v1_has_there(server: InThread):
    import http.client

    for accept, status in (("text/html,*/*", 200), ("*/*", 404), ("application/json", 404)):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", "/", headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == status
        if status == 200:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        else:
            assert body == b"404 page not found\n"

"""Chromium for tests, driven over WebDriver by standard library alone: Debian's chromium and chromium-driver."""

import base64
import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collective.clock import monotonic_s
from tests.support.ports import free_ports

CHROMIUM = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
WHY_NOT = "needs chromium and chromedriver (Debian: chromium, chromium-driver)"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE_S = 30.0


class Chromium:
    """One headless browser with one window; use it with `with`."""

    def __init__(self, profile: Path, *, size: tuple[int, int] = (1280, 1400), dark: bool = False) -> None:
        assert CHROMIUM is not None
        assert DRIVER is not None
        [self._port] = free_ports(1)
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        arguments = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
        arguments += [f"--user-data-dir={profile}", "--window-size={},{}".format(*size), "--no-first-run"]
        arguments += ["--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # which root cannot have
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._until_ready()
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            self.devtools("Emulation.setEmulatedMedia", {"features": features})

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, url: str) -> None:
        """Load a page."""
        self._call("POST", "url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a script's `return`."""
        return self._call("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        """What is to be read in an element."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def type(self, selector: str, text: str) -> None:
        """Type, or choose a file."""
        found = self._call("POST", "element", {"using": "css selector", "value": selector})
        self._call("POST", f"element/{found[ELEMENT]}/value", {"text": text})

    def press(self, selector: str) -> None:
        """Click."""
        found = self._call("POST", "element", {"using": "css selector", "value": selector})
        self._call("POST", f"element/{found[ELEMENT]}/click", {})

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Until `holds` is true; every look asks the browser, which takes its time."""
        deadline = monotonic_s() + PATIENCE_S
        while not holds():
            assert monotonic_s() < deadline, f"waited in vain for {what}\n{self.text('body')[:2000]}"

    def devtools(self, command: str, parameters: dict[str, object]) -> Any:
        """A command of the DevTools protocol."""
        return self._call("POST", "goog/cdp/execute", {"cmd": command, "params": parameters})

    def console(self) -> list[str]:
        """Warnings and errors of the page since the last call."""
        entries = self._call("POST", "se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def requested(self) -> list[str]:
        """Addresses that the page has asked for since the last call."""
        entries = self._call("POST", "se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, path: str, body: dict[str, object]) -> Any:
        return self._ask(method, f"/session/{self._session}/{path}", body)

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        assert answer.status == 200, f"{method} {path}: {value}"
        return value

    def _until_ready(self) -> None:
        deadline = monotonic_s() + PATIENCE_S
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except OSError:
                assert monotonic_s() < deadline, "chromedriver does not start"
                assert self._driver.poll() is None, "chromedriver ended"

"""A headless Chromium that tells what a page logged, asked for, and looks like."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from tests.support.paths import ROOT

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
AXE = ROOT / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
"""Where `.ci/run` puts axe-core: npm install --prefix .axe axe-core"""

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromium-driver are not installed"
)
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install --prefix .axe axe-core")

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One page at a time."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int, *, dark: bool = False, media: str = "", script: bool = True) -> None:
        """Show a local page in a window of that width."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._resize(width, 900)
        self._tell("Emulation.setEmulatedMedia", {"media": media, "features": scheme})
        self._tell("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.logged(), self.requested()  # forget those of the page before
        self.driver.get(page.as_uri())

    def logged(self) -> list[str]:
        """What the page logged since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def requested(self) -> list[str]:
        """The URLs that were asked for since this was last asked, without those of the browser's own start page."""
        log = self.driver.get_log("performance")  # type: ignore[no-untyped-call]
        events = (json.loads(entry["message"])["message"] for entry in log)
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("chrome://", "data:"))]

    def run(self, script: str) -> Any:
        """What a script returns in the page."""
        return self.driver.execute_script(script)

    def axe(self) -> list[str]:
        """What axe-core finds wrong."""
        self.driver.execute_script(AXE.read_text())
        found = self.driver.execute_async_script("axe.run().then(arguments[0])")
        return [
            f"{violation['id']}: {violation['help']}: {node['html']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def screenshot(self, max_height: int) -> bytes:
        """All of the page, or its upper part, as PNG."""
        root = "document.documentElement"
        width, height = self.run(f"return [{root}.clientWidth, {root}.scrollHeight]")
        self._resize(width, min(height, max_height))
        return base64.b64decode(self._tell("Page.captureScreenshot", {})["data"])

    def _resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._tell("Emulation.setDeviceMetricsOverride", metrics)

    def _tell(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(command, arguments)
        return answer


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in that directory."""
    options = Options()
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER or ""))
    try:
        yield Browser(driver)
    finally:
        driver.quit()

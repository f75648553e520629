"""A headless Chromium that tests ask what a page shows, by the DevTools protocol. No test of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1300,1000",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def text(self, address: str, wanted: list[str], seconds: float = 60) -> str:
        """Open the address and return the visible text once it holds all that is wanted, or after so many seconds."""
        return asyncio.run(self._text(address, wanted, seconds))

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression gives on the page that is open."""
        asked = ("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return asyncio.run(self._ask([asked])).get("result", {}).get("value")

    def picture(self, path: Path) -> None:
        """Write what is seen now as a PNG."""
        found = asyncio.run(self._ask([("Page.captureScreenshot", {})]))
        path.write_bytes(base64.b64decode(found["data"]))

    def shown(self, wanted: list[str], seconds: float = 60) -> str:
        """Return the visible text of the page that is open or being opened, as `text` does."""
        return asyncio.run(self._shown(wanted, seconds))

    async def _text(self, address: str, wanted: list[str], seconds: float) -> str:
        await self._ask([("Page.navigate", {"url": address})])
        return await self._shown(wanted, seconds)

    async def _shown(self, wanted: list[str], seconds: float) -> str:
        deadline, text = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            asked = ("Runtime.evaluate", {"expression": "document.body.innerText", "returnByValue": True})
            text = str((await self._ask([asked])).get("result", {}).get("value", ""))
            if all(word in text for word in wanted):
                break
            await asyncio.sleep(0.3)
        return text

    async def _ask(self, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        from websockets.asyncio.client import connect

        answer: dict[str, Any] = {}
        async with connect(self._socket, max_size=2**26) as line:
            for number, (method, params) in enumerate(calls, 1):
                await line.send(json.dumps({"id": number, "method": method, "params": params}))
                while (answer := json.loads(await line.recv())).get("id") != number:
                    pass
        return answer.get("result", {})


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own in the folder."""
    assert CHROMIUM
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file, deadline = folder / "DevToolsActivePort", time.monotonic() + 60
        while not (port_file.exists() and len(port_file.read_text().split()) > 1):
            assert process.poll() is None, "chromium ended at once"
            assert time.monotonic() < deadline, "chromium opened no port within a minute"
            time.sleep(0.1)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as tabs:
            (tab,) = [one for one in json.load(tabs) if one["type"] == "page"]
        yield Page(tab["webSocketDebuggerUrl"])
    finally:
        process.kill()
        process.wait()

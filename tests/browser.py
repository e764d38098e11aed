"""A real browser without a window: Chromium, spoken to by a pipe in the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from tests.waiting import until

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Where Chromium is, or None."""
_WITHIN = 60.0
_IN, _OUT = 3, 4
"""The file numbers from which it reads commands, and to which it writes answers."""


class Browser:
    """One tab of a browser. complaints: console messages and errors of its pages."""

    def __init__(self, width: int = 1200, height: int = 900):
        assert PROGRAM is not None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._commands = os.pipe()
        self._answers, theirs_out = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]  # no page gets anything from outside
        options += [f"--window-size={width},{height}", f"--user-data-dir={self._profile.name}", "--hide-scrollbars"]
        launch = f"""import os, sys
source, sink = os.dup({theirs_in}), os.dup({theirs_out})  # neither is in the way of the other
os.dup2(source, {_IN})
os.dup2(sink, {_OUT})
os.set_inheritable({_IN}, True)
os.set_inheritable({_OUT}, True)
os.execv(sys.argv[1], sys.argv[1:])"""
        self._process = subprocess.Popen(
            [sys.executable, "-c", launch, PROGRAM, *options, "--remote-debugging-pipe", "about:blank"],
            pass_fds=sorted({theirs_in, theirs_out}),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._left = b""
        self._sent, self._session = 0, ""
        self.complaints: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def _ask(self, method: str, **params: Any) -> dict:
        """Send a command and wait for its answer. Messages of the page are recorded meanwhile."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"]))

    def _next(self) -> bytes:
        """The next message that it writes."""
        while b"\0" not in self._left:
            assert select.select([self._answers], [], [], _WITHIN)[0], "the browser does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "the browser has ended"
            self._left += read
        message, _, self._left = self._left.partition(b"\0")
        return message

    def open(self, address: str) -> None:
        """Go to a page and wait until it is there."""
        self._ask("Page.navigate", url=address)
        until(lambda: self.value("document.readyState") == "complete" and self.value("location.href") == address)

    def value(self, expression: str) -> Any:
        """Evaluate a JavaScript expression in the page, and await it if it is a promise. Raises AssertionError."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["result"].get("description")
        return answer["result"].get("value")

    def look_as(self, width: int, height: int, dark: bool) -> None:
        """Show the page in a window of another size, or as for people who prefer dark pages."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """A screenshot of the tab, as PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(30)
        os.close(self._answers)
        os.close(self._commands)
        self._profile.cleanup()

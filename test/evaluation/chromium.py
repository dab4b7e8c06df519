"""A headless Chromium that obeys: key presses, screens of any size, print; DevTools protocol on a pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import pytest

TIMEOUT = 120.0
KEYS = {"Enter": (13, "\r"), "ArrowLeft": (37, ""), "ArrowRight": (39, ""), "Tab": (9, "")}


class Chromium:
    """One browser with one page; use it in a `with` block."""

    def __init__(self, profile):
        self._profile = profile
        self._numbers = itertools.count(1)
        self._received = b""
        self.complaints = []

    def __enter__(self):
        browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if browser is None:
            pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        flags = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --remote-debugging-pipe"
        # The protocol wants the file descriptors 3 and 4.
        words = f'exec "$0" {flags} "--user-data-dir={self._profile}" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", words, browser], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *problem):
        self._process.terminate()
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)

    def call(self, method, **parameters):
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._wait(lambda answer: answer.get("id") == number)["result"]

    def open(self, path, width=1280, height=900):
        """Load a page on a screen of this size and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.complaints.clear()
        self.call("Page.navigate", url=path.as_uri())
        self._wait(lambda answer: answer.get("method") == "Page.loadEventFired")

    def run(self, script):
        """Value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key, times=1):
        """Press a key as a person does: the page cannot tell the difference."""
        code, text = KEYS[key]
        for _ in range(times):
            common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def pdf(self):
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def screenshot(self, whole=False):
        """PNG of the screen, or of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _wait(self, is_it):
        deadline = time.monotonic() + TIMEOUT
        while True:
            while b"\0" in self._received:
                text, _, self._received = self._received.partition(b"\0")
                answer = json.loads(text)
                if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                    self.complaints.append(answer["params"])
                assert "error" not in answer, answer["error"]
                if is_it(answer):
                    return answer
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 16)
            assert data, "the browser has ended"
            self._received += data

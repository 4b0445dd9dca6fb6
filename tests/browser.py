"""Headless Chromium by way of ChromeDriver's HTTP interface, with nothing but the standard library."""

import base64
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

FLAGS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
FLAGS += ["disable-component-update", "disable-sync", "hide-scrollbars"]


def is_installed():
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


class Browser:
    """One tab. `width` in CSS pixels; `dark` as a person sets it for the whole machine."""

    def __init__(self, profile):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(
            line.rpartition("port ")[2].strip(". \n") for line in self.driver.stdout if "successfully on port" in line
        )
        self.url = f"http://127.0.0.1:{port}"
        arguments = [*(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}"]
        options = {"binary": shutil.which("chromium"), "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url += f"/session/{self._post('/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def _post(self, path, **body):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def _tool(self, command, **parameters):
        return self._post("/goog/cdp/execute", cmd=command, params=parameters)

    def open(self, page, *, width=1280, dark=False):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self._tool("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tool("Emulation.setEmulatedMedia", features=[scheme])
        self._post("/url", url=Path(page).resolve().as_uri())

    def run(self, script):
        """What a line of JavaScript returns."""
        return self._post("/execute/sync", script=script, args=[])

    def messages(self):
        """What the console has said since the last call."""
        return [entry["message"] for entry in self._post("/se/log", type="browser")]

    def screenshot(self, path):
        """The whole page."""
        picture = self._tool("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        urllib.request.urlopen(urllib.request.Request(self.url, method="DELETE"), timeout=60).close()
        self.driver.terminate()
        self.driver.wait()

"""Makes the pictures of gallery.md again: runs its commands in order, and takes each picture below the one it shows.

python docs/pictures.py
"""

import io
import os
import pty
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).resolve().parent
OUT = DOCS / "images" / "gallery"
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import Browser, is_installed  # noqa: E402 - it drives Chromium for the tests of reports as well

STEP = re.compile(r"^```\n(.+?)\n```|\]\(images/gallery/(\w+)\.png", re.MULTILINE | re.DOTALL)
"""A command of the page, or a picture."""
COLUMNS = 116
REDRAWN = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)+")
"""What rich writes between two states of a table."""
SCREEN = """<!doctype html><meta charset="utf-8"><body style="margin:0;padding:18px;background:#1b1d21;color:#e4e4e2">
<pre style="margin:0;font:14px/1.2 'DejaVu Sans Mono',monospace">{code}</pre>"""
PAGES = {  # page, width in pixels, dark, and how much of its height
    "report": ("outputs/cartpole/report.html", 1200, False, 1000),
    "study": ("multirun/cartpole/report.html", 1200, False, 1000),
    "study_phone": ("multirun/cartpole/report.html", 400, True, 1100),
}
FILES = {
    "learning_curve": "outputs/cartpole/learning_curve.png",
    "compare": "compare.png",
    "intermediate_values": "multirun/cartpole/intermediate_values.png",
    "optimization_history": "multirun/cartpole/optimization_history.png",
}


def typed(command):
    """Run a command in a terminal, and return what it writes there."""
    output = bytearray()

    def read(terminal):
        output.extend(data := os.read(terminal, 65536))
        return data

    if pty.spawn(["bash", "-ec", command], read):
        sys.exit(f"it failed: {command}")
    return output.decode().replace("\r\n", "\n")


def screen(command, output):
    """The terminal as a page, as it was half-way through the states of its table."""
    before, _, live = output.partition("\x1b[?25l")  # hides the cursor
    tables = REDRAWN.split(live)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {command}\n{before}{tables[len(tables) // 2]}"))
    Path("screen.html").write_text(console.export_html(theme=MONOKAI, code_format=SCREEN, inline_styles=True), "utf-8")


def main():
    """Everything happens in a directory that is removed at the end."""
    if not is_installed():
        sys.exit("error: chromium and chromedriver are not installed; on Debian: apt install chromium chromium-driver")
    os.environ |= {
        "COLUMNS": str(COLUMNS),
        "LINES": "45",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        Path("train.py").symlink_to(DOCS.parent / "train.py")
        browser = Browser(Path(scratch, "profile"))
        for command, name in STEP.findall((DOCS / "gallery.md").read_text("utf-8")):
            if command:
                screen(command, typed(command))
                continue
            if name in FILES:
                picture = Image.open(FILES[name])
            else:
                page, width, dark, height = PAGES.get(name, ("screen.html", 1020, False, 1000))
                browser.open(page, width=width, dark=dark)
                browser.screenshot("page.png")
                end = browser.run("return Math.ceil(document.documentElement.getBoundingClientRect().bottom)")
                picture = Image.open("page.png").crop((0, 0, width, min(height, end)))
            picture.convert("RGB").quantize(128).save(OUT / f"{name}.png", optimize=True)
        browser.close()
        os.chdir(DOCS)


if __name__ == "__main__":
    main()

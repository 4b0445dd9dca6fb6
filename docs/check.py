"""Runs what the pages say, and says what is stale: commands, snippets, files, and samples of what is printed.

    python docs/check.py                       # every page, in 10 to 15 minutes on two cores
    python docs/check.py --page docs/meta.md   # one page; may be repeated
    python docs/check.py -k report             # only blocks that hold this text, and what they need before

Each page has a directory of its own, where its blocks run from top to bottom: files are written, snippets of Python go
on from those before. `pages.py` says how a comment before a block changes what is done with it, `samples.py` when a
sample is stale. Trainings whose output no sample shows are shortened. Names of runs and studies, as
outputs/2026-11-28/20-51-14_ppo_cartpole_seed0, stand for the newest that the page has made. Commands between backticks
are composed, or looked up, and not run. `make` and `pip` are looked up only.
"""

import argparse
import contextlib
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pages
from samples import differences

ROOT = pages.ROOT
LOOKED_UP = ("make", "pip", "tensorboard", "optuna-dashboard")
"""Programs that change the environment or do not end."""
SHORT = "env.max_frame=4000 meta.final_eval=1"
SHORT_SEARCH = "env.max_frame=4000 meta.log_frequency=400 meta.search_scheduler.grace_period=400 meta.max_trial=3"
NAMES = [  # as they stand on pages, and where to look for what the page has made
    (r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d(_\w+)", r"outputs/*/*\1"),
    (r"outputs/\.\.\./run\b", r"outputs/*/*"),
    (r"multirun/(\w+)_[0-9a-f]{6}\b", r"multirun/\1_*"),
]
LIMIT = 600
"""Seconds of one block."""
REDRAWN = re.compile(r"\r\x1b\[2K((?:\x1b\[1A\x1b\[2K)*)")
"""What rich writes between two states of a table."""
ESCAPE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\x1b\].*?(?:\x07|\x1b\\)")


class Page:
    """A page in a directory of its own."""

    def __init__(self, path, directory):
        self.path, self.directory = path, directory
        self.name = path.relative_to(ROOT).as_posix()
        self.program = ""  # snippets so far
        (directory / "train.py").symlink_to(ROOT / "train.py")
        self.own = pages.own_presets(path)

    def check(self, block):
        """What has become of a block: ``ok``, ``stale``, ``failed`` or ``skipped``, and lines that say more."""
        if why := block.note("skip"):
            return "skipped", [why]
        if first := block.note("first"):
            code, printed = self.run(first)
            if code:
                return "failed", [f"before it: {first}", *printed.splitlines()[-5:]]
        return getattr(self, f"_{block.kind}")(block)

    def _file(self, block):
        path = self.directory / pages.FILE.match(block.text)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        return "ok", []

    def _python(self, block):
        if test := pages.TESTED.get(self.name):
            return "skipped", [f"tests/{test}.py runs it"]
        self.program += block.text
        (self.directory / "snippets.py").write_text(self.made(self.program), "utf-8")
        return _ended(*self.run("python snippets.py"))

    def _commands(self, block):
        script, skipped = [], []
        without, _, reason = (block.note("without") or "").partition(", ")
        for command in pages.commands(block.text):
            if without and command.startswith(without):
                skipped.append(f"{command}: {reason}")
            elif pages.program(command) in LOOKED_UP:
                if wrong := pages.complaint(command, self.own):
                    return "failed", [wrong]
                skipped.append(f"{command}: looked up only")
            else:
                whole = block.note("whole") is not None
                script.append(command if whole else shortened(command, block.note("with")))
        if not script:
            return "skipped", skipped
        state, lines = _ended(*self.run("\n".join(script)))
        return state, lines or skipped

    def _session(self, block):
        for command, sample in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            state, lines = self._compared(block, command, sample)
            if state != "ok":
                return state, lines
        return "ok", []

    def _output(self, block):
        return self._compared(block, block.note("prints"), block.text)

    def _unknown(self, _):
        return "failed", ["neither commands nor a file: say in a comment what prints it, or skip it (docs/pages.py)"]

    def _compared(self, block, command, sample):
        shape = block.note("shape") is not None
        words = block.note("with")
        code, printed = self.run(f"{command} {words}" if words else command, every_state=shape)
        refused = re.search(r"^error: ", sample, re.MULTILINE)
        if bool(code) != bool(refused):
            return "failed", [f"exit code {code}", *printed.splitlines()[-8:]]
        machine = (block.note("machine") or "").split()
        diff = differences(sample, printed, shape=shape, machine=machine)
        return ("stale" if diff else "ok"), diff[:20]

    def run(self, script, *, every_state=False):
        """Run a script of bash in a terminal; its exit code, and what the terminal shows."""
        terminal, inner = pty.openpty()
        run = subprocess.Popen(
            ["timeout", str(LIMIT), "bash", "-ec", self.made(script)],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=inner,
            stderr=inner,
            env=environment(self.directory),
        )
        os.close(inner)
        output = bytearray()
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(terminal, 65536):
                output.extend(data)
        os.close(terminal)
        text = output.decode(errors="replace").replace("\r\n", "\n")
        return run.wait(), shown(text, every_state=every_state).replace(f"{self.directory}/", "")

    def made(self, text):
        """The text with what the page has made in the place of the names that stand on it."""
        for name, pattern in NAMES:
            text = re.sub(name, lambda found, pattern=pattern: self._newest(found, pattern), text)
        return text

    def _newest(self, found, pattern):
        there = sorted(self.directory.glob(found.expand(pattern)), key=lambda path: path.stat().st_mtime)
        return there[-1].relative_to(self.directory).as_posix() if there else found[0]

    def results(self, text):
        """Check the blocks up to the last that holds the text, and code between backticks that does."""
        blocks = [*pages.blocks(self.path)]
        while blocks and text not in blocks[-1].text:
            blocks.pop()
        for block in blocks:
            yield block.line, block.text.split("\n", 1)[0], *self.check(block)
        for line, command in pages.inline(self.path):
            if text in command:
                yield line, command, *self.look_up(command)

    def look_up(self, command):
        """What has become of a command between backticks."""
        if wrong := pages.complaint(command, self.own):
            return "failed", [wrong]
        trains = re.match(r"([A-Z_]+=\S+ )*(python train\.py|rllab-train) ", command)
        if trains and not pages.PLACEHOLDER.search(command) and "-m" not in command.split():
            return _ended(*self.run(f"{command} --cfg job"))
        return "ok", []


def environment(directory):
    """That of the user, with this checkout and this Python first."""
    own = {
        "COLUMNS": "120",
        "LINES": "50",
        "TERM": "xterm",
        "XDG_DATA_HOME": str(directory / ".data"),
        "MPLBACKEND": "agg",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | own | {"PATH": path, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


def shortened(command, words):
    """A command with a smaller budget, where it trains."""
    trains = re.match(r"(python (\S*/)?train\.py|rllab-train) ", command)
    if not trains or "meta.resume=" in command or re.search(r" (--help|--cfg|-sc)\b", command):
        return command
    searches = re.search(r" -m .*(search=|meta=asha|meta=median|max_trial=)", command)
    return f"{command} {words or (SHORT_SEARCH if searches else SHORT)}"


def shown(text, *, every_state):
    """Text without escapes of the terminal: what is left at the end, or each state of a table after the other."""
    lines = [""]
    for position, part in enumerate(REDRAWN.split(text)):
        if position % 2 == 0:
            first, *others = part.split("\n")
            lines[-1] += first
            lines += others
        elif every_state:
            lines.append("")
        else:
            del lines[len(lines) - 1 - part.count("\x1b[1A") :]
            lines.append("")
    return ESCAPE.sub("", "\n".join(lines)).replace("\r", "")


def _ended(code, printed):
    if not code:
        return "ok", []
    return "failed", ["it took too long" if code == 124 else f"exit code {code}", *printed.splitlines()[-8:]]


def main():
    """Check the pages that are chosen; the exit code is 1 where one is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="append", type=Path, help="only this page; may be repeated")
    parser.add_argument("-k", metavar="TEXT", default="", help="end each page with the last block that holds this text")
    chosen = parser.parse_args()
    states, began = Counter(), time.monotonic()
    for path in [page.resolve() for page in chosen.page or pages.pages()]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            page, before = Page(path, Path(directory).resolve()), time.monotonic()
            for line, text, state, lines in page.results(chosen.k):
                now = time.monotonic()
                print(f"{state:8} {now - before:5.1f} s  {page.name}:{line}  {text[:80]}", flush=True)
                before = now
                states[state] += 1
                for each in lines:
                    print(f"                  {each}")
    seconds = time.monotonic() - began
    print(
        ", ".join(f"{states[state]} {state}" for state in ("ok", "skipped", "stale", "failed")), f"in {seconds:.0f} s"
    )
    sys.exit(bool(states["stale"] or states["failed"]))


if __name__ == "__main__":
    main()

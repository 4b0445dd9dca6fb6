"""An objective that trains nothing, searched through rllab's own command line: python toy.py -m meta.max_trial=8 ...

Each trial reports `x` times the share of the budget that is done, on each log checkpoint; what else it does, its
fields say. TOY_SECONDS makes trials longer or shorter than their config says, so that one search can be both, and
TOY_NO_PICTURES makes searches shorter.
"""

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

os.environ["HYDRA_FULL_ERROR"] = "1"  # as rllab.command.train does: it prints errors itself

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from rllab import config, search
from rllab.command.train import bad_input_refused
from rllab.config.loading import structured


class Presets(SearchPathPlugin):
    """Finds rllab's own presets, as train.py does."""

    def manipulate_search_path(self, search_path):
        search_path.append("rllab", f"file://{config.conf_dir()}")


Plugins.instance().register(Presets)
ConfigStore.instance().store(name="schema", node=structured(config.RunConfig), replace=True)


@hydra.main(config_path=str(Path(__file__).parent), config_name="config")
def main(cfg):
    agent = cfg.agent
    directory = Path(HydraConfig.get().runtime.output_dir)
    held = search.attach()
    if held is None:
        sys.stdout.write(f"one run: x={agent.x}\n")
        return agent.x
    note(directory / "starts", os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), cfg.meta.num_threads)
    sys.stdout.write(f"trial {HydraConfig.get().job.num}: x={agent.x}\n")
    (directory / "checkpoints").mkdir(exist_ok=True)
    (directory / "checkpoints" / "model").touch()
    if agent.child:  # as an env in a process of its own
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    seconds = float(os.environ.get("TOY_SECONDS", agent.seconds))
    last = directory / "frame"
    frame = int(last.read_text()) if last.exists() else 0  # as a checkpoint would
    while frame < cfg.env.max_frame:
        time.sleep(seconds * cfg.meta.log_frequency / cfg.env.max_frame)
        frame += cfg.meta.log_frequency
        if frame == agent.at:
            trouble(agent.trouble)
        save(last, str(frame))
        if held.report(frame, agent.x * frame / cfg.env.max_frame, last=frame >= cfg.env.max_frame):
            break
    held.finish(float("nan") if agent.trouble == "diverge" else agent.x, frame)
    note(directory / "ends", os.getpid())
    return agent.x


def no_pictures():
    """They take as long as a small search, and so does importing what draws them."""
    sys.modules["rllab.search.plots"] = types.SimpleNamespace(write_plots=lambda *_: [])


def note(path, *words):
    """Add a line in one write: whoever is killed leaves a whole line or none."""
    with path.open("ab", buffering=0) as file:
        file.write((" ".join(map(str, (*words, time.time()))) + "\n").encode())


def save(path, text):
    whole = path.with_suffix(".new")
    whole.write_text(text)
    whole.replace(path)


def trouble(kind):
    if kind == "crash":
        raise ZeroDivisionError("as asked")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "memory":
        bytearray(1 << 60)


if __name__ == "__main__":
    if "TOY_NO_PICTURES" in os.environ and "-m" in sys.argv:
        no_pictures()
    with bad_input_refused():
        main()

"""The config of a run: its schema, how it is loaded and saved, and one line for what is wrong with it."""

from rllab.config.explain import explain
from rllab.config.loading import complete, load, load_file, own_presets, register, save
from rllab.config.schema import Backend, EnvConfig, MetaConfig, RunConfig, SearchResources, SearchScheduler
from rllab.files import conf_dir

__all__ = ["Backend", "EnvConfig", "MetaConfig", "RunConfig", "SearchResources", "SearchScheduler"]
__all__ += ["complete", "conf_dir", "explain", "load", "load_file", "own_presets", "register", "save"]

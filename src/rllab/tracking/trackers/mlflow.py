"""MLflow: one run there for each trial, on a server or in a database file."""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from rllab.tracking.trackers.contract import RunTracker, means_first, need

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rllab.tracking.trackers.contract import Outcome, Scalars, TrackedRun

_MOST_METRICS, _MOST_PARAMS, _LONGEST = 1000, 100, 6000
"""What MLflow takes in one call, and characters of a param."""
_RETRIES = "4"
"""Times that a server which does not answer is asked again, over a minute or so."""
_AT_FIRST = 10.0
"""Seconds that a server has to let itself be connected to when a run begins."""
_OTHERS = 100.0
"""Seconds that a trial waits for others that make the tables of a new database."""
_STATUS = {"complete": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class MlflowConfig:
    """Settings of MLflow."""

    name: str = "mlflow"
    """The tracker."""
    uri: str | None = None
    """Where runs are kept: http://host:5000, or sqlite:///mlflow.db. null is MLFLOW_TRACKING_URI, or MLflow's own
    default."""
    experiment: str = "rllab"
    """Experiment there."""


class Mlflow(RunTracker):
    """Metrics at the top are means over sessions; those of a session begin with ``session_0/``. A step is a frame."""

    Config = MlflowConfig

    @classmethod
    def check(cls, config: MlflowConfig) -> None:  # noqa: ARG003
        need("mlflow", tracker="mlflow")

    def __init__(self, config: MlflowConfig, run: TrackedRun) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        import mlflow  # noqa: PLC0415 - an extra

        super().__init__(config, run)
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        uri = config.uri or mlflow.get_tracking_uri()
        if (server := urlsplit(uri)).scheme in ("http", "https"):  # one that is not there is known at once
            port = server.port or (443 if server.scheme == "https" else 80)
            socket.create_connection((str(server.hostname), port), timeout=_AT_FIRST).close()
        database = uri.removeprefix("sqlite:///")
        # trials that begin side by side would all make the tables
        with nullcontext() if database == uri else FileLock(f"{database}.lock", timeout=_OTHERS):
            self.client = mlflow.MlflowClient(tracking_uri=uri)
            self.id = run.id or self._begin(config.experiment, run)
        run.remember(self.id)
        self.client.update_run(self.id, "RUNNING")
        self.frame = int(self.client.get_run(self.id).data.metrics.get("frame", 0))

    def _begin(self, experiment: str, run: TrackedRun) -> str:
        from mlflow.entities import Param  # noqa: PLC0415 - an extra
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with suppress(MlflowException):  # it is there
            self.client.create_experiment(experiment)
        experiment_id = self.client.get_experiment_by_name(experiment).experiment_id
        begun = self.client.create_run(experiment_id, run_name=run.name, tags={"group": run.group}).info.run_id
        params = [Param(name, str(value)[:_LONGEST]) for name, value in run.config.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self.client.log_batch(begun, params=params[start : start + _MOST_PARAMS])
        return str(begun)

    def scalars(self, frame: int, rows: Scalars) -> None:
        self._log(means_first(rows) | {"frame": frame}, frame)  # the last one: whoever goes on sees that all are there

    def text(self, tag: str, text: str, frame: int) -> None:
        self.client.log_text(self.id, text, f"{tag}_{frame}.txt")

    def picture(self, tag: str, path: Path, frame: int) -> None:  # noqa: ARG002
        self.client.log_artifact(self.id, str(path), tag)

    def video(self, tag: str, path: Path, frame: int) -> None:  # noqa: ARG002
        self.client.log_artifact(self.id, str(path), tag)

    def model(self, path: Path) -> None:
        self.client.log_artifact(self.id, str(path), "model")

    def scores(self, scores: Mapping[str, float], frame: int) -> None:
        self._log({f"score/{name}": value for name, value in scores.items()}, frame)

    def close(self, outcome: Outcome) -> None:
        self.client.set_terminated(self.id, _STATUS[outcome])

    def _log(self, values: Mapping[str, float], frame: int) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 - an extra

        now = int(time.time() * 1000)
        metrics: list[Any] = [Metric(tag, value, now, frame) for tag, value in values.items()]
        for start in range(0, len(metrics), _MOST_METRICS):
            self.client.log_batch(self.id, metrics=metrics[start : start + _MOST_METRICS])

"""Trials and finals on a Ray cluster: asked for and told here, trained there; their files come home after every epoch."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Any

from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.place import open_place
from sfg_nas.study.progress import Progress, ProgressCallback
from sfg_nas.study.ray_elsewhere import Cluster, Elsewhere
from sfg_nas.study.references import References
from sfg_nas.study.workers import Errand, Runners, work


def run_on_ray(
    errand: Errand, cluster: Cluster, references: References, progress: ProgressCallback
) -> None:
    """Run a search, or its finals, on a Ray cluster until all is done.

    Args:
        errand: What is searched; its device is that of the cluster's nodes.
        cluster: Where and with what.
        references: What Δ is measured against.
        progress: Called with each report.

    Raises:
        ConfigError: If Ray is not installed or the cluster cannot be reached.
        TrainingError: If a thread that speaks for the cluster fails.
    """
    stream = random.getstate()  # Ray draws from Python's global stream
    ray = _begin(cluster)
    try:
        shared = ray.put((errand.study, references))
        threads = [
            _Speaker(errand, cluster, progress, ray, shared)
            for _ in range(_at_once(ray, cluster, errand.total))
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.2)  # short, so that Ctrl-C is heard
        for thread in threads:
            if thread.error is not None:
                raise thread.error
    finally:
        ray.shutdown()
        random.setstate(stream)


def _begin(cluster: Cluster) -> Any:  # noqa: ANN401 (an optional package, imported late)
    try:
        import ray
    except ImportError as error:
        rule, do = "a Ray cluster needs the package ray", "pip install 'sfg_nas[distributed]'"
        message = explain(where="--ray", rule=rule, found="it is not installed", do=do)
        raise ConfigError(message) from error
    local = cluster.address == "local"
    try:
        ray.init(
            address="local" if local else cluster.address,
            include_dashboard=False if local else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            ignore_reinit_error=True,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        rule, do = "the Ray cluster must be reachable", "check the address, or start one"
        found = str(error).splitlines()[0]
        raise ConfigError(explain(where="--ray", rule=rule, found=found, do=do)) from error
    return ray


def _at_once(ray: Any, cluster: Cluster, total: int) -> int:  # noqa: ANN401
    if cluster.trials is not None:
        return min(cluster.trials, total)
    there = ray.cluster_resources()
    room = int(there.get("CPU", 1) // max(cluster.cpus, 1e-9))
    if cluster.gpus > 0:
        room = min(room, int(there.get("GPU", 0) // cluster.gpus))
    if room < 1:
        rule = "the cluster must have room for one trial"
        found = f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs"
        do = "ask for less per trial"
        raise ConfigError(explain(where="--ray", rule=rule, found=found, do=do))
    return min(room, total)


class _Speaker(threading.Thread):
    """Speaks for one trial at a time that runs somewhere in the cluster."""

    def __init__(
        self,
        errand: Errand,
        cluster: Cluster,
        progress: Callable[[Progress], None],
        ray: Any,  # noqa: ANN401
        shared: object,
    ) -> None:
        super().__init__(daemon=True)
        self.errand, self.progress = errand, progress
        device = "cuda" if cluster.gpus > 0 else errand.device
        self.elsewhere = Elsewhere(ray, cluster, shared, device)
        self.error: Exception | None = None

    def run(self) -> None:
        errand = self.errand
        try:
            with open_place(errand.study, errand.runs, errand.storage) as place:
                runners = Runners(self.elsewhere.trial, self.elsewhere.final)
                work(errand, place, self.progress, runners)
        except Exception as error:  # noqa: BLE001 (raised again where the threads are joined)
            self.error = error

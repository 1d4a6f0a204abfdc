"""Writes one run of Weights & Biases: the whole life of a process that `WandbHook` starts.

Asked by JSON on its standard input; the last line of its standard output is JSON with the run's `url` and the `failure`.
"""

import json
import sys
from pathlib import Path
from typing import Any

NOTHING_OF_ITS_OWN: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": "",
    "label_disable": True,
    "save_code": False,
    "silent": True,
    "symlink": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_viewer": True,
    "x_save_requirements": False,
}
"""W&B would look for the code, the machine, the installed packages and what was printed, and send them along."""


def main() -> None:
    """Writes the run that is asked for."""
    asked = json.load(sys.stdin)
    url, failure = None, ""
    try:
        url = write(asked["candidate"], asked["place"], asked["settings"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the task goes on and tells it
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
    sys.stdout.write(f"\n{json.dumps({'url': url, 'failure': failure})}\n")


def write(candidate: dict[str, Any], place: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """Writes a candidate as a finished run.

    Args:
        candidate: `id`, `name`, `model`, `config`, `summary` (metrics by name), `folds` (a list of metrics by name),
            `pictures` and `files` (paths).
        place: `entity` and `project`.
        settings: Of `wandb.Settings`.

    Returns:
        The run's address; `None` offline.
    """
    import wandb

    run = wandb.init(
        **place,
        id=candidate["id"],
        name=candidate["name"],
        group=candidate["model"],
        job_type="candidate",
        config=candidate["config"],
        settings=wandb.Settings(**NOTHING_OF_ITS_OWN, **settings),
    )
    run.define_metric("fold/*", step_metric="fold")
    # each row has its step, so that a resumed run takes no row twice
    for fold, metrics in enumerate(candidate["folds"]):
        run.log({"fold": fold, **{f"fold/{name}": value for name, value in metrics.items()}}, step=fold)
    pictures = {f"plots/{Path(path).stem}": wandb.Image(path) for path in candidate["pictures"]}
    run.log(pictures, step=len(candidate["folds"]))
    run.summary.update(candidate["summary"])
    artifact = wandb.Artifact(f"{candidate['model']}-candidate", type="model")
    for path in candidate["files"]:
        artifact.add_file(path)
    run.log_artifact(artifact)
    url = None if settings["mode"] == "offline" else run.url
    run.finish()
    return url


if __name__ == "__main__":
    main()

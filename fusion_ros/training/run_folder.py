"""What every training leaves on disk: its settings, its latest state, its log; and how it is asked to stop.

A state appears whole or not at all, and belongs to the settings it was made with.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fusion_ros.errors import InputError, JobError

CHECKPOINT_NAME = "checkpoint.pt"


def claim_folder(out: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """Make the folder of a run and note its settings in `config.json`; that of a run to continue stays as it is.

    Raises:
        InputError: where it holds a run and `resume` is not given.
    """
    if (out / CHECKPOINT_NAME).exists() and not resume:
        raise InputError(f"{out}: holds a training run; continue it with --resume or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    # Where there is a state, whether the settings fit it is not known yet: `write_state` notes those it was made with.
    if not (out / CHECKPOINT_NAME).exists():
        _note_settings(out, settings)


def _note_settings(out: Path, settings: Mapping[str, Any]) -> None:
    (out / "config.json").write_text(json.dumps(dict(settings), indent=2, sort_keys=True) + "\n")


def write_state(out: Path, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a state in place of the one before it; `state["step"]` names it in errors.

    Raises:
        JobError: where it cannot be written; the one before it is whole.
    """
    target = out / CHECKPOINT_NAME
    temporary = target.with_suffix(f".{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            torch.save({**state, "settings": json.dumps(dict(settings), sort_keys=True)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _note_settings(out, settings)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its zip writer.
        raise JobError(
            f"{target}: cannot be written at step {state['step']} ({error}); the checkpoint before it is whole: "
            "make room and continue with --resume"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_state(
    out: Path, settings: Mapping[str, Any], changeable: Collection[str], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Read the state of a run that is to go on with `settings`.

    Args:
        out: the run's folder.
        settings: of the run that goes on.
        changeable: names of settings that may differ from those of the state.
        defaults: what a setting counts as that is newer than the state.

    Raises:
        InputError: where the file is damaged, or was made with other settings.
    """
    path = out / CHECKPOINT_NAME
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved = json.loads(state["settings"])
    except Exception as error:
        # torch.load raises many kinds of errors for a damaged file.
        raise InputError(f"{path}: cannot be read as a checkpoint of a training run: {error}") from error
    before, now = {**defaults, **saved}, {**defaults, **settings}
    changed = sorted(key for key in before | now if _plain(before.get(key)) != _plain(now.get(key)))
    if changed := [key for key in changed if key not in changeable]:
        raise InputError(f"{path}: was made with another {', '.join(changed)}; resume with the same settings")
    return state


def _plain(value: Any) -> Any:
    # JSON has no tuples.
    return list(value) if isinstance(value, tuple) else value


@contextlib.contextmanager
def on_stop_signal(request_stop: Callable[[], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a request to stop after the step in progress."""

    def handle(_number: int, _frame: Any) -> None:
        request_stop()

    wanted = (signal.SIGINT, signal.SIGTERM)
    try:
        previous = {number: signal.signal(number, handle) for number in wanted}
    except ValueError:
        # Only the main thread may set handlers; elsewhere the owner of the thread stops us.
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def tensorboard_log(out: Path, step: int, wanted: bool = True) -> Iterator[Any]:
    """A TensorBoard writer for the run in `out` from `step` on; None where it is not `wanted`."""
    if not wanted:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    # Entries of steps that a checkpoint has not kept are dropped from the log when those steps are done again.
    with SummaryWriter(str(out / "tensorboard"), purge_step=step or None) as writer:
        yield writer


def write_scalars(log: Any, group: str, values: Mapping[str, float], step: int) -> None:
    """Write `values` as `group/name`; nothing where `log` is None."""
    if log is not None:
        for name, value in values.items():
            log.add_scalar(f"{group}/{name}", value, step)

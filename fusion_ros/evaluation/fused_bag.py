"""The fused images as a recording beside the report: what the nodes would have published, for RViz and Foxglove.

It is written as the frames go by and never held in memory. An interrupted run leaves a part, the resumed one writes the
next, and at the end the parts become one file. A frame counts as done only where it is in the rows and in a part.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.writer import BagWriter
from fusion_ros.errors import InputError
from fusion_ros.evaluation.contenders import BASELINES, Fused
from fusion_ros.evaluation.perception import Answers
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame

JPEG, RAW, NONE = "jpeg", "raw", "none"
PARTS = "fused.parts"
_FILE, _MERGED = "fused", "fused.merging"
# The name of the frame, behind everything else of it: where it is, the rest is.
KEYS = "/evaluation/frame"
_ALONE = "_"


class FusedBag:
    """Appends to the recording of the fused images, a part of its own for each run; use it in a `with` block.

    Args:
        folder: of the run.
        modes: labels of the modes; baselines are left out.
        kind: `jpeg` (sensor_msgs/CompressedImage) or `raw` (sensor_msgs/Image).
    """

    def __init__(self, folder: Path, modes: Sequence[str], kind: str) -> None:
        self._folder = folder / PARTS
        self._kind = kind
        self._spaces = namespaces([mode for mode in modes if mode not in BASELINES])
        self._bag: BagWriter | None = None
        self._recording = ""
        self._mode_said: dict[str, str] = {}

    def __enter__(self) -> FusedBag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(
        self,
        key: str,
        seconds: float,
        recording: str,
        made: Sequence[Fused],
        answers: Answers,
    ) -> None:
        """Write one frame.

        Args:
            key: of the frame.
            seconds: its time, which stands for the stamp of pictures that have none.
            recording: name of its recording among several.
            made: what every mode made of it.
            answers: what detector and segmenter found on it.
        """
        bag = self._part_of(recording)
        stamp_ns = made[0].frame.stamp_ns or round(seconds * NANOSECONDS_PER_SECOND)
        for one in made:
            space = self._spaces.get(one.label)
            if space is None:
                continue
            frame = Frame(one.frame.image, stamp_ns, one.frame.frame_id)
            if self._kind == JPEG:
                bag.write_compressed_image(f"{space}/fusion/image/compressed", frame)
            else:
                bag.write_image(f"{space}/fusion/image", frame)
            if self._mode_said.get(space) != one.frame.mode:
                bag.write_string(f"{space}/fusion/mode", one.frame.mode, stamp_ns)
                self._mode_said[space] = one.frame.mode
            if one.label in answers.boxes:
                bag.write_detections(f"{space}/detections", answers.boxes[one.label], stamp_ns, frame.frame_id)
            if one.label in answers.masks:
                bag.write_mask(f"{space}/segmentation/mask", answers.masks[one.label], stamp_ns, frame.frame_id)
        bag.write_string(KEYS, key, stamp_ns)

    def _part_of(self, recording: str) -> BagWriter:
        if self._bag is None or recording != self._recording:
            self._close()
            folder = part_folder(self._folder.parent, recording)
            folder.mkdir(parents=True, exist_ok=True)
            self._bag = BagWriter(folder / f"{len(list(folder.iterdir())):04d}").__enter__()
            self._recording = recording
        return self._bag

    def _close(self) -> None:
        bag, self._bag = self._bag, None
        self._mode_said = {}
        if bag is not None:
            # Also after an error: what is there counts.
            bag.__exit__(None, None, None)


def part_folder(folder: Path, recording: str) -> Path:
    """Where the parts of a recording lie in the folder of a run."""
    return folder / PARTS / (recording or _ALONE)


def namespaces(modes: Sequence[str]) -> dict[str, str]:
    """Namespace of the topics of each mode: its label with what a topic may not hold replaced."""
    spaces: dict[str, str] = {}
    for mode in modes:
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in mode).strip("_")
        plain = plain if plain[:1].isalpha() else f"mode_{plain}"
        space = f"/{plain}"
        while space in spaces.values():
            space += "_"
        spaces[mode] = space
    return spaces


def keys_in_parts(folder: Path) -> set[str]:
    """Keys of the frames that the parts of an interrupted run hold."""
    return {key for parts in _parts(folder).values() for part in parts for key in _keys(part)}


def put_together(folder: Path) -> list[Path]:
    """Make one file of each recording's parts: `fused.mcap`, or `fused_<recording>.mcap` where there are several.

    Returns:
        The files.

    Raises:
        InputError: a part cannot be read at all.
    """
    made = []
    for name, parts in _parts(folder).items():
        target = folder / (f"{_FILE}.mcap" if name == _ALONE else f"{_FILE}_{name}.mcap")
        if len(parts) == 1 and (parts[0] / "metadata.yaml").is_file():
            next(parts[0].glob("*.mcap")).replace(target)
        else:
            _copy(parts, folder / _MERGED)
            next((folder / _MERGED).glob("*.mcap")).replace(target)
            shutil.rmtree(folder / _MERGED)
        made.append(target)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return made


def files_of(folder: Path) -> list[Path]:
    """The recordings that `put_together` has made."""
    return sorted((*folder.glob(f"{_FILE}.mcap"), *folder.glob(f"{_FILE}_*.mcap")))


def remove(folder: Path) -> None:
    """Remove recordings and parts of an earlier run."""
    for path in files_of(folder):
        path.unlink()
    for name in (PARTS, _MERGED):
        shutil.rmtree(folder / name, ignore_errors=True)


def _parts(folder: Path) -> dict[str, list[Path]]:
    groups = sorted(path for path in (folder / PARTS).glob("*") if path.is_dir())
    return {group.name: sorted(group.iterdir()) for group in groups}


def _keys(part: Path) -> list[str]:
    try:
        with open_bag(part) as bag:
            if KEYS not in bag.topics:
                return []
            return [str(bag.decode(message).data) for message in bag.messages([KEYS])]
    except InputError:
        return []


def _copy(parts: Sequence[Path], target: Path) -> None:
    """Copy message by message; where a part goes further than the rows did, the next one begins before its end."""
    shutil.rmtree(target, ignore_errors=True)
    readable = [part for part in parts if _keys(part)]
    with BagWriter(target) as merged:
        for index, part in enumerate(readable):
            stop_ns = None
            if index + 1 < len(readable):
                with open_bag(readable[index + 1]) as following:
                    stop_ns = following.start_ns
            with open_bag(part) as bag:
                for message in bag.messages(None, None, stop_ns):
                    merged.write_raw(message.topic, message.msgtype, message.data, message.stamp_ns)

"""Finished shards on the disk, from which an interrupted run goes on and a finished one is put together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from fusion_ros.evaluation.scoring_pass import Unscored
from fusion_ros.evaluation.shard_worker import ShardResult
from fusion_ros.evaluation.survey import Shard, Survey, mark_of

SHARDS = "shards"
_ROWS, _PERCEPTION, _PICTURES, _FACTS = "frames.csv", "perception.jsonl", "pictures", "shard.json"


class ShardStore:
    """A folder with a folder for each finished shard; one that is there is whole.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, shard: Shard, survey: Survey) -> bool:
        """Whether a shard is finished, of the recording as it is now."""
        try:
            facts = json.loads((self._folder / shard.name / _FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(facts["mark"] == mark_of(shard, survey))

    def keep(self, shard: Shard, survey: Survey, result: ShardResult) -> None:
        """Write a shard down."""
        partial = self._folder / f"{shard.name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / _PICTURES).mkdir(parents=True)
        (partial / _ROWS).write_bytes(result.rows)
        (partial / _PERCEPTION).write_bytes(result.perception)
        for name, data in result.pictures.items():
            (partial / _PICTURES / name).write_bytes(data)
        facts = {
            "mark": mark_of(shard, survey),
            "unreadable": result.unscored.unreadable,
            "without_thermal": result.unscored.without_thermal,
            "lost": list(result.lost),
        }
        (partial / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        shutil.rmtree(self._folder / shard.name, ignore_errors=True)
        partial.replace(self._folder / shard.name)

    def put_together(self, shards: Sequence[Shard], rows: Path, perception: Path, pictures: Path) -> Unscored:
        """Join finished shards in their order.

        Args:
            shards: which.
            rows: file to append their rows to; it has its header.
            perception: file to write their lines to; none where there is nothing to write.
            pictures: folder to copy their pictures to.

        Returns:
            The pairs that none of them has scores for.
        """
        unscored = Unscored()
        lines = b""
        with rows.open("ab") as file:
            for shard in shards:
                folder = self._folder / shard.name
                _, _, own = (folder / _ROWS).read_bytes().partition(b"\n")
                file.write(own)
                lines += (folder / _PERCEPTION).read_bytes()
                facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
                unscored.add(Unscored(facts["unreadable"], facts["without_thermal"]))
                for picture in (folder / _PICTURES).iterdir():
                    pictures.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(picture, pictures / picture.name)
        if lines:
            perception.write_bytes(lines)
        return unscored

    def lost(self, shard: Shard) -> list[str]:
        """What could not be read while the shard was scored."""
        return list(json.loads((self._folder / shard.name / _FACTS).read_text(encoding="utf-8"))["lost"])

    def remove(self) -> None:
        """Remove all shards."""
        shutil.rmtree(self._folder, ignore_errors=True)

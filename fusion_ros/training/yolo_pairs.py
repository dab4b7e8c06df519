"""What the detector's and the segmenter's trainer add to ultralytics' alike: data from memory, one memory layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model


class PairTrainer(BaseTrainer):
    """Mixed into one of ultralytics' trainers; give the data with `with_pairs` before calling."""

    pairs: dict[str, list[Any]]
    class_names: tuple[str, ...]
    image_size: int
    threads: int
    data_options: dict[str, Any]

    @classmethod
    def with_pairs(cls, **bound: Any) -> type[PairTrainer]:
        """Return a trainer class that is bound to its data: ultralytics makes the instance itself.

        Args:
            bound: `pairs` by part (`training`, `validation`), `class_names`, `image_size`, `threads`, and
                `data_options`: what the data set wants to know besides.
        """
        return type(cls.__name__, (cls,), bound)

    def get_dataset(self) -> dict[str, Any]:
        """Describe the data in ultralytics' terms."""
        return {
            "train": "training",
            "val": "validation",
            "names": dict(enumerate(self.class_names)),
            "nc": len(self.class_names),
            "channels": 3,
            "masks_dir": "masks",
            "pairs": self.pairs,
            "seed": self.args.seed,
            **self.data_options,
        }

    @property
    def largest_stride(self) -> int:
        """Side of the network's coarsest cell, pixels."""
        return max(int(unwrap_model(self.model).stride.max()), 32)

    def _setup_train(self) -> None:
        super()._setup_train()
        # ultralytics sets the number of threads itself when it selects the CPU.
        torch.set_num_threads(self.threads)
        # A third faster than the default layout with oneDNN; ultralytics offers it on CUDA only.
        self.model = self.model.to(memory_format=torch.channels_last)
        self.add_callback("on_train_epoch_start", _draw_for_epoch)

    def final_eval(self) -> None:
        """Strip the optimizer from the last checkpoint; our own scores judge it, by input."""
        strip_optimizer(self.last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device as ultralytics does, in the model's memory layout."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].to(memory_format=torch.channels_last)
        return batch


def _draw_for_epoch(trainer: Any) -> None:
    # A generator that began anew with every start would show a resumed training the crops of its first epoch again.
    trainer.train_loader.dataset.random = np.random.default_rng((trainer.args.seed, trainer.epoch))

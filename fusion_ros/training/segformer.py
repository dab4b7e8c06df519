"""Trains SegFormer (Xie et al., NeurIPS 2021) as the transformers library has it (Apache-2.0), from random weights.

The library is optional: `pip install transformers`. What leaves here is an ONNX file with the interface of ultralytics'
semantic networks (`images` in, class ids out), so that `Segmenter` and the nodes run either alike.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusion_ros.errors import InputError, JobError
from fusion_ros.training.data.box_masks import IGNORED
from fusion_ros.training.mask_views import draw_masked_view
from fusion_ros.training.yolo_export import store_in_half

if TYPE_CHECKING:
    from fusion_ros.training.segmenter import Config, MaskedSet

WEIGHTS_NAME = "segmenter.onnx"
CHECKPOINT_NAME = "checkpoint.pt"
# Hidden sizes, depths and the decoder's width of the paper's Table 6.
_SIZES = {
    "segformer-b0": ((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "segformer-b1": ((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "segformer-b2": ((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "segformer-b3": ((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "segformer-b4": ((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "segformer-b5": ((64, 128, 320, 512), (3, 6, 40, 3), 768),
}
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STRIDE = 32
_OPSET = 17
_CHECKPOINT_EVERY = 60.0  # seconds


class SegFormer(nn.Module):
    """SegFormer on pictures in [0, 1], with logits at the picture's own size.

    Args:
        name: `segformer-b0` to `segformer-b5`.
        classes: number of classes.

    Raises:
        InputError: the name is not known, or the transformers library is not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        if name not in _SIZES:
            raise InputError(f"network: '{name}' is not one of {', '.join(_SIZES)}")
        try:
            from transformers import SegformerConfig, SegformerForSemanticSegmentation
        except ImportError as error:
            raise InputError(
                f"network: {name} needs the transformers library, which is not installed; pip install transformers"
            ) from error
        widths, depths, decoder = _SIZES[name]
        config = SegformerConfig(hidden_sizes=list(widths), depths=list(depths), decoder_hidden_size=decoder)
        config.num_labels = classes
        self.network = SegformerForSemanticSegmentation(config)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_IMAGENET_DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] to logits (B, classes, H, W)."""
        logits = self.network(pixel_values=(images - self.mean) / self.deviation).logits
        return nn.functional.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)


class _ClassIds(nn.Module):
    def __init__(self, network: SegFormer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).argmax(1).to(torch.uint8)


def fit_segformer(pairs: MaskedSet, out: Path, config: Config, resume: bool) -> tuple[Path, int]:
    """Train and return the ONNX file, `out`/segmenter.onnx, and the number of steps.

    AdamW with ultralytics' half-cosine schedule; an interrupted run continues at its last checkpoint, from
    another point of the same stream of crops.

    Args:
        pairs: what to train on.
        out: the run's folder.
        config: see `segmenter.Config`.
        resume: go on from the checkpoint.

    Raises:
        InputError: `init` or `resume` without what they need, or a name that is not known.
        JobError: the loss is no number any more.
    """
    checkpoint = out / CHECKPOINT_NAME
    if config.init:
        raise InputError("init: SegFormer starts from random weights here; leave it out")
    if resume != checkpoint.is_file():
        way_out = "start without --resume" if resume else "continue it with --resume, or name another --out"
        raise InputError(f"{out}: holds {'no run' if resume else 'a run already'}; {way_out}")
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    network = SegFormer(config.network, len(pairs.class_names)).to(_torch_device(config.device))
    steps = config.epochs * -(-len(pairs.training) * config.views // config.batch)
    run = _Run(network, pairs, config, steps, checkpoint)
    if resume:
        run.load()
    out.mkdir(parents=True, exist_ok=True)
    run.train()
    return export_segformer(network, out / WEIGHTS_NAME, pairs.class_names, config.image_size), run.step


class _Run:
    """A training with its optimiser and its place in the schedule."""

    def __init__(self, network: SegFormer, pairs: MaskedSet, config: Config, steps: int, checkpoint: Path) -> None:
        self.network, self.pairs, self.config, self.steps, self.checkpoint = network, pairs, config, steps, checkpoint
        self.optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0.01)
        self.step, self.seconds = 0, 0.0
        weights = class_weights(pairs, config.class_balance).to(network.mean.device)
        self.loss = nn.CrossEntropyLoss(weights, ignore_index=IGNORED)

    def train(self) -> None:
        self.network.train()
        begun, saved = time.monotonic() - self.seconds, time.monotonic()
        while (progress := self._progress()) < 1.0:
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.learning_rate * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))
            images, masks = (part.to(self.network.mean.device) for part in self._batch())
            loss = self.loss(self.network(images), masks)
            if not torch.isfinite(loss):
                raise JobError(f"loss is {loss.item()} at step {self.step}; lower learning_rate and start again")
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            self.seconds = time.monotonic() - begun
            if time.monotonic() - saved > _CHECKPOINT_EVERY:
                self.save()
                saved = time.monotonic()
        self.save()
        self.network.eval()

    def _progress(self) -> float:
        if self.config.minutes:
            return self.seconds / (60 * self.config.minutes)
        return self.step / self.steps

    def _batch(self) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((self.config.seed, self.step))
        chosen = random.integers(len(self.pairs.training), size=self.config.batch)
        views = [
            draw_masked_view(self.pairs.training[index], self.config.crop, self.config.mix, random) for index in chosen
        ]
        images, masks = [], []
        for picture, mask in views:
            way = -1 if random.random() < 0.5 else 1
            images.append(_as_tensor(picture[:, ::way]))
            masks.append(torch.from_numpy(np.ascontiguousarray(mask[:, ::way])).long())
        return torch.stack(images), torch.stack(masks)

    def save(self) -> None:
        partial = self.checkpoint.with_suffix(".partial")
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def load(self) -> None:
        try:
            state: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:
            # torch has as many classes of error for a damaged file as there are ways to damage one.
            raise InputError(f"{self.checkpoint}: is not a checkpoint of this run: {error}") from error
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def class_weights(pairs: MaskedSet, balance: float) -> Tensor:
    """(1 / ln(1.02 + share of a class's pixels))^`balance` (ENet, Paszke et al. 2016), 1 on average."""
    counts = np.zeros(256, np.int64)
    for pair in pairs.training:
        counts += np.bincount(pair.class_id.reshape(-1), minlength=256)
    shares = counts[: len(pairs.class_names)] / max(1, counts[: len(pairs.class_names)].sum())
    weights = (1 / np.log(1.02 + shares)) ** balance
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def _as_tensor(bgr: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(bgr[:, :, ::-1].transpose(2, 0, 1))).float() / 255


def _torch_device(name: str) -> torch.device:
    return torch.device(f"cuda:{name}" if name.isdigit() else name)


def export_segformer(network: SegFormer, out: Path, class_names: tuple[str, ...], image_size: int) -> Path:
    """Write the network with ultralytics' interface: (B, 3, H, W) RGB in [0, 1] in, (B, H, W) uint8 class ids out.

    Args:
        network: trained.
        out: the `.onnx` to write.
        class_names: in the order of the ids.
        image_size: longer side of the input that is used by default, pixels; brought up to a multiple of 32.
    """
    import onnx

    size = -(-image_size // _STRIDE) * _STRIDE
    partial = out.with_name(f".{out.name}.fp32")
    axes = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        _ClassIds(network.cpu()).eval(),
        (torch.zeros(1, 3, size, size),),
        str(partial),
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": axes, "output0": {0: "batch", 1: "height", 2: "width"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load(str(partial))
    facts = {
        "names": repr(dict(enumerate(class_names))),
        "stride": str(_STRIDE),
        "task": "semantic",
        "batch": "1",
        "imgsz": repr([size, size]),
        "channels": "3",
        "dynamic": "True",
        "args": repr({"dynamic": True, "batch": 1}),
        "license": "Apache-2.0",
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(partial))
    store_in_half(partial, out)
    partial.unlink()
    return out

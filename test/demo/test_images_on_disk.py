"""Images come back from disk as they were."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.demo.images_on_disk import ImageFolder
from fusion_ros.errors import JobError


def test_fused_images_and_masks_come_back_unchanged(tmp_path):
    fused = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    mask = fused[..., 0] // 100
    with ImageFolder(tmp_path) as images:
        images.keep("fused", 1_500_000_000, fused)
        images.keep("mask", 1_500_000_000, mask)
    np.testing.assert_array_equal(images.read("fused", 1_500_000_000), fused)
    np.testing.assert_array_equal(images.read("mask", 1_500_000_000), mask)
    assert [path.name for path in (tmp_path / "fused").iterdir()] == ["0000000001.500000000.png"]
    assert images.read("mask", 2) is None


def test_a_disk_that_cannot_be_written_fails_the_job(tmp_path):
    images = ImageFolder(tmp_path)
    images.__enter__()
    (tmp_path / "fused").rmdir()
    images.keep("fused", 1, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(JobError, match="cannot be written"):
        images.__exit__(None, None, None)

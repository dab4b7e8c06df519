"""Video that plays: decoded again, it has the frames, size, times and picture that were written."""

from __future__ import annotations

import av
import numpy as np
import pytest

from fusion_ros.errors import InputError, JobError
from fusion_ros.report.panels import STRIP_HEIGHT, side_by_side
from fusion_ros.report.video import VideoWriter


def test_decoded_video_has_what_was_written(tmp_path):
    path = tmp_path / "a.mp4"
    times = [0.0, 0.1, 0.2, 0.7, 0.7]
    with VideoWriter(path) as video:
        for index, time_s in enumerate(times):
            video.write(np.full((48, 64, 3), 40 * index, np.uint8), time_s)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert len(frames) == len(times)
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.7, 0.701], abs=1e-3)
    assert (frames[0].width, frames[0].height) == (64, 48)
    for index, frame in enumerate(frames):
        assert frame.to_ndarray(format="bgr24").mean() == pytest.approx(40 * index, abs=4)


def test_the_index_comes_first_so_that_browsers_start_at_once(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path) as video:
        video.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_odd_and_changing_sizes_are_refused(tmp_path):
    with VideoWriter(tmp_path / "a.mp4") as video, pytest.raises(InputError, match=r"65x48 has an odd"):
        video.write(np.zeros((48, 65, 3), np.uint8), 0.0)
    with VideoWriter(tmp_path / "b.mp4") as video:
        video.write(np.zeros((48, 64, 3), np.uint8), 0.0)
        with pytest.raises(InputError, match="32x32 differs from the first, 64x48"):
            video.write(np.zeros((32, 32, 3), np.uint8), 0.1)


def test_no_frames_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_failed_job(tmp_path):
    with pytest.raises(JobError, match="cannot write"), VideoWriter(tmp_path / "missing" / "a.mp4") as video:
        video.write(np.zeros((48, 64, 3), np.uint8), 0.0)


@pytest.mark.parametrize("width", [63, 64, 65])
def test_panels_have_even_sides_and_keep_the_pictures_aspect(width):
    tall = np.full((100, 50), 200, np.uint8)
    picture = side_by_side([("RGB", None), ("thermal", tall)], 47, width, "footer")
    assert picture.shape[0] % 2 == 0
    assert picture.shape[1] % 2 == 0
    body = picture[STRIP_HEIGHT : STRIP_HEIGHT + 47, width + 4 : 2 * width + 4]
    # A 1:2 image in a box of height 47 covers about 24 columns.
    assert (body.max(axis=(0, 2)) > 150).sum() == pytest.approx(47 / 2, abs=1)

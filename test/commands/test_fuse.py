import json

import av
import cv2
import numpy as np
import pytest

from fusion_ros.cli import main


@pytest.fixture
def folders(tmp_path):
    random = np.random.default_rng(0)
    for part, channels in (("rgb", 3), ("thermal", 1)):
        (tmp_path / part).mkdir()
        for name in ("a", "b"):
            image = random.integers(0, 256, (40, 60, channels) if channels > 1 else (20, 30), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / part / f"{name}.png"), image)
    return tmp_path


def _video(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            image = np.full((48, 64, 3), 40 + 20 * index, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def test_a_pair_becomes_an_image_of_the_rgb_images_size(folders, capsys):
    out = folders / "out" / "fused.png"
    code = main(
        ["fuse", f"{folders}/rgb/a.png", f"{folders}/thermal/a.png", "-o", str(out), "--mode", "average", "--json"]
    )
    assert code == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(out), "pairs": 1, "modes": {"average": 1}}
    fused, rgb = cv2.imread(str(out)), cv2.imread(f"{folders}/rgb/a.png")
    thermal = cv2.resize(cv2.imread(f"{folders}/thermal/a.png", cv2.IMREAD_GRAYSCALE), (60, 40))
    luma = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY).astype(float)
    assert fused.shape == rgb.shape
    # Colours of random noise are clamped when their luminance moves, so only the middle of the differences is exact.
    difference = np.abs(cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY) - (luma + thermal) / 2)
    assert np.median(difference) <= 2


def test_sixteen_bit_thermal_is_brought_to_grey(folders):
    counts = (7000 + 5 * np.arange(30)[None].repeat(20, 0)).astype(np.uint16)
    cv2.imwrite(f"{folders}/counts.png", counts)
    out = f"{folders}/out.png"
    assert main(["fuse", f"{folders}/rgb/a.png", f"{folders}/counts.png", "-o", out, "--mode", "thermal"]) == 0
    assert cv2.imread(out).std() > 60  # a ramp over the full range has 74


def test_two_folders_are_matched_by_name(folders, capsys):
    assert main(["fuse", f"{folders}/rgb", f"{folders}/thermal", "-o", f"{folders}/out", "--mode", "guided"]) == 0
    assert sorted(path.name for path in (folders / "out").iterdir()) == ["a.png", "b.png"]
    assert "2 fused (guided 2)" in capsys.readouterr().out


def test_unmatched_names_are_refused(folders, capsys):
    (folders / "thermal" / "b.png").rename(folders / "thermal" / "c.png")
    assert main(["fuse", f"{folders}/rgb", f"{folders}/thermal", "-o", f"{folders}/out"]) == 2
    assert "2 names are in one folder only (b, c)" in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_auto_chooses_a_mode(folders, capsys):
    arguments = ["fuse", f"{folders}/rgb/a.png", f"{folders}/thermal/a.png", "-o", f"{folders}/out.png", "--json"]
    assert main(arguments) == 0
    (mode,) = json.loads(capsys.readouterr().out)["modes"]
    assert mode in ("epofusion", "dfvo", "caf", "guided")


def test_two_videos_become_a_video_of_the_shorter_length(folders, capsys):
    _video(folders / "rgb.mp4", 6)
    _video(folders / "thermal.mp4", 4)
    arguments = ["fuse", f"{folders}/rgb.mp4", f"{folders}/thermal.mp4", "-o", f"{folders}/out.mp4", "--mode", "rgb"]
    assert main(arguments) == 0
    assert "differ in length" in capsys.readouterr().err
    with av.open(f"{folders}/out.mp4") as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    assert len(frames) == 4
    for index, frame in enumerate(frames):
        assert abs(float(frame.mean()) - (40 + 20 * index)) < 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}/rgb/a.png", "{0}/thermal", "-o", "{0}/x.png"], "two images, two folders or two videos"),
        (["{0}/rgb/none.png", "{0}/thermal/a.png", "-o", "{0}/x.png"], "not a file or folder"),
        (["{0}/rgb/a.png", "{0}/thermal/a.png", "-o", "{0}/x.docx"], "not the name of an image"),
        (["{0}/text.png", "{0}/thermal/a.png", "-o", "{0}/x.png"], "text.png: not a picture that can be read"),
        (["{0}/text.mp4", "{0}/text.mp4", "-o", "{0}/x.mp4"], "not a clip that can be read"),
        (["{0}/clip.mp4", "{0}/clip.mp4", "-o", "{0}/x.png"], "not the name of a video"),
        (["{0}/rgb", "{0}/thermal", "-o", "{0}/text.png"], "is a file"),
        (["{0}/rgb/a.png", "{0}/thermal/a.png", "-o", "{0}/x.png", "--device", "tpu"], "tpu"),
        (["{0}/rgb/a.png", "{0}/thermal/a.png", "-o", "{0}/x.png", "--weights", "caf"], "--weights"),
        (
            ["{0}/rgb/a.png", "{0}/thermal/a.png", "-o", "{0}/x.png", "--mode", "caf", "--weights", "no.safetensors"],
            "no.safetensors",
        ),
    ],
)
def test_bad_input_is_one_clear_line(folders, capsys, arguments, message):
    (folders / "text.png").write_text("text")
    (folders / "text.mp4").write_text("text")
    _video(folders / "clip.mp4", 1)
    assert main(["fuse", *(argument.format(folders) for argument in arguments)]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "sources",
    [("rgb/a.png", "thermal/a.png"), ("rgb", "thermal"), ("clip.mp4", "clip.mp4")],
    ids=["image", "folder", "video"],
)
def test_an_output_that_cannot_be_written_is_a_failed_job_in_one_line(folders, capsys, sources):
    _video(folders / "clip.mp4", 2)
    (folders / "file").write_text("in the way")
    out = folders / "file" / {"rgb": "out", "clip.mp4": "out.mp4"}.get(sources[0], "out.png")
    words = [str(folders / source) for source in sources]
    assert main(["fuse", *words, "-o", str(out), "--mode", "average"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert str(folders / "file") in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_odd_sides_and_matroska_are_fine(folders):
    path = folders / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "bgr0"
        for packet in (
            *stream.encode(av.VideoFrame.from_ndarray(np.full((47, 63, 3), 90, np.uint8), "bgr24")),
            *stream.encode(None),
        ):
            container.mux(packet)
    assert main(["fuse", str(path), str(path), "-o", f"{folders}/out.mkv", "--mode", "rgb"]) == 0
    with av.open(f"{folders}/out.mkv") as container:
        (frame,) = container.decode(video=0)
        assert (frame.height, frame.width) == (48, 64)

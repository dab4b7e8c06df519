"""Loading beside the frames: in order, the last wish counts, and an error ends nothing."""

from __future__ import annotations

import threading
import time

from fusion_ros.ros.weights_loader import WeightsLoader

SHIPPED = {"epofusion": "", "dfvo": "", "caf": ""}


class Shelf:
    """Loads when it is let; notes what."""

    def __init__(self):
        self.loaded = []
        self.may_load = threading.Event()

    def load(self, mode, weights):
        assert self.may_load.wait(10.0)
        self.loaded.append((mode, weights))
        if weights == "bad":
            raise RuntimeError("CUDA out of memory")


def finished(loader, count):
    found = []
    end = time.monotonic() + 10.0
    while len(found) < count:
        assert time.monotonic() < end
        found += loader.finished()
        time.sleep(0.005)
    return found


def test_what_is_in_force_is_not_loaded():
    shelf = Shelf()
    loader = WeightsLoader(shelf.load, SHIPPED)
    loader.want(SHIPPED)
    assert loader.modes_in_work == []
    assert loader.finished() == []


def test_nobody_waits_for_a_load_and_the_last_wish_counts():
    shelf = Shelf()
    loader = WeightsLoader(shelf.load, SHIPPED)
    loader.want(SHIPPED | {"caf": "first"})
    while loader.modes_in_work != ["caf"]:
        time.sleep(0.005)
    # The first is in work by now or soon; second and third wait for it, and only the third is still wanted then.
    loader.want(SHIPPED | {"caf": "second", "dfvo": "night"})
    loader.want(SHIPPED | {"caf": "third", "dfvo": "night"})
    assert loader.finished() == []
    shelf.may_load.set()
    end = time.monotonic() + 10.0
    while loader.modes_in_work and time.monotonic() < end:
        time.sleep(0.005)
    ended = loader.finished()
    assert [(one.mode, one.weights, one.error) for one in ended] == [(*pair, None) for pair in shelf.loaded]
    assert ("dfvo", "night") in shelf.loaded
    assert [weights for mode, weights in shelf.loaded if mode == "caf"] in (["first", "third"], ["third"])


def test_an_error_is_told_and_the_next_load_goes_on():
    shelf = Shelf()
    shelf.may_load.set()
    loader = WeightsLoader(shelf.load, SHIPPED)
    loader.want(SHIPPED | {"caf": "bad"})
    (ended,) = finished(loader, 1)
    assert (ended.mode, ended.weights, str(ended.error)) == ("caf", "bad", "CUDA out of memory")
    loader.want(SHIPPED | {"caf": "bad"})
    assert loader.finished() == []
    loader.keep("caf", "")
    loader.want(SHIPPED)
    loader.want(SHIPPED | {"caf": "good"})
    assert [one.weights for one in finished(loader, 1)] == ["good"]


def test_what_waits_is_given_up_at_the_end():
    shelf = Shelf()
    loader = WeightsLoader(shelf.load, SHIPPED)
    loader.want(SHIPPED | {"caf": "first"})
    loader.stop()
    loader.stop()
    shelf.may_load.set()
    end = time.monotonic() + 10.0
    while loader.modes_in_work and time.monotonic() < end:
        time.sleep(0.005)
    assert len(shelf.loaded) <= 1

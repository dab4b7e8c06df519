"""What arrives is written in order, and a writer that gives up holds nobody up."""

from __future__ import annotations

from fusion_ros.replay.writer_thread import WriterThread


def test_everything_is_written_in_order_before_finish_returns():
    written = []
    writer = WriterThread("test", written.extend, most_waiting=2)
    writer.start()
    for number in range(50):
        writer.put(number)
    writer.finish()
    assert written == list(range(50))


def test_a_writer_that_gives_up_does_not_make_others_wait():
    first = []
    writer = WriterThread("test", lambda items: first.append(next(items)), most_waiting=2)
    writer.start()
    # Ten times what may wait: without somebody who takes them away, this never ends.
    for number in range(20):
        writer.put(number)
    writer.finish()
    assert first == [0]

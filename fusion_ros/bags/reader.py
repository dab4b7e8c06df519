"""Reading rosbag2 recordings without ROS: folders, bare `.mcap` files and sqlite3 files, whole or cut off."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

from fusion_ros.bags.message_types import message_types
from fusion_ros.bags.recovery import RecordedTopic, RecoveredFile
from fusion_ros.errors import InputError

STORAGE_SUFFIXES = (".mcap", ".db3")


class TopicInfo(NamedTuple):
    """Type of a topic's messages and how many there are."""

    msgtype: str
    message_count: int


class BagMessage(NamedTuple):
    """One recorded message.

    Attributes:
        topic: topic name with its leading slash.
        stamp_ns: when the recorder received it, in nanoseconds. The time of exposure is in the message's header.
        msgtype: such as `sensor_msgs/msg/Image`.
        data: the serialized message (CDR), ready to be published as it is.
    """

    topic: str
    stamp_ns: int
    msgtype: str
    data: bytes


class _Source(Protocol):
    """One storage file, or one intact folder of them."""

    topics: dict[str, RecordedTopic]
    start_ns: int
    end_ns: int

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, receive time, serialized message)."""

    def messages_one_by_one(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        """As `messages`, in the order of the file, with nothing left out but what is spoilt."""

    def close(self) -> None:
        """Let go of the files."""


class _IntactSource:
    """A file or folder that the rosbags library opens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = Reader(path)
        self._reader.open()
        self.topics: dict[str, RecordedTopic] = {}
        for connection in self._reader.connections:
            topic = self.topics.setdefault(connection.topic, _recorded_topic(connection))
            topic.count += connection.msgcount
        has_messages = self._reader.message_count > 0
        self.start_ns = self._reader.start_time if has_messages else 0
        # The library's end lies one nanosecond after the last message.
        self.end_ns = self._reader.end_time - 1 if has_messages else 0

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:
            return
        for connection, stamp_ns, data in self._reader.messages(connections, start_ns, stop_ns):
            yield connection.topic, stamp_ns, data

    def messages_one_by_one(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        for file in _storage_files(self._path):
            yield from RecoveredFile(file).messages(topics, start_ns, stop_ns)

    def close(self) -> None:
        self._reader.close()


class _Passed:
    """How far a source has been read: messages come by receive time, several of which may be the same."""

    def __init__(self) -> None:
        self.count = 0
        self._last_ns = -1
        self._at_last: Counter[str] = Counter()

    def add(self, topic: str, stamp_ns: int) -> None:
        self.count += 1
        if stamp_ns != self._last_ns:
            self._last_ns = stamp_ns
            self._at_last.clear()
        self._at_last[topic] += 1

    def is_new(self, topic: str, stamp_ns: int) -> bool:
        """Whether a message, read once more from the beginning, has not been passed yet; asked once for each."""
        if stamp_ns == self._last_ns and self._at_last[topic]:
            self._at_last[topic] -= 1
            return False
        return stamp_ns >= self._last_ns


class BagReader:
    """An open recording. Use `open_bag` to get one, and `with` to close it.

    Attributes:
        path: what was opened.
        topics: type and message count by topic name.
        start_ns: receive time of the first message in nanoseconds, 0 for an empty bag.
        end_ns: receive time of the last message.
        damage: what is wrong with the recording and how much of it can be read, None where nothing is. Reading on
            can bring more of it to light.
        unread: messages that the recording's index promises and that the last pass of `messages` could not read (where
            that was given a start or a stop: 1 for any number of them). Complete when the pass has ended.
    """

    def __init__(self, path: Path, sources: list[_Source], damage: str | None = None) -> None:
        self.path = path
        self.damage = damage
        self.unread = 0
        self._sources = sources
        self._own_types: Typestore | None = None
        counts: dict[str, TopicInfo] = {}
        for source in sources:
            for name, topic in source.topics.items():
                before = counts[name].message_count if name in counts else 0
                counts[name] = TopicInfo(topic.msgtype, before + topic.count)
        self.topics = dict(sorted(counts.items()))
        filled = [source for source in sources if any(topic.count for topic in source.topics.values())]
        self.start_ns = min((source.start_ns for source in filled), default=0)
        self.end_ns = max((source.end_ns for source in filled), default=0)

    @property
    def duration_ns(self) -> int:
        """Time from the first message to the last, in nanoseconds."""
        return self.end_ns - self.start_ns

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return sum(topic.message_count for topic in self.topics.values())

    def is_latched(self, topic: str) -> bool:
        """Whether late subscribers to `topic` were to get its last message (durability transient local)."""
        return any(source.topics[topic].latched for source in self._sources if topic in source.topics)

    def require(self, *topics: str) -> None:
        """Check that `topics` were recorded.

        Raises:
            InputError: one was not; the message lists those that were.
        """
        for topic in topics:
            if topic not in self.topics:
                there = ", ".join(self.topics) or "none"
                raise InputError(f"{self.path}: no topic {topic!r} in this bag; it has {there}")

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yield the recorded messages by receive time.

        Args:
            topics: names to read, None for all of them.
            start_ns: first receive time to read, in nanoseconds.
            stop_ns: receive time to stop before.

        Raises:
            InputError: a topic is not in the bag. Damaged data is no error: reading goes on behind it where that can be
                done, and `damage` says what was lost.
        """
        if topics is not None:
            self.require(*topics)
        self.unread = 0
        return self._messages(set(self.topics if topics is None else topics), start_ns, stop_ns)

    def _messages(self, wanted: set[str], start_ns: int | None, stop_ns: int | None) -> Iterator[BagMessage]:
        for source in self._sources:
            passed = _Passed()
            try:
                for topic, stamp_ns, data in source.messages(wanted, start_ns, stop_ns):
                    yield BagMessage(topic, stamp_ns, self.topics[topic].msgtype, data)
                    passed.add(topic, stamp_ns)
            except Exception as error:
                # Storage, compression and database libraries each have errors of their own for spoilt data.
                spoilt = str(error) or type(error).__name__
            else:
                if self._is_whole(source, start_ns, stop_ns) and passed.count < (total := _total(source, wanted)):
                    self.unread += total - passed.count
                    self._note_damage(f"{total - passed.count} of {total} messages are not where the index says")
                continue
            yield from self._behind(source, passed, wanted, start_ns, stop_ns, spoilt)

    def _behind(
        self,
        source: _Source,
        passed: _Passed,
        wanted: set[str],
        start_ns: int | None,
        stop_ns: int | None,
        spoilt: str,
    ) -> Iterator[BagMessage]:
        """Go on behind the place at which reading a source has failed."""
        before, recovered = passed.count, 0
        for topic, stamp_ns, data in source.messages_one_by_one(wanted, start_ns, stop_ns):
            if passed.is_new(topic, stamp_ns):
                recovered += 1
                yield BagMessage(topic, stamp_ns, self.topics[topic].msgtype, data)
        if self._is_whole(source, start_ns, stop_ns):
            total = _total(source, wanted)
            self.unread += max(0, total - before - recovered)
            lost = f"{total - before - recovered} of {total} messages are lost"
        else:
            self.unread += 1
            lost = "messages are lost"
        self._note_damage(
            f"after {before} messages the recording is spoilt ({spoilt}); {recovered} behind that can be read, {lost}"
        )

    @staticmethod
    def _is_whole(source: _Source, start_ns: int | None, stop_ns: int | None) -> bool:
        return (start_ns is None or start_ns <= source.start_ns) and stop_ns is None

    def decode(self, message: BagMessage) -> Any:
        """Deserialize `message`; the result has the attributes of the ROS message, with numeric arrays as numpy arrays.

        Raises:
            InputError: the type is unknown, or the bytes are not a message of that type.
        """
        if self._own_types is None:
            self._own_types = self._types_of_bag()
        store = self._own_types if message.msgtype in self._own_types.types else message_types()
        if message.msgtype not in store.types:
            raise InputError(
                f"{message.topic}: type {message.msgtype} is not known and the bag brings no definition of it; "
                "record again with a rosbag2 that stores definitions (Iron or later)"
            )
        try:
            return store.deserialize_cdr(memoryview(message.data), message.msgtype)
        except (SerdeError, AssertionError, IndexError) as error:
            raise InputError(f"{message.topic}: a message of {message.msgtype} cannot be read: {error}") from error

    def close(self) -> None:
        """Close the files."""
        for source in self._sources:
            source.close()
        self._sources = []

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note_damage(self, text: str) -> None:
        if self.damage is None:
            self.damage = text
        elif text not in self.damage:
            self.damage = f"{self.damage}; {text}"

    def _types_of_bag(self) -> Typestore:
        """Gather the definitions the bag brings, which count more than ours: packages change between distributions."""
        store = Typestore()
        for source in self._sources:
            for topic in source.topics.values():
                if topic.definition and topic.msgtype not in store.types:
                    _register(store, topic)
        return store


def open_bag(path: str | os.PathLike[str]) -> BagReader:
    """Open a rosbag2 folder, a bare `.mcap` or a sqlite3 file (`.db3`) for reading.

    A recording that was cut off is opened as far as it goes; `BagReader.damage` says what was lost.

    Args:
        path: folder with or without `metadata.yaml`, or a storage file.

    Raises:
        InputError: there is nothing at `path`, its storage is not supported, or nothing in it can be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such bag; give a rosbag2 folder, an .mcap or a .db3 file")
    if path.is_file() and path.suffix not in STORAGE_SUFFIXES:
        hint = "; convert a ROS 1 bag with `rosbags-convert`" if path.suffix == ".bag" else ""
        raise InputError(
            f"{path}: storage {path.suffix!r} is not supported ({', '.join(STORAGE_SUFFIXES)}, or a rosbag2 folder)"
            f"{hint}"
        )
    files = _storage_files(path)
    reason = "metadata.yaml is missing"
    if path.is_file() or (path / "metadata.yaml").is_file():
        try:
            return BagReader(path, [_IntactSource(path)])
        except Exception as error:
            # Storage, compression and database libraries each have errors of their own for what they cannot read.
            reason = str(error) or type(error).__name__
    if not files:
        raise InputError(f"{path}: not a readable rosbag2 recording ({reason}), and it holds no .mcap or .db3 file")
    return _open_files(path, files, reason)


def _total(source: _Source, wanted: set[str]) -> int:
    return sum(topic.count for name, topic in source.topics.items() if name in wanted)


def _storage_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in sorted(path.iterdir()) if file.suffix in STORAGE_SUFFIXES]


def _open_files(path: Path, files: list[Path], reason: str) -> BagReader:
    """Open what can be opened of a recording that is not whole."""
    sources: list[_Source] = []
    damage: list[str] = []
    for file in files:
        source: _Source
        try:
            source = _IntactSource(file)
        except Exception:
            try:
                source = RecoveredFile(file)
            except InputError as error:
                damage.append(str(error))
                continue
            damage.append(source.damage)
        sources.append(source)
    reader = BagReader(path, sources, "; ".join(damage if path.is_file() else [reason, *damage]))
    if reader.message_count == 0 and reader.damage:
        reader.close()
        raise InputError(f"{path}: nothing in this bag can be read ({'; '.join([reason, *damage])})")
    return reader


def _recorded_topic(connection: Connection) -> RecordedTopic:
    definition = connection.msgdef
    kind = "ros2idl" if definition.format is MessageDefinitionFormat.IDL else "ros2msg"
    profiles = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
    latched = any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles)
    return RecordedTopic(connection.msgtype, definition.data, kind, latched=latched)


def _register(store: Typestore, topic: RecordedTopic) -> None:
    try:
        parse = get_types_from_idl if topic.definition_format == "ros2idl" else None
        types = parse(topic.definition) if parse else get_types_from_msg(topic.definition, topic.msgtype)
        store.register({name: fields for name, fields in types.items() if name not in store.types})
    except Exception:
        # A definition that the parser does not take leaves the type to our own definitions.
        return

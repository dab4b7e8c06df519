"""What can still be read from a bag file that was cut off, has lost its index or is spoilt in the middle.

An `.mcap` is read record by record from its start (https://mcap.dev/spec). A chunk that cannot be decompressed is left
out; where the bytes no longer are records, reading goes on at the next chunk. A sqlite3 file is read row by row, and
where a page of it is spoilt, the rows behind it by their numbers.
"""

from __future__ import annotations

import mmap
import sqlite3
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

from fusion_ros.errors import InputError

MCAP_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_RECORD_HEADER = struct.Struct("<BQ")
_MESSAGE_HEADER = struct.Struct("<HIQQ")
# Kinds 0x01 to 0x0F are those of the specification; from 0x80 on they are private.
_LAST_KIND, _FIRST_PRIVATE_KIND = 0x0F, 0x80
# Start and end of its time, size and checksum of its records: what a chunk begins with.
_CHUNK_START = struct.Struct("<QQQI")
_COMPRESSIONS = (b"", b"lz4", b"zstd")


@dataclass
class RecordedTopic:
    """A topic as its file describes it.

    Attributes:
        msgtype: such as `sensor_msgs/msg/Image`.
        definition: text of the message definition with its dependencies, empty where the file has none.
        definition_format: `ros2msg` or `ros2idl`.
        count: messages that can be read.
        latched: whether late subscribers were to get the last message (durability transient local).
    """

    msgtype: str
    definition: str = ""
    definition_format: str = "ros2msg"
    count: int = 0
    latched: bool = False


@dataclass
class RecoveredFile:
    """A damaged file, scanned once to see what is in it.

    Attributes:
        path: the file.
        topics: what was found, by topic name.
        start_ns: receive time of the earliest readable message, 0 where there is none.
        end_ns: receive time of the latest one.
        damage: what is wrong and how far the file could be read.
    """

    path: Path
    topics: dict[str, RecordedTopic] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0
    damage: str = ""

    def __post_init__(self) -> None:
        stamps: list[int] = []
        for topic, stamp_ns, _data in self._scan():
            self.topics[topic].count += 1
            stamps.append(stamp_ns)
        if stamps:
            self.start_ns, self.end_ns = min(stamps), max(stamps)
        seconds = (self.end_ns - self.start_ns) / 1e9
        self.damage = (
            f"{self.path.name}: cut off or damaged; {len(stamps)} messages of the first {seconds:.1f} s can be read"
        )

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, receive time in nanoseconds, serialized message) in the order of the file."""
        for topic, stamp_ns, data in self._scan():
            late_enough = start_ns is None or stamp_ns >= start_ns
            if topic in topics and late_enough and (stop_ns is None or stamp_ns < stop_ns):
                yield topic, stamp_ns, data

    messages_one_by_one = messages

    def close(self) -> None:
        """Do nothing: the file is open only while it is scanned."""

    def _scan(self) -> Iterator[tuple[str, int, bytes]]:
        return _scan_mcap(self.path, self.topics) if self.path.suffix == ".mcap" else _scan_sqlite(self)


def _scan_mcap(path: Path, topics: dict[str, RecordedTopic]) -> Iterator[tuple[str, int, bytes]]:
    with path.open("rb") as file:
        magic = file.read(len(MCAP_MAGIC))
        if magic != MCAP_MAGIC:
            raise InputError(f"{path}: not an MCAP file (it starts with {magic!r}); give a recording of ROS 2")
        yield from _mcap_messages(_records(file, path.stat().st_size), topics)


def _mcap_messages(
    records: Iterator[tuple[int, bytes]], topics: dict[str, RecordedTopic]
) -> Iterator[tuple[str, int, bytes]]:
    schemas: dict[int, RecordedTopic] = {}
    channels: dict[int, str] = {}
    for kind, record in records:
        try:
            if kind == _SCHEMA:
                number, schema = _parse_schema(record)
                schemas[number] = schema
            elif kind == _CHANNEL:
                number, schema_number, topic = _parse_channel(record)
                channels[number] = topic
                if topic not in topics and schema_number in schemas:
                    known = schemas[schema_number]
                    topics[topic] = RecordedTopic(known.msgtype, known.definition, known.definition_format)
            elif kind == _MESSAGE:
                number, _sequence, stamp_ns, _published = _MESSAGE_HEADER.unpack_from(record)
                if channels.get(number) in topics:
                    yield channels[number], stamp_ns, record[_MESSAGE_HEADER.size :]
        except struct.error:
            # Too short for its kind: this record is lost, not those behind it.
            continue


def _records(file: BinaryIO, file_size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the records of the data section, those inside chunks included; what is spoilt is left out."""
    # Where the record before began: a spoilt length leads into the middle of what follows.
    before = file.tell()
    while True:
        place = file.tell()
        header = file.read(_RECORD_HEADER.size)
        if len(header) < _RECORD_HEADER.size:
            return
        kind, size = _RECORD_HEADER.unpack(header)
        if kind == _DATA_END:
            return
        is_record = 0 < kind <= _LAST_KIND or kind >= _FIRST_PRIVATE_KIND
        is_whole = size <= file_size - file.tell()
        if not (is_record and is_whole):
            found = _next_chunk(file, before + 1)
            if found is not None:
                before = found
                file.seek(found)
                continue
        if not is_record:
            return
        record = file.read(min(size, file_size - file.tell()))
        if kind == _CHUNK:
            # A chunk that was cut off is still good up to the cut, where it is not compressed.
            yield from _chunk_records(record)
        elif is_whole:
            yield kind, record
        if not is_whole:
            return
        before = place


def _next_chunk(file: BinaryIO, start: int) -> int | None:
    """Look for bytes from `start` on that can be nothing but the beginning of a whole chunk; None where there are none.

    A chunk says its size twice, beside the order of its times and one of three words: chance does not write that.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = start
        while (place := content.find(bytes([_CHUNK]), place)) >= 0:
            if _is_chunk(content, place):
                return place
            place += 1
    return None


def _is_chunk(content: mmap.mmap, place: int) -> bool:
    try:
        _kind, size = _RECORD_HEADER.unpack_from(content, place)
        end = place + _RECORD_HEADER.size + size
        if end > len(content):
            return False
        first_ns, last_ns, _size, _checksum = _CHUNK_START.unpack_from(content, place + _RECORD_HEADER.size)
        name_place = place + _RECORD_HEADER.size + _CHUNK_START.size
        (name_size,) = struct.unpack_from("<I", content, name_place)
        name_end = name_place + 4 + name_size
        if first_ns > last_ns or name_size > 4 or content[name_place + 4 : name_end] not in _COMPRESSIONS:
            return False
        (records_size,) = struct.unpack_from("<Q", content, name_end)
        return bool(name_end + 8 + records_size == end)
    except struct.error:
        return False


def _chunk_records(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    if len(chunk) < 40:
        return
    compression, offset = _text(chunk, 28)
    content = _decompressed(chunk[offset + 8 :], compression)
    position = 0
    while position + _RECORD_HEADER.size <= len(content):
        kind, size = _RECORD_HEADER.unpack_from(content, position)
        position += _RECORD_HEADER.size
        if position + size > len(content):
            return
        yield kind, content[position : position + size]
        position += size


def _decompressed(data: bytes, compression: str) -> bytes:
    """Decompress the records of a chunk; nothing where it is not whole or the compression is unknown."""
    try:
        content: bytes = DECOMPRESSORS[compression](data, len(data))
        return content
    except Exception:
        # Each library has errors of its own for data that ends too early; to us they all mean a chunk that is lost.
        return b""


def _text(record: bytes, offset: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", record, offset)
    end = offset + 4 + size
    return record[offset + 4 : end].decode(errors="replace"), end


def _parse_schema(record: bytes) -> tuple[int, RecordedTopic]:
    (number,) = struct.unpack_from("<H", record)
    name, offset = _text(record, 2)
    encoding, offset = _text(record, offset)
    definition, _offset = _text(record, offset)
    return number, RecordedTopic(name, definition, encoding)


def _parse_channel(record: bytes) -> tuple[int, int, str]:
    number, schema_number = struct.unpack_from("<HH", record)
    topic, _offset = _text(record, 4)
    return number, schema_number, topic


def _scan_sqlite(found: RecoveredFile) -> Iterator[tuple[str, int, bytes]]:
    connection = sqlite3.connect(f"file:{quote(str(found.path))}?mode=ro&immutable=1", uri=True)
    try:
        # Lets sqlite read a file that is shorter than its own header says.
        connection.execute("PRAGMA writable_schema=ON")
        names: dict[int, str] = {}
        for number, topic, msgtype in connection.execute("SELECT id, name, type FROM topics"):
            names[number] = topic
            found.topics.setdefault(topic, RecordedTopic(msgtype))
        for number, stamp_ns, data in _rows(connection):
            if number in names:
                yield names[number], stamp_ns, data
    except sqlite3.DatabaseError:
        # Not even the beginning can be read.
        return
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[int, int, bytes]]:
    """Yield the rows in their order; from the first that cannot be read on, each that can be."""
    query = "SELECT id, topic_id, timestamp, data FROM messages"
    last = 0
    try:
        for row in connection.execute(f"{query} ORDER BY id"):
            last = row[0]
            yield row[1], row[2], row[3]
        return
    except sqlite3.DatabaseError:
        newest = _newest_row(connection, last)
    for number in range(last + 1, newest + 1):
        try:
            row = connection.execute(f"{query} WHERE id = ?", (number,)).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            yield row[1], row[2], row[3]


def _newest_row(connection: sqlite3.Connection, otherwise: int) -> int:
    try:
        (newest,) = connection.execute("SELECT max(id) FROM messages").fetchone()
        return int(newest or otherwise)
    except sqlite3.DatabaseError:
        return otherwise

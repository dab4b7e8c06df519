"""The filter interface of message_filters: its own where it is installed, an equivalent where it is not.

A filter has `registerCallback(callback, *arguments)` and hands what it lets through to every callback by
`signalMessage(*messages)`; a filter that takes others as input has `connectInput`. The names are message_filters'.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from rclpy.node import Node

IS_LIBRARY_INSTALLED = importlib.util.find_spec("message_filters") is not None

if IS_LIBRARY_INSTALLED and not TYPE_CHECKING:
    from message_filters import SimpleFilter, Subscriber
else:
    from collections.abc import Callable

    class SimpleFilter:
        """Hands messages to whoever has registered."""

        def __init__(self) -> None:
            self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

        def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
            """Call `cb(*messages, *args)` with everything this filter lets through. Return the connection's number."""
            connection = len(self.callbacks)
            self.callbacks[connection] = (cb, args)
            return connection

        def signalMessage(self, *msg: Any) -> None:
            """Hand messages to every registered callback."""
            for callback, arguments in list(self.callbacks.values()):
                callback(*msg, *arguments)

    class Subscriber(SimpleFilter):
        """A subscription as a filter. Takes a node and what `Node.create_subscription` takes but for the callback."""

        def __init__(self, node: Node, msg_type: type, topic: str, **kwargs: Any) -> None:
            super().__init__()
            self.node = node
            self.topic = topic
            kwargs.setdefault("qos_profile", 10)
            self.sub = node.create_subscription(msg_type, topic, self.callback, **kwargs)

        def callback(self, msg: Any) -> None:
            """Pass a message on."""
            self.signalMessage(msg)

        def getTopic(self) -> str:
            """Return the topic as it was given."""
            return self.topic


__all__ = ["IS_LIBRARY_INSTALLED", "SimpleFilter", "Subscriber"]

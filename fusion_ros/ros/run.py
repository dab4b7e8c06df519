"""Runs nodes as the process of an executable, and ends it cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence

import cv2
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from fusion_ros.errors import InputError
from fusion_ros.ros.executor import make_executor

# ros2 launch sends SIGTERM five seconds after SIGINT: be gone by then, whatever is being computed.
_PATIENCE = 4.0


def run_nodes(make: Callable[[], Sequence[Node]], arguments: Sequence[str] | None = None) -> int:
    """Spin nodes on one thread until SIGINT, SIGTERM or a shutdown of rclpy.

    Args:
        make: creates the nodes; a node with a method `close` is closed before it is destroyed, and an attribute
            `exit_code` of a node counts in what is returned.
        arguments: command line with ROS arguments; `sys.argv` where it is None.

    Returns:
        Exit code: 0, or the largest of the nodes', or 2 where the ROS arguments cannot be used, which one line on
        stderr then says.
    """
    try:
        return _run(make, arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _run(make: Callable[[], Sequence[Node]], arguments: Sequence[str] | None) -> int:
    ending = _Ending()
    # For images of a camera's size OpenCV's threads cost more CPU than they save time, and the networks want the cores.
    cv2.setNumThreads(1)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # What rcl and its parsers raise has no class in rclpy's public interface.
        ending.done.set()
        raise InputError(f"ROS arguments: {_in_words(error)}") from error
    executor = make_executor()
    ending.wake = lambda: executor.create_task(lambda: None)
    nodes: list[Node] = []
    try:
        nodes += make()
        for node in nodes:
            executor.add_node(node)
        while not ending.asked.is_set():
            # Without a timeout the EventsExecutor does not wait at all.
            executor.spin_once(timeout_sec=1.0)
    except ExternalShutdownException:
        pass
    except ParameterException as error:
        # Of rclpy's own parameters; ours are looked at by the nodes.
        raise InputError(f"ROS arguments: {error}") from error
    finally:
        _take_down(executor, nodes)
        ending.done.set()
    return max((getattr(node, "exit_code", 0) for node in nodes), default=0)


def own_arguments() -> list[str]:
    """Return the command line without the program's name and without ROS arguments.

    Raises:
        InputError: the ROS arguments cannot be used.
    """
    try:
        return list(remove_ros_args(sys.argv)[1:])
    except RuntimeError as error:
        raise InputError(f"ROS arguments: {_in_words(error)}") from error


def _in_words(error: RuntimeError) -> str:
    """The message of an error of rcl's, without the places in its source."""
    text = re.sub(r", at \S+:\d+", "", str(error))
    text = " ".join(re.sub("^[Ff]ailed to (initialize rcl|parse ROS arguments): ", "", text).split())
    # Of flags that it does not know rclpy gives nothing but the list.
    return f"{text} are not known" if text.startswith("[") else text


def _take_down(executor: Executor, nodes: Sequence[Node]) -> None:
    for node in nodes:
        close = getattr(node, "close", None)
        if close is not None:
            close()
    for node in nodes:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()
    rclpy.try_shutdown()


class _Ending:
    """Tells of SIGINT and SIGTERM without an exception in the middle of whatever runs.

    A Python signal handler runs in the main thread between two byte codes: where that thread waits inside rcl, it runs
    too late, and where it raises KeyboardInterrupt, it does so in any callback. The interpreter's wake-up socket is
    written at once, whichever thread the signal hits; a thread reads it here.

    Attributes:
        asked: set when the process is to end.
        done: to be set when everything has been taken down.
        wake: makes the main thread look at `asked`.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.done = threading.Event()
        self.wake: Callable[[], object] = lambda: None
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        # The socket first: a signal between the two lines must not be lost to a handler that does nothing.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def _watch(self) -> None:
        self._reader.recv(1)
        self.asked.set()
        # In a thread of its own, for the executor's locks must not hold up the end.
        threading.Thread(target=self.wake, name="wake", daemon=True).start()
        if not self.done.wait(_PATIENCE):
            # Native code that computes or loads cannot be interrupted; the system frees what it holds.
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

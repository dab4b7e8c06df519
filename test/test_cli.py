"""What every command has in common: exit codes and one clear line for each error."""

from __future__ import annotations

import errno
import types

import pytest

from fusion_ros import cli
from fusion_ros.errors import InputError, JobError


@pytest.fixture
def command(monkeypatch):
    """Put a function in the place of the command `weights`."""

    def install(function):
        module = types.SimpleNamespace(add_arguments=lambda parser: None, run=lambda arguments: function())
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)

    return install


def fails_with(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("slop: -1 is not allowed"), 2, "slop: -1 is not allowed"),
        (JobError("disk: gone"), 1, "disk: gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(errno.EACCES, "Permission denied", "out/x.png"), 1, "out/x.png: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (ModuleNotFoundError("No module named 'rosbags'", name="rosbags"), 1, "rosbags is not installed"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(command, capsys, error, code, text):
    command(fails_with(error))
    assert cli.main(["weights"]) == code
    written = capsys.readouterr()
    assert written.err.startswith("fusion-ros weights: ")
    assert text in written.err
    assert written.err.count("\n") == 1
    assert written.out == ""


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="fusion_ros.nothing"), OSError(9, "Bad descriptor")])
def test_a_fault_of_ours_keeps_its_traceback(command, error):
    command(fails_with(error))
    with pytest.raises(type(error)):
        cli.main(["weights"])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: fusion-ros {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fly"], ["weights", "--wrong"]])
def test_wrong_arguments_are_bad_input(words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "usage: fusion-ros" in capsys.readouterr().err

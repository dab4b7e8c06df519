"""The set-up does its work once, knows when it must be done again, and says what it cannot do."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "setup_environment.py"


@pytest.fixture
def setup(tmp_path, monkeypatch) -> ModuleType:
    """The set-up script, with a small repository of its own."""
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "setup_environment", module)
    spec.loader.exec_module(module)
    for folder in ("requirements", "interfaces", "scripts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements" / "runtime.txt").write_text("numpy\n")
    environment = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "REQUIREMENTS": tmp_path / "requirements",
        "INTERFACES": tmp_path / "interfaces",
        "ENVIRONMENT": environment,
        "ENVIRONMENT_PYTHON": environment / "bin" / "python",
        "STAMP": environment / ".fusion_ros_set_up",
        "LOG": environment / "set_up.log",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def base(module: ModuleType, ros: str | None = None, version: tuple[int, int] = (3, 11)):
    return module.Base("/usr/bin/python3", version, ros)


def record_steps(module: ModuleType, monkeypatch, ros: str | None = None) -> list[str]:
    """Replace the steps, which need a network, by notes of their names; the first one makes the environment."""
    done: list[str] = []

    def note(name: str):
        def step(*_: object) -> None:
            done.append(name)
            module.ENVIRONMENT_PYTHON.parent.mkdir(parents=True, exist_ok=True)
            module.ENVIRONMENT_PYTHON.touch()

        return step

    for name in ("create_environment", "install_ros", "build_interfaces", "install_runtime", "install_tools"):
        monkeypatch.setattr(module, name, note(name))
    monkeypatch.setattr(module, "install_package", note("install_package"))
    monkeypatch.setattr(module, "require_system_packages", lambda _: None)
    monkeypatch.setattr(module, "find_base", lambda: base(module, ros))
    return done


def test_without_ros_rclpy_and_vision_msgs_are_installed(setup, monkeypatch):
    done = record_steps(setup, monkeypatch)
    setup.set_up()
    assert {"install_ros", "build_interfaces"} < set(done)
    assert done[0] == "create_environment"
    assert done[-1] == "install_package"


def test_with_a_sourced_ros_its_own_packages_are_used(setup, monkeypatch):
    done = record_steps(setup, monkeypatch, ros="humble")
    setup.set_up()
    assert set(done).isdisjoint({"install_ros", "build_interfaces"})


def test_the_second_run_does_nothing(setup, monkeypatch):
    done = record_steps(setup, monkeypatch)
    setup.set_up()
    done.clear()
    setup.set_up()
    assert done == []


def test_a_changed_requirement_sets_up_again(setup, monkeypatch):
    done = record_steps(setup, monkeypatch)
    setup.set_up()
    done.clear()
    (setup.REQUIREMENTS / "runtime.txt").write_text("numpy\nscipy\n")
    setup.set_up()
    assert "install_runtime" in done


def test_a_set_up_that_was_cut_short_is_done_again(setup, monkeypatch):
    done = record_steps(setup, monkeypatch)

    def fails(_: object) -> None:
        raise setup.SetUpError("no network")

    works = setup.install_runtime
    monkeypatch.setattr(setup, "install_runtime", fails)
    with pytest.raises(setup.SetUpError):
        setup.set_up()
    monkeypatch.setattr(setup, "install_runtime", works)
    done.clear()
    setup.set_up()
    assert done[-1] == "install_package"


@pytest.mark.parametrize("change", [{"ros": "jazzy"}, {"version": (3, 12)}])
def test_another_ros_or_another_python_changes_the_key(setup, change):
    assert setup.inputs_key(base(setup)) != setup.inputs_key(base(setup, **change))
    assert setup.inputs_key(base(setup)) == setup.inputs_key(base(setup))


def test_an_unsupported_python_is_refused_with_the_way_out(setup, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setattr(setup, "probe", lambda name: base(setup, version=(3, 9)))
    with pytest.raises(setup.SetUpError, match=r"3\.10 to 3\.12.*PYTHON="):
        setup.find_base()


def test_a_sourced_ros_that_no_python_can_import_is_refused_with_the_way_out(setup, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setattr(setup, "probe", lambda name: base(setup))
    with pytest.raises(setup.SetUpError, match=r"ROS_DISTRO is humble.*unset ROS_DISTRO"):
        setup.find_base()


def test_the_python_that_sees_the_sourced_ros_is_taken(setup, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setattr(setup, "probe", lambda name: base(setup, "humble" if name == "/usr/bin/python3" else None))
    assert setup.find_base().ros_distro == "humble"


def test_missing_system_packages_without_root_are_one_clear_line(setup, monkeypatch):
    monkeypatch.setattr(setup, "system_packages", lambda _: [("python3.11-venv", False), ("g++", True)])
    monkeypatch.setattr(setup.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup.SetUpError, match=r"^run: sudo apt-get install python3\.11-venv$"):
        setup.require_system_packages(base(setup))


def test_an_environment_is_made_anew_for_another_python_another_ros_or_another_place(setup, monkeypatch):
    binaries = setup.ENVIRONMENT / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "activate").write_text(f'VIRTUAL_ENV="{setup.ENVIRONMENT}"\n')
    configuration = setup.ENVIRONMENT / "pyvenv.cfg"
    configuration.write_text("include-system-site-packages = false\nversion = 3.11.7\n")
    monkeypatch.setattr(setup, "pip_works", lambda: True)
    assert setup.environment_fits(base(setup))
    assert not setup.environment_fits(base(setup, version=(3, 12)))
    assert not setup.environment_fits(base(setup, ros="jazzy"))
    monkeypatch.setattr(setup, "pip_works", lambda: False)
    assert not setup.environment_fits(base(setup))
    monkeypatch.setattr(setup, "pip_works", lambda: True)
    (binaries / "activate").write_text('VIRTUAL_ENV="/somewhere/else/.venv"\n')
    assert not setup.environment_fits(base(setup))


def test_another_environments_library_path_is_not_inherited(setup, monkeypatch):
    monkeypatch.setenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/other/.venv/lib")
    monkeypatch.setenv("VIRTUAL_ENV", "/other/.venv")
    assert (
        setup.clean_environment()
        .keys()
        .isdisjoint({"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
    )


def test_a_users_own_library_path_is_kept(setup, monkeypatch):
    monkeypatch.delenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/ros/humble/lib")
    assert setup.clean_environment()["LD_LIBRARY_PATH"] == "/opt/ros/humble/lib"


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests do not run in a virtual environment")
def test_an_activated_environment_stands_for_the_python_it_was_made_from(setup):
    found = setup.probe(sys.executable)
    assert Path(found.executable).is_relative_to(Path(sys.base_prefix).resolve())
    assert found == setup.probe(found.executable)

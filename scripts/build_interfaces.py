#!/usr/bin/env python3
"""Generate, compile and install ROS 2 interface packages into this environment, without CMake.

Where ROS 2 comes from PyPI there is rclpy and there are the common messages, but no `vision_msgs`. Its interface
definitions live in `interfaces/`; the rosidl generators that PyPI has are the ones every ROS 2 build uses, so this
script runs them in the order that `rosidl_generate_interfaces()` would, compiles with gcc and g++, and installs the
same layout as a ROS 2 build: `lib/lib<package>__*.so`, the Python package, `share/<package>` and the ament index.

Usage: .venv/bin/python scripts/build_interfaces.py interfaces/vision_msgs [--build-folder FOLDER] [--force]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

TYPESUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")
PREFIX = Path(sys.prefix)
PYTHON_PACKAGES = Path(sysconfig.get_paths()["platlib"])
PYTHON_HEADERS = Path(sysconfig.get_paths()["include"])


@dataclass(frozen=True)
class InterfacePackage:
    """A folder with `package.xml` and `msg/*.msg` (and perhaps `srv/*.srv`)."""

    name: str
    version: str
    folder: Path
    dependencies: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> InterfacePackage:
        """Read name, version and interface dependencies from `folder/package.xml`."""
        root = ElementTree.parse(folder / "package.xml").getroot()
        depends = [element.text or "" for tag in ("depend", "build_depend") for element in root.findall(tag)]
        return cls(
            name=root.findtext("name", ""),
            version=root.findtext("version", ""),
            folder=folder.resolve(),
            dependencies=tuple(sorted(name for name in set(depends) if (PREFIX / "share" / name / "msg").is_dir())),
        )

    @property
    def definitions(self) -> list[Path]:
        """Paths of the interface files, relative to the package's folder."""
        found = [
            path.relative_to(self.folder) for kind in ("msg", "srv") for path in self.folder.glob(f"{kind}/*.{kind}")
        ]
        return sorted(found)


class InterfaceBuild:
    """One package's way from definitions to an installed ROS 2 package."""

    def __init__(self, package: InterfacePackage, build_folder: Path) -> None:
        self.package = package
        self.build_folder = build_folder
        self.idl_folder = build_folder / "rosidl_adapter" / package.name
        self.idl_files: list[str] = []
        self.libraries = build_folder / "lib"
        self.libraries.mkdir(parents=True, exist_ok=True)

    def output(self, generator: str) -> Path:
        """Folder of a generator's files; its parent is the include folder."""
        return self.build_folder / generator / self.package.name

    # --- definitions to sources -------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Run the rosidl generators: .msg to .idl, type hashes, C, type supports, Python."""
        from rosidl_adapter import convert_to_idl
        from rosidl_generator_c import generate_c
        from rosidl_generator_py import generate_py
        from rosidl_generator_type_description import generate_type_hash
        from rosidl_typesupport_c import generate_c as generate_dispatch
        from rosidl_typesupport_fastrtps_c import generate_typesupport_fastrtps_c
        from rosidl_typesupport_introspection_c import generate_c as generate_introspection

        for definition in self.package.definitions:
            idl = convert_to_idl(self.package.folder, self.package.name, definition, self.idl_folder)
            self.idl_files.append(str(Path(idl).relative_to(self.idl_folder)))
        described = self._arguments("rosidl_generator_type_description", include_paths=self._dependency_folders())
        generate_type_hash(described)
        hashes = self.output("rosidl_generator_type_description")
        descriptions = [f"{idl}:{(hashes / idl).with_suffix('.json')}" for idl in self.idl_files]
        sources = [str(self.package.folder / definition) for definition in self.package.definitions]
        generate_c(
            self._arguments("rosidl_generator_c", type_description_tuples=descriptions, ros_interface_files=sources)
        )
        generate_typesupport_fastrtps_c(self._arguments("rosidl_typesupport_fastrtps_c"))
        generate_introspection(self._arguments("rosidl_typesupport_introspection_c"))
        generate_dispatch(self._arguments("rosidl_typesupport_c"), list(TYPESUPPORTS))
        self._write_visibility_headers()
        (self.output("rosidl_generator_py")).mkdir(parents=True, exist_ok=True)
        generate_py(self._arguments("rosidl_generator_py"), ["rosidl_typesupport_c", *TYPESUPPORTS])
        (self.output("rosidl_generator_py") / "__init__.py").write_text("")

    def _arguments(self, generator: str, **more: list[str]) -> str:
        """Write the arguments file in which rosidl generators read what to do; return its path."""
        output = self.output(generator)
        output.mkdir(parents=True, exist_ok=True)
        arguments = {
            "package_name": self.package.name,
            "output_dir": str(output),
            "template_dir": str(PREFIX / "share" / generator / "resource"),
            "idl_tuples": [f"{self.idl_folder}:{idl}" for idl in self.idl_files],
            "ros_interface_dependencies": [],
            "target_dependencies": [],
            **more,
        }
        path = self.build_folder / f"{generator}__arguments.json"
        path.write_text(json.dumps(arguments, indent=1))
        return str(path)

    def _dependency_folders(self) -> list[str]:
        return [f"{folder.name}:{folder}" for folder in (PREFIX / "share").iterdir() if (folder / "msg").is_dir()]

    def _write_visibility_headers(self) -> None:
        for generator in (
            "rosidl_generator_c",
            "rosidl_typesupport_fastrtps_c",
            "rosidl_typesupport_introspection_c",
        ):
            header = f"{generator}__visibility_control.h"
            template = (PREFIX / "share" / generator / "resource" / f"{header}.in").read_text()
            text = template.replace("@PROJECT_NAME_UPPER@", self.package.name.upper())
            target = self.output(generator) / "msg" / header
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text.replace("@PROJECT_NAME@", self.package.name))

    # --- sources to libraries ---------------------------------------------------------------------------------------

    def compile(self, jobs: int) -> None:
        """Compile and link every library of the package, `jobs` compiler processes at a time."""
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            objects = {stem: self._compile_sources(pool, generator) for stem, generator in self._library_sources()}
            extensions = {
                typesupport: pool.submit(self._compile_source, self._entry_point(typesupport))
                for typesupport in ("rosidl_typesupport_c", *TYPESUPPORTS)
            }
            linked: list[str] = []
            for stem, futures in objects.items():
                self._link(self.libraries / f"lib{stem}.so", [future.result() for future in futures], linked, stem)
                linked.append(stem)
            for typesupport, future in extensions.items():
                self._link_extension(typesupport, future.result(), linked)

    def _library_sources(self) -> list[tuple[str, str]]:
        """Libraries in link order, each with the generator whose sources it holds."""
        name = self.package.name
        return [
            (f"{name}__rosidl_generator_c", "rosidl_generator_c"),
            (f"{name}__rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_c"),
            (f"{name}__rosidl_typesupport_introspection_c", "rosidl_typesupport_introspection_c"),
            (f"{name}__rosidl_typesupport_c", "rosidl_typesupport_c"),
            (f"{name}__rosidl_generator_py", "rosidl_generator_py"),
        ]

    def _compile_sources(
        self, pool: concurrent.futures.ThreadPoolExecutor, generator: str
    ) -> list[concurrent.futures.Future[Path]]:
        output = self.output(generator)
        sources = sorted(path for path in output.rglob("*.c*") if ".ep." not in path.name)
        if generator == "rosidl_typesupport_fastrtps_c":
            # C++ against Fast CDR: the headers cost 3 s per file, so one translation unit takes all messages.
            sources = [self._join(sources, output.parent / "fastrtps_type_supports.cpp")]
        return [pool.submit(self._compile_source, source) for source in sources]

    @staticmethod
    def _join(sources: Sequence[Path], target: Path) -> Path:
        target.write_text("".join(f'#include "{source}"\n' for source in sources))
        return target

    def _compile_source(self, source: Path) -> Path:
        compiler = ["g++", "-std=c++17"] if source.suffix == ".cpp" else ["gcc", "-std=gnu11"]
        target = source.with_name(source.name + ".o")
        _run(
            [*compiler, "-O1", "-fPIC", "-w", *self._defines(), *self._includes(), "-c", str(source), "-o", str(target)]
        )
        return target

    def _defines(self) -> list[str]:
        return ["-DNDEBUG", "-DNPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION", "-DROS_PACKAGE_NAME=" + self.package.name]

    def _includes(self) -> list[str]:
        import numpy

        generated = [self.output(generator).parent for _, generator in self._library_sources()]
        installed = [folder for folder in (PREFIX / "include").iterdir() if folder.is_dir()]
        folders = [*generated, *installed, PREFIX / "include", PYTHON_HEADERS, Path(numpy.get_include())]
        return [f"-I{folder}" for folder in folders]

    def _entry_point(self, typesupport: str) -> Path:
        return self.output("rosidl_generator_py") / f"_{self.package.name}_s.ep.{typesupport}.c"

    def _link(self, target: Path, objects: Sequence[Path], own: Sequence[str], stem: str) -> None:
        kinds = {stem.split("__", 1)[1], "rosidl_generator_c", "rosidl_typesupport_c"}
        wanted = [f"{package}__{kind}" for package in self.package.dependencies for kind in sorted(kinds)]
        common = ["rosidl_runtime_c", "rosidl_typesupport_c", "rcutils", "rmw"]
        if "fastrtps" in stem:
            common += ["rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp", "fastcdr"]
        if "introspection" in stem:
            common += ["rosidl_typesupport_introspection_c"]
        compiler = "g++" if stem.endswith(("fastrtps_c", "rosidl_typesupport_c")) else "gcc"
        _run(
            [compiler, "-shared", "-o", str(target), f"-Wl,-soname,{target.name}", "-Wl,-rpath,$ORIGIN"]
            + [str(path) for path in objects]
            + [f"-L{self.libraries}", f"-L{PREFIX / 'lib'}", f"-Wl,-rpath-link,{PREFIX / 'lib'}"]
            + [f"-l{name}" for name in (*own, *wanted, *common)]
        )

    def _link_extension(self, typesupport: str, object_file: Path, own: Sequence[str]) -> None:
        target = self.output("rosidl_generator_py") / f"{self.package.name}_s__{typesupport}.so"
        up = os.path.relpath(PREFIX / "lib", PYTHON_PACKAGES / self.package.name)
        _run(
            ["gcc", "-shared", "-o", str(target), f"-Wl,-rpath,$ORIGIN/{up}", str(object_file)]
            + [f"-L{self.libraries}", f"-L{PREFIX / 'lib'}", f"-Wl,-rpath-link,{PREFIX / 'lib'}"]
            + [f"-l{name}" for name in (*own, "rosidl_typesupport_c", "rosidl_runtime_c", "rcutils", "rmw")]
        )

    # --- libraries to an installed package --------------------------------------------------------------------------

    def install(self) -> None:
        """Install libraries, the Python package, headers-free share files and the ament index entries."""
        for library in self.libraries.glob("*.so"):
            shutil.copy2(library, PREFIX / "lib" / library.name)
        self._install_python()
        share = PREFIX / "share" / self.package.name
        shutil.rmtree(share, ignore_errors=True)
        share.mkdir(parents=True)
        shutil.copy2(self.package.folder / "package.xml", share)
        files = []
        descriptions = self.output("rosidl_generator_type_description")
        for definition, idl in zip(self.package.definitions, self.idl_files, strict=True):
            for source, relative in (
                (self.package.folder / definition, definition),
                (self.idl_folder / idl, Path(idl)),
                ((descriptions / idl).with_suffix(".json"), Path(idl).with_suffix(".json")),
            ):
                (share / relative.parent).mkdir(exist_ok=True)
                shutil.copy2(source, share / relative)
                files.append(str(relative))
        index = PREFIX / "share" / "ament_index" / "resource_index"
        for kind, text in (("packages", ""), ("rosidl_interfaces", "\n".join(sorted(files)) + "\n")):
            (index / kind).mkdir(parents=True, exist_ok=True)
            (index / kind / self.package.name).write_text(text)

    def _install_python(self) -> None:
        target = PYTHON_PACKAGES / self.package.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(
            self.output("rosidl_generator_py"), target, ignore=shutil.ignore_patterns("*.c", "*.o", "__pycache__")
        )
        for stale in PYTHON_PACKAGES.glob(f"{self.package.name}-*.dist-info"):
            shutil.rmtree(stale)
        metadata = PYTHON_PACKAGES / f"{self.package.name}-{self.package.version}.dist-info"
        metadata.mkdir()
        text = f"Metadata-Version: 2.1\nName: {self.package.name}\nVersion: {self.package.version}\n"
        (metadata / "METADATA").write_text(text)
        (metadata / "INSTALLER").write_text("fusion_ros set-up\n")


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"build_interfaces: {' '.join(command[:1])} failed:\n{result.stderr.strip()[-3000:]}")


def _require(found: bool, what: str, cure: str) -> None:
    if not found:
        raise SystemExit(f"build_interfaces: {what} is missing; install it: {cure}")


def _is_installed(package: InterfacePackage, importable: Callable[[str], bool]) -> bool:
    return importable(package.name) and (PREFIX / "share" / package.name / "package.xml").exists()


def _importable(name: str) -> bool:
    probe = subprocess.run([sys.executable, "-c", f"import {name}.msg"], capture_output=True)
    return probe.returncode == 0


def main(argv: Sequence[str] | None = None) -> int:
    """Build and install the interface packages given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="interface packages, each with a package.xml")
    parser.add_argument("--build-folder", type=Path, help="keep the generated files here")
    parser.add_argument("--force", action="store_true", help="build even where the package is installed already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compiler processes at a time")
    arguments = parser.parse_args(argv)
    _require(shutil.which("gcc") is not None and shutil.which("g++") is not None, "a C++ compiler", "apt install g++")
    _require((PYTHON_HEADERS / "Python.h").exists(), f"Python.h ({PYTHON_HEADERS})", "apt install python3-dev")
    # The generators look packages up in the ament index of this environment.
    os.environ["AMENT_PREFIX_PATH"] = str(PREFIX)
    for folder in arguments.folders:
        package = InterfacePackage.read(folder)
        if not arguments.force and _is_installed(package, _importable):
            continue
        with tempfile.TemporaryDirectory(prefix=f"{package.name}-") as temporary:
            build = InterfaceBuild(package, (arguments.build_folder or Path(temporary)).resolve())
            with contextlib.redirect_stdout(io.StringIO()):  # rosidl_adapter reports every file
                build.generate()
            build.compile(arguments.jobs)
            build.install()
        print(f"{package.name} {package.version}: {len(package.definitions)} interfaces installed in {PREFIX}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the image: the same paths as on the node, so that nothing has to be told where it is.

Modules are stored compiled and without their source, which halves the memory.
"""

import importlib.util
import os
import py_compile
import shutil
from collections.abc import Callable
from pathlib import Path

from agents.ram.closure import Closure, wanted_in_stdlib

_MOST_LINKS = 40
_SOURCES = frozenset({".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".pyc", ".typed", ".a", ".rst"})


class Image:
    """A tree under `top`. Every method raises `OSError`."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def add_all(self, what: Closure) -> None:
        """Write everything."""
        self.add(what.interpreter)
        for path in what.files:
            self.add(path)
        for number, tree in enumerate(what.trees):
            self.add_tree(tree, wanted_in_stdlib if number == 0 else lambda _name: True)
        for module in what.modules:
            self._add_part(module)

    def add(self, path: Path) -> None:
        """Copy one file, and every symbolic link that leads to it."""
        self._follow(path, lambda real: _copy(real, self._at(real)))

    def add_tree(self, folder: Path, wanted: Callable[[str], bool]) -> None:
        """Copy a folder of modules. `wanted` is asked about each name in it, on every level."""
        self._follow(folder, lambda real: self._at(real).mkdir(exist_ok=True))
        real = folder.resolve()
        for entry in sorted(os.scandir(real), key=lambda entry: entry.name):
            if entry.name == "__pycache__" or not wanted(entry.name):
                continue
            if entry.is_dir():
                self.add_tree(real / entry.name, wanted)
            else:
                self._add_part(real / entry.name)

    def _add_part(self, path: Path) -> None:
        if path.suffix == ".py":
            self._follow(path, lambda real: _compile(real, self._at(real).with_suffix(".pyc")))
        elif path.suffix == ".pyc" or path.suffix not in _SOURCES:
            self.add(path)

    def _at(self, path: Path) -> Path:
        return self._top / path.relative_to("/")

    def _follow(self, path: Path, end: Callable[[Path], object]) -> None:
        """Make the folders and links on the way to `path`, and call `end` with the real one."""
        here, rest, links = Path("/"), list(path.parts[1:]), 0
        while rest:
            here /= rest.pop(0)
            if here.is_symlink():
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(f"{path}: too many symbolic links")
                target = here.readlink()
                if not self._at(here).is_symlink():
                    self._at(here).symlink_to(target)
                whole = Path(os.path.normpath(here.parent / target))
                here, rest = Path("/"), [*whole.parts[1:], *rest]
            elif rest:
                self._at(here).mkdir(exist_ok=True)
        end(here)


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _compile(source: Path, target: Path) -> None:
    """Store a module compiled; what Python has cached is taken as it is."""
    if target.exists():
        return
    cached = Path(importlib.util.cache_from_source(str(source)))
    if cached.exists() and cached.stat().st_mtime >= source.stat().st_mtime:
        shutil.copyfile(cached, target)
        return
    try:
        py_compile.compile(str(source), str(target), doraise=True)
    except py_compile.PyCompileError:  # a template that only looks like a module
        return

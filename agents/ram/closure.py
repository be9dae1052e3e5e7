"""What the agent needs in order to run, found by looking at this very process.

Everything is imported first; then the loaded modules and the mapped libraries are the list. The
standard library is taken whole, without what no daemon uses, so that what is imported only in
an emergency is there too.
"""

import ctypes
import importlib
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

_OURS = ("agents", "common")
_DISTRIBUTION = "pimedic"
_NOT_NEEDED = frozenset({
    "__phello__", "config", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3",
    "msilib", "pydoc_data", "site-packages", "sqlite3", "test", "tests", "tkinter", "turtledemo",
    "unittest", "venv",
})  # fmt: skip
_NO_LIBRARY = re.compile(r"_test|_tkinter|_sqlite3|_curses|_dbm|_gdbm|_xx|nis|ossaudiodev|readline")
_DLOPENED = ("libgcc_s.so.1",)  # by glibc itself, the first time a thread is ended
_OTHER_FILES = ("/etc/ld.so.cache", "/etc/localtime")


@dataclass(frozen=True, slots=True)
class Closure:
    """Absolute paths. `trees` are folders of Python modules, `files` are taken as they are."""

    interpreter: Path
    search_path: tuple[str, ...]
    trees: tuple[Path, ...]
    modules: tuple[Path, ...]
    files: tuple[Path, ...]


def closure() -> Closure:
    """Import what the agent may ever import, and list it. Raises `ImportError`."""
    _import_everything()
    names = sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
    trees, modules = [Path(sysconfig.get_path("stdlib"))], []
    for name in names:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if spec and spec.submodule_search_locations:
            trees += [Path(folder) for folder in spec.submodule_search_locations]
        elif spec and spec.origin and Path(spec.origin).is_absolute():
            modules.append(Path(spec.origin))
    return Closure(
        interpreter=Path(sys.executable).resolve(),
        search_path=tuple(path for path in sys.path if path and Path(path).is_dir()),
        trees=tuple(trees),
        modules=tuple(modules),
        files=(
            *(Path(name) for name in _loaded_libraries()),
            *_metadata(),
            *(path for path in map(Path, _OTHER_FILES) if path.exists()),
        ),
    )


def wanted_in_stdlib(name: str) -> bool:
    """Tell whether a file or folder of the standard library is worth its memory."""
    return (
        name not in _NOT_NEEDED and not name.startswith("config-") and not _NO_LIBRARY.match(name)
    )


def _import_everything() -> None:
    for name in _OURS:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    for name in _required():
        importlib.import_module(name)
    for library in _DLOPENED:
        with suppress(OSError):
            ctypes.CDLL(library)


def _required() -> Iterator[str]:
    """Yield the modules of what the agent's role requires: some are imported only when used.

    Each of these distributions has one module, of its own name.
    """
    for text in distribution(_DISTRIBUTION).requires or ():
        requirement, _, marker = text.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name and ("extra" not in marker or "agent" in marker):
            yield name[0].replace("-", "_")


def _metadata() -> Iterator[Path]:
    """Yield what tells the version."""
    for file in distribution(_DISTRIBUTION).files or ():
        if file.name == "METADATA":
            yield Path(str(file.locate())).resolve()


class _Loaded(ctypes.Structure):
    """The beginning of struct dl_phdr_info, see dl_iterate_phdr(3)."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


def _loaded_libraries() -> list[str]:
    """Return every library of this process by the path under which it was found."""
    found: list[str] = []

    def note(info: "ctypes._Pointer[_Loaded]", _size: int, _data: object) -> int:
        name = info.contents.name or b""
        if name.startswith(b"/"):
            found.append(name.decode())
        return 0

    shape = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p
    )
    ctypes.CDLL(None).dl_iterate_phdr(shape(note), None)
    return found

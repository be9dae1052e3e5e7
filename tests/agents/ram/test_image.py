"""What is copied into memory, and how."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from agents.ram.closure import Closure, wanted_in_stdlib
from agents.ram.image import Image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Where an image is written."""
    top = tmp_path / "image"
    top.mkdir()
    return top


def _inside(top: Path, path: Path) -> Path:
    return top / path.relative_to("/")


def test_every_link_on_the_way_is_kept(tmp_path: Path, image: Path) -> None:
    """A library found through a linked folder and a linked name is found so in the image."""
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/libz.so.1.2").write_text("the library")
    (tmp_path / "usr/lib/libz.so.1").symlink_to("libz.so.1.2")
    Image(image).add(tmp_path / "lib/libz.so.1")
    found = _inside(image, tmp_path / "lib/libz.so.1")
    assert found.readlink() == Path("libz.so.1.2")
    assert found.parent.readlink() == Path("usr/lib")
    assert found.read_text() == "the library"


def test_an_absolute_link_stays_absolute(tmp_path: Path, image: Path) -> None:
    """In the image it is resolved from the image's root, as it will be by who lives there."""
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    Image(image).add(tmp_path / "link")
    assert _inside(image, tmp_path / "link").readlink() == tmp_path / "real"
    assert _inside(image, tmp_path / "real").read_text() == "x"


def test_a_circle_of_links_is_an_error(tmp_path: Path, image: Path) -> None:
    """And not an endless loop."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many symbolic links"):
        Image(image).add(tmp_path / "a")


def test_modules_are_stored_compiled(tmp_path: Path, image: Path) -> None:
    """Python imports them without their source; data goes along, sources and tests don't."""
    package = tmp_path / "site/package"
    (package / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text("from package.part import ANSWER")
    (package / "part.py").write_text("ANSWER = 42")
    (package / "broken.py").write_text("this is a template {{ }} (")
    (package / "data.pem").write_text("data")
    (package / "part.pyi").write_text("ANSWER: int")
    (package / "tests/test_it.py").write_text("")
    Image(image).add_tree(package, wanted_in_stdlib)
    there = _inside(image, package)
    names = sorted(path.name for path in there.iterdir())
    assert names == ["__init__.pyc", "data.pem", "part.pyc"]
    say = "import package; print(package.ANSWER, package.__file__.endswith('.pyc'))"
    environment = {**os.environ, "PYTHONPATH": str(there.parent)}
    said = subprocess.run(
        [sys.executable, "-c", say], env=environment, capture_output=True, check=True, text=True
    )
    assert said.stdout == "42 True\n"


@pytest.fixture(scope="module")
def whole() -> Closure:
    """What this very installation needs, as a process sees it that has nothing else loaded."""
    say = "import pickle, sys; from agents.ram.closure import closure;"
    say += "sys.stdout.buffer.write(pickle.dumps(closure()))"
    said = subprocess.run([sys.executable, "-c", say], capture_output=True, check=True)
    found = pickle.loads(said.stdout)  # noqa: S301 - our own
    assert isinstance(found, Closure)
    return found


def test_the_closure_holds_what_runs_now(whole: Closure) -> None:
    """The interpreter, the loader, the C library, and each third-party package with its parts."""
    assert whole.interpreter == Path(sys.executable).resolve()
    names = {path.name for path in whole.files}
    assert any(name.startswith("ld-linux") for name in names)
    assert "libc.so.6" in names
    packages = {path.name for path in whole.trees}
    assert {"agents", "common", "aiohttp", "pydantic", "pydantic_core", "dbus_fast"} <= packages
    assert not packages & {"supervisor", "console", "lab", "fastapi", "asyncssh"}


def test_the_image_runs_without_the_disk(whole: Closure, image: Path) -> None:
    """Every module of the agent is imported from the image alone, by the image's interpreter.

    Without root there is no chroot here, so the search path is moved instead; what the
    interpreter loads before that doesn't count.
    """
    Image(image).add_all(whole)
    paths = [str(_inside(image, Path(path).resolve())) for path in whole.search_path]
    say = (
        f"import sys; sys.path[:] = {paths!r}; before = set(sys.modules)\n"
        "import agents.app, agents.main, importlib.metadata\n"
        "print(importlib.metadata.version('pimedic'))\n"
        "new = [m for name, m in sys.modules.items() if name not in before]\n"
        "specs = [spec for m in new if (spec := getattr(m, '__spec__', None))]\n"
        "files = [spec.origin for spec in specs if spec.has_location]\n"
        f"print(len(files) > 300, [f for f in files if not f.startswith({str(image)!r})][:5])"
    )
    argv = [sys.executable, "-I", "-S", "-B", "-c", say]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[1] == "True []"

"""What is built can be installed elsewhere: an sdist, a wheel made of it, an empty environment, a dump cleaned there.

`make package` runs these; they fetch all dependencies, so without it they are skipped.
"""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("runkit", "corpus", "selfinstruct", "train", "judge")
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("WENHAI_PACKAGE") != "1", reason="`make package` installs all dependencies anew"),
]


def done(*words: object, cwd: Path) -> str:
    """What a command that must succeed says; nothing of this environment leads it back to the repository."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ended = subprocess.run([str(word) for word in words], cwd=cwd, env=clean, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def shipped() -> set[str]:
    """Every file of the packages that git knows, and the configs where the wheel has them."""
    listed = done("git", "ls-files", "-zco", "--exclude-standard", *PACKAGES, "configs", cwd=ROOT).split("\0")
    names = [name for name in listed if name and (ROOT / name).is_file()]
    return {f"runkit/{name}" if name.startswith("configs/") else name for name in names}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made from it."""
    place = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "build", "--outdir", place, ROOT, cwd=place)
    return next(place.glob("*.tar.gz")), next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an empty environment with the wheel in it."""
    place = tmp_path_factory.mktemp("venv")
    done(sys.executable, "-m", "venv", place, cwd=place)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    done(*pip, "--upgrade", "pip>=24.1", cwd=place)
    done(*pip, "--constraint", ROOT / "constraints.txt", built[1], cwd=place)
    return place / "bin"


def test_the_wheel_holds_the_packages_whole_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == shipped()


def test_the_sdist_holds_what_the_readme_needs_and_no_more(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "Makefile", "runs/cpu.sh", "configs/model-5m.yaml", "examples/seeds.jsonl"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops <= {*PACKAGES, "configs", "docs", "examples", "runs", "PKG-INFO", "pyproject.toml"} | {
        *("README.md", "README.zh.md", "CHANGELOG.md", "Makefile", "constraints.txt", ".gitignore")
    }
    assert not [name for name in names if name.endswith((".pyc", ".big")) or name.startswith("runs/out")]


def test_what_is_installed_belongs_together(installed: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in done(installed / "python", "-m", "pip", "check", cwd=tmp_path)


@pytest.mark.parametrize("command", ["corpus", "selfinstruct", "train", "judge"])
def test_the_commands_are_there(installed: Path, command: str, tmp_path: Path) -> None:
    assert done(installed / command, "--help", cwd=tmp_path).startswith(f"Usage: {command}")


def test_the_installed_commands_work_far_from_the_repository(installed: Path, tmp_path: Path) -> None:
    dump, seeds = ROOT / "examples" / "dump", ROOT / "examples" / "seeds.jsonl"
    cleaned = json.loads(
        done(installed / "corpus", "clean", dump, "--out", "clean", "--json", "-q", cwd=tmp_path).splitlines()[0]
    )
    assert cleaned["documents"]["kept"] > 40
    done(installed / "train", "tokenizer", "fit", "clean", "--vocab", "2000", "--out", "tokenizer", cwd=tmp_path)
    words = ("generate", "--seeds", seeds, "--model", "template", "--n", "20", "--out", "made")
    done(installed / "selfinstruct", *words, cwd=tmp_path)
    assert len((tmp_path / "made" / "instructions.jsonl").read_bytes().splitlines()) == 20

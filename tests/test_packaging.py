"""What an installation is made of: locks, the source distribution, and simulating without torch."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.cli.test_app import call, imported_by
from tests.workspace import shared_cache, trained_folder, workspace

__all__ = ["shared_cache", "trained_folder", "workspace"]

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def names(lines: str) -> dict[str, str]:
    """Name to whole requirement."""
    found = [line.strip() for line in lines.splitlines() if re.match(r"\s*[A-Za-z]", line)]
    return {
        re.split(r"[<>=;\s]", line)[0].lower().replace("_", "-").replace(".", "-"): line
        for line in found
    }


def wanted() -> dict[str, str]:
    return names(setup()["options"]["install_requires"])


def test_every_file_that_the_lock_installs_has_a_hash() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry
    assert "://" not in LOCK


def test_torch_alone_is_apart_because_one_version_has_several_builds() -> None:
    assert re.fullmatch(r"torch==[0-9.]+\n", (ROOT / "requirements-torch.lock").read_text())
    extras = "\n".join(setup()["options.extras_require"].values())
    assert {*wanted(), *names(extras)} - set(names(LOCK)) == {"torch"}
    makefile = (ROOT / "Makefile").read_text()
    assert "--no-deps --require-hashes -r requirements.lock" in makefile
    assert "-r requirements-torch.lock" in makefile


def test_what_simulating_needs_is_listed_with_the_packages_own_bounds(workspace) -> None:
    listed = names((ROOT / "requirements-simulate.txt").read_text())
    assert {name: wanted()[name] for name in listed} == listed
    call("run", "small.yaml", "-o", "out", "--workers", 1)
    (stored,) = (workspace / "out" / "profiles").iterdir()
    loaded: set[str] = set()
    for engine in ("simpy", "compiled"):
        setting = f"simulation.engine={engine}"
        loaded |= imported_by(
            "simulate", stored, "small.yaml", "--workers", 1, "-o", engine, "--set", setting
        )
    distributions = packages_distributions()
    tops = {module.partition(".")[0] for module in loaded} | statically_imported()
    needed = {name.lower().replace("_", "-") for top in tops for name in distributions.get(top, [])}
    # matplotlib loads Pillow for itself, and asks for it itself.
    assert needed & set(wanted()) - {"pillow"} == set(listed)


def statically_imported() -> set[str]:
    """Names of modules that the system half imports anywhere, also where a run didn't come by."""
    sources = setup()["importlinter:contract:system-half"]["source_modules"].split()
    found: set[str] = set()
    for source in sources:
        path = ROOT.joinpath(*source.split("."))
        for file in [*path.rglob("*.py"), *([path.with_suffix(".py")] * (not path.is_dir()))]:
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"flexrel_sim"}


def test_the_readme_says_how_to_install_for_simulating() -> None:
    text = (ROOT / "README.md").read_text()
    assert "pip install -r requirements-simulate.txt\n" in text
    assert "pip install --no-deps .\n" in text


FOLDERS = ("benchmarks", "docs", "models", "notebooks", "scenarios", "tests", "flexrel_sim")
FILES = ("Makefile", "requirements.lock", "requirements-torch.lock", "requirements-simulate.txt")


def test_the_source_distribution_holds_all_that_its_tests_and_demo_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    unwanted = shutil.ignore_patterns(
        ".git", ".venv", "results", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, copy, ignore=unwanted)
    build = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (archive,) = (copy / "dist").iterdir()
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    needed = {
        file.relative_to(copy).as_posix()
        for folder in FOLDERS
        for file in (copy / folder).rglob("*")
        if file.is_file() and "egg-info" not in str(file)
    }
    assert needed | set(FILES) <= held

"""The package as it is built and released: version, extras, workflows, changelog."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

import pytest
import yaml

import wsframe
from tests.documents import ROOT
from tests.patience import PATIENCE
from tests.requirements import missing

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]

FOR_DEVELOPERS = {"bench", "dev", "docs", "examples", "foreign", "fuzz", "soak", "test", "testing"}
"""Extras that a program in production does not need."""


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / ".github/workflows" / f"{name}.yml").read_text())


def commands(made: Any) -> list[str]:
    return [step["run"] for job in made["jobs"].values() for step in job["steps"] if "run" in step]


def test_all_has_every_extra_that_a_program_can_use() -> None:
    (whole,) = EXTRAS["all"]
    named = re.fullmatch(r"wsframe\[([\w,]+)\]", whole)
    assert named is not None
    # "redis" is the faster of two libraries for one feature, and cannot be installed everywhere.
    assert named[1].split(",") == sorted(EXTRAS.keys() - FOR_DEVELOPERS - {"all", "redis"})
    assert "coredis" in named[1]


@pytest.mark.parametrize(("setting", "compiled"), [(None, True), (0, True), (1, False)])
def test_a_free_threaded_python_gets_no_extension(
    setting: int | None, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}
    for name in ("setuptools", "setuptools.command", "setuptools.command.build_ext"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    package = sys.modules["setuptools"]
    package.Distribution = type("Distribution", (), {"has_ext_modules": lambda self: True})  # type: ignore[attr-defined]
    package.setup = made.update  # type: ignore[attr-defined]
    sys.modules["setuptools.command.build_ext"].build_ext = object  # type: ignore[attr-defined]
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: setting)
    monkeypatch.delenv("WSFRAME_PURE", raising=False)
    runpy.run_path(str(ROOT / "setup.py"))
    assert made["distclass"]().has_ext_modules() == compiled


def test_no_wheel_with_c_is_built_for_a_free_threaded_python() -> None:
    assert "cp*t-*" in PROJECT["tool"]["cibuildwheel"]["skip"]


def test_the_version_has_a_single_source() -> None:
    assert "version" not in PROJECT["project"]
    assert "version" in PROJECT["project"]["dynamic"]
    assert not re.search(r'^__version__ = "', (ROOT / "wsframe/__init__.py").read_text(), re.MULTILINE)


def test_a_copy_that_is_not_installed_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    assert wsframe.__version__ == "0+unknown"
    with pytest.raises(AttributeError, match="has no attribute 'version'"):
        wsframe.version  # type: ignore[attr-defined]  # noqa: B018


def test_importing_does_not_read_the_version() -> None:
    code = "import sys, wsframe; assert 'importlib.metadata' not in sys.modules, 'slow'"
    bare = "import sys, trio, wsproto, h11; sys.exit('importlib.metadata' in sys.modules)"
    if subprocess.run([sys.executable, "-c", bare], check=False, timeout=PATIENCE).returncode:
        missing("wsframe cannot be measured: a dependency reads versions at its import")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_ci_runs_the_same_command_with_each_python() -> None:
    made = workflow("ci")
    assert ".ci/run" in commands(made)
    pythons = made["jobs"]["checks"]["strategy"]["matrix"]["python"]
    classified = re.findall(r":: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE)
    assert set(classified) <= set(pythons)
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"


NODE_24 = {
    "actions/checkout": 5,
    "actions/setup-python": 6,
    "actions/upload-artifact": 6,
    "actions/download-artifact": 7,
    "pypa/cibuildwheel": 4,
}
"""The first release of each action that does not need Node 20, which GitHub's runners do not have any more."""


@pytest.mark.parametrize("name", ["ci", "release"])
def test_the_runners_have_all_that_a_workflow_uses(name: str) -> None:
    made = workflow(name)
    for job in made["jobs"].values():
        for step in job["steps"]:
            action, _, release = step.get("uses", "").partition("@")
            if action and action != "pypa/gh-action-pypi-publish":  # a container
                assert int(release.lstrip("v").partition(".")[0]) >= NODE_24[action], step["uses"]
        systems = job.get("strategy", {}).get("matrix", {}).get("os", [job["runs-on"]])
        assert "macos-13" not in systems, "retired; macos-15-intel is the one with an Intel processor"


@pytest.mark.parametrize("name", ["ci", "release"])
def test_a_checkout_has_the_tags_that_the_version_comes_from(name: str) -> None:
    made = workflow(name)
    steps = [step for job in made["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["fetch-depth"] == 0 for step in checkouts)


def test_a_release_has_an_sdist_and_a_wheel_without_c() -> None:
    release = commands(workflow("release"))
    assert "python -m build --sdist" in release
    assert "WSFRAME_PURE=1 python -m build --wheel" in release


def test_fragments_go_where_the_changes_begin() -> None:
    settings = PROJECT["tool"]["towncrier"]
    changes = (ROOT / settings["filename"]).read_text()
    assert changes.count(settings["start_string"]) == 1
    assert changes.index("Compatibility\n---") < changes.index(settings["start_string"])


def test_each_fragment_has_a_kind() -> None:
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    for path in (ROOT / "newsfragments").iterdir():
        assert path.name == "README.rst" or re.fullmatch(rf"[+\w-]+\.({'|'.join(kinds)})\.rst", path.name), path.name

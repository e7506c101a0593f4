"""The workflows name only what is there, and ask for no more rights than they need."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from colab_versions import PINS, updated, versions  # noqa: E402

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            yield pytest.param(job, id=f"{path.stem}-{name}")


def commands(job):
    return "\n".join(step["run"] for step in job.get("steps", []) if "run" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_reads_by_default_and_has_a_trigger(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]  # `on` is a truth value in YAML 1.1


@pytest.mark.parametrize("job", list(jobs()))
def test_a_job_ends_and_takes_actions_of_a_stated_version(job):
    if "uses" in job:  # another workflow
        assert (ROOT / job["uses"]).is_file()
        return
    assert job["timeout-minutes"]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("job", list(jobs()))
def test_a_job_calls_what_there_is(job):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
    for target in re.findall(r"^ *make (\S+)", commands(job), re.MULTILINE):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for path in re.findall(r"(?<![\w./])(?:tools|tests|\.ci|\.github)/[\w./]+", commands(job)):
        assert (ROOT / path).exists(), path


def test_needs_name_jobs():
    for path in WORKFLOWS:
        named = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        assert all(job.get("needs", "checks") in named for job in named.values() if "needs" in job)


def test_the_pages_that_are_published_are_those_that_were_tested():
    checks, publish = (
        yaml.safe_load((ROOT / ".github/workflows" / name).read_text()) for name in ("checks.yml", "publish.yml")
    )
    assert publish["jobs"]["publish"]["needs"] == "checks"
    uploads = [
        step["with"]["name"] for step in checks["jobs"]["book"]["steps"] if "upload-artifact" in step.get("uses", "")
    ]
    assert publish["jobs"]["publish"]["steps"][0]["with"]["name"] in uploads


def pins():
    needs = [Requirement(line.strip()) for line in PINS.read_text().splitlines() if line[0] != "#"]
    return {need.name: next(iter(need.specifier)).version for need in needs}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib")
def test_the_package_accepts_colabs_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + [
        need for extra in project.get("optional-dependencies", {}).values() for need in extra
    ]
    asked += [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]
    colab = pins()
    for need in map(Requirement, asked):
        if need.name in colab:
            assert need.specifier.contains(colab[need.name]), f"{need}, Colab has {colab[need.name]}"


def test_versions_are_read_however_pip_writes_them():
    freeze = (
        "# made by pip\nnumpy==2.1.3\nscikit_image==0.25.2\ntorch==2.11.0+cu128\n"
        "torchvision @ https://host/cu128/torchvision-0.26.0%2Bcu128-cp313-cp313-linux_x86_64.whl#sha256=ab\n"
    )
    assert versions(freeze) == {
        "numpy": "2.1.3",
        "scikit-image": "0.25.2",
        "torch": "2.11.0",
        "torchvision": "0.26.0",
    }


def test_only_the_versions_of_the_pins_change():
    assert updated("# why\ntorch==2.9.0\n", "numpy==2\ntorch==2.11.0+cu128\n") == "# why\ntorch==2.11.0\n"
    with pytest.raises(KeyError):
        updated("torch==2.9.0\n", "numpy==2\n")

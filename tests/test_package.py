"""What others take: the installed engine without the page, and the folder for the Hub."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from setuptools.compat.py310 import tomllib
from transformers import dynamic_module_utils

from tests.support import tiny_models as tiny

ROOT = Path(__file__).resolve().parent.parent
HUB = ROOT / "hub" / "token-recycling"
PICTURES = ("gradio", "plotly", "networkx")


def requirements(*files):
    """{name: version range} of requirement files, without the files that they include."""
    lines = [line.strip() for file in files for line in (ROOT / file).read_text().splitlines()]
    return ranges(line for line in lines if line and not line.startswith(("#", "-")))


def ranges(lines):
    found = [Requirement(line) for line in lines]
    assert len({r.name.lower() for r in found}) == len(found), "one stands there twice"
    return {r.name.lower(): r.specifier for r in found}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_a_space_installs_what_pyproject_says():
    asked = [*project()["dependencies"], *project()["optional-dependencies"]["page"]]
    assert requirements("requirements.txt") == ranges(asked)


def test_the_versions_we_test_with_are_within_the_ranges():
    pins = {
        name: str(spec).removeprefix("==") for name, spec in requirements("constraints.txt").items()
    }
    extras = [line for lines in project()["optional-dependencies"].values() for line in lines]
    wanted = ranges([*project()["dependencies"], *extras]) | requirements("requirements-dev.txt")
    for name, spec in wanted.items():
        assert pins[name] in spec, name
    for name, spec in ranges(project()["optional-dependencies"]["split"]).items():
        assert requirements("requirements-dev.txt")[name] == spec


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what ``pip install .`` would put there, built from a copy of the sources."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "tr_core", source / "tr_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "wheel").glob("*.whl")
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site


def run(site, code, *arguments):
    """``code`` in a process that finds the engine in ``site`` only, and no package of the page
    anywhere.
    """
    hidden = f"import sys; sys.modules.update(dict.fromkeys({PICTURES}));"
    return subprocess.run(
        [sys.executable, "-c", hidden + code, *arguments],
        cwd=site,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def test_the_engine_installs_without_the_page(installed):
    code = (
        "import tr_core; print(tr_core.__file__); [getattr(tr_core, name) for name in"
        " tr_core.__all__]"
    )
    done = run(installed, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(installed / "tr_core" / "__init__.py")
    assert {p.name for p in installed.iterdir() if p.suffix != ".dist-info"} == {"tr_core"}
    (info,) = installed.glob("*.dist-info")
    told = metadata.Distribution.at(info)
    assert told.version == __import__("tr_core").__version__
    needed = [Requirement(r) for r in told.requires]
    assert not {r.name for r in needed if r.marker is None} & {*PICTURES, "accelerate"}
    assert {r.name for r in needed if r.marker and r.marker.evaluate({"extra": "page"})} >= set(
        PICTURES
    )


def test_the_installed_command_works_and_says_what_pictures_need(installed):
    (info,) = installed.glob("*.dist-info")
    (script,) = metadata.Distribution.at(info).entry_points
    assert (script.name, script.value) == ("token-recycling", "tr_core.__main__:door")
    prompt = [
        "run",
        "--model",
        str(ROOT / "assets/models/pocket"),
        "--prompt",
        "once upon",
        "--max-new-tokens",
        "3",
    ]
    # One process for both, as importing torch takes seconds.
    twice = (
        "import tr_core.__main__ as m; first = m.door(); sys.argv += ['--html', 'x.html'];"
        "print('status', first, m.door()); sys.exit(0)"
    )
    done = run(installed, twice, *prompt, "--tree", "chain-4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("3 tokens in ") == 1
    assert done.stdout.splitlines()[-1] == "status 0 2"
    assert "--html needs the package viz" in done.stderr.splitlines()[-1]


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """transformers copies a folder's code to its cache before it runs it."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_the_hub_folder_decodes_as_plain_generate_does(modules):
    decoder, tokenizer = tiny.model("llama"), tiny.byte_tokenizer()
    inputs = torch.tensor([[5, 9, 33, 41, 5, 9, 33, 41, 17, 5, 9]])
    folder = {"custom_generate": str(HUB), "trust_remote_code": True, "tree": "small-8"}
    free = decoder.generate(inputs, max_new_tokens=20, eos_token_id=None)
    word = tokenizer.decode(free[0, 16:18])
    steps = []
    for settings in (
        {"max_new_tokens": 20, "eos_token_id": None},
        {"max_new_tokens": 20, "repetition_penalty": 1.3, "do_sample": True, "top_k": 9},
        {"max_length": 31, "eos_token_id": None, "stop_strings": [word], "tokenizer": tokenizer},
    ):
        torch.manual_seed(3)
        expected = decoder.generate(inputs, **settings)
        torch.manual_seed(3)
        found = decoder.generate(inputs, **settings, **folder, on_step=steps.append)
        assert found.tolist() == expected.tolist()
    assert len(steps) < 40


def test_the_hub_folder_runs_only_if_it_is_trusted(modules):
    with pytest.raises(ValueError, match="trust_remote_code"):
        tiny.model("llama").generate(
            torch.tensor([[5, 9]]), custom_generate=str(HUB), trust_remote_code=False
        )


def test_the_hub_folder_says_what_to_install():
    code = (
        "sys.modules['tr_core'] = None;"
        f" exec(open({str(HUB / 'custom_generate/generate.py')!r}).read())"
    )
    done = run(ROOT, code)
    last = done.stderr.strip().splitlines()[-1]
    assert "needs the package token-recycling-explorer" in last
    assert "pip install ." in last


def test_the_hub_folder_is_complete():
    front = re.match(r"---\n(.*?)\n---\n", (HUB / "README.md").read_text(), re.S)[1]
    assert "custom_generate" in re.search(r"^tags: \[(.*)\]$", front, re.M)[1].split(", ")
    assert {
        str(p.relative_to(HUB))
        for p in HUB.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    } == {
        "README.md",
        "custom_generate/generate.py",
        "custom_generate/requirements.txt",
    }
    engine = ranges(project()["dependencies"])
    for name in requirements("hub/token-recycling/custom_generate/requirements.txt"):
        assert name in engine

"""The rooms of design.md §3, held by walking the imports: app → ui → viz → tr_core, never back."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The command line's door hands the engine a function that draws; like app.py it stands between two
# rooms. No module of the engine imports it, so `import tr_core` still knows no pictures (see
# test_the_engine_works_without_pictures).
DOOR = ROOT / "tr_core" / "__main__.py"
ENGINE = sorted(set((ROOT / "tr_core").rglob("*.py")) - {DOOR})
VIZ = sorted((ROOT / "viz").rglob("*.py"))
UI = sorted((ROOT / "ui").rglob("*.py"))
# Packages and files of the engine, each of which may import those before it.
LAYERS = [
    "errors", "files", "trees", "settings", "trace", "attention", "analysis", "budget", "target", "drafters",
    "decoding", "models", "generate", "cli",
]  # fmt: skip
TORCH_FREE = ["errors", "files", "settings", "trees", "trace", "analysis", "budget"]
TORCH_FREE_FILES = [
    *(p for p in ENGINE if p.relative_to(ROOT / "tr_core").with_suffix("").parts[0] in TORCH_FREE),
    *(
        ROOT / "tr_core" / f
        for f in (
            "decoding/checkpoint.py",
            "cli/prompts.py",
            "models/catalog.py",
            "models/torchrun.py",
        )
    ),
]
# What a picture may read: records, and what is thought about them.
READABLE = ("tr_core.errors", "tr_core.trees", "tr_core.trace", "tr_core.analysis")


def imports(path):
    """Top-level names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


def ids(paths):
    return [str(p.relative_to(ROOT)) for p in paths]


@pytest.mark.parametrize("path", ENGINE, ids=ids(ENGINE))
def test_the_engine_knows_no_ui(path):
    assert not {"gradio", "viz", "ui", "app", "plotly", "networkx"} & set(imports(path))


def test_the_door_opens_to_the_pictures_only():
    assert not {"gradio", "ui", "app", "torch", "transformers"} & set(imports(DOOR))
    assert not [p for p in (*ENGINE, *VIZ, *UI) if "tr_core.__main__" in p.read_text()]


def test_the_engine_works_without_pictures(tmp_path):
    """As after ``pip install``, where viz does not come along; what it needs may be missing too."""
    (tmp_path / "tr_core").symlink_to(ROOT / "tr_core")
    command = [sys.executable, "-m", "tr_core"]
    assert subprocess.run([*command, "drafters"], cwd=tmp_path, capture_output=True).returncode == 0
    asked = [*command, "run", "--model", "pocket", "--prompt", "x", "--html", "x.html"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "--html needs the package viz" in done.stderr


@pytest.mark.parametrize("path", VIZ, ids=ids(VIZ))
def test_pictures_know_neither_torch_nor_gradio(path):
    assert not {"torch", "transformers", "gradio", "ui", "app"} & set(imports(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tr_core"):
            assert node.module == "tr_core" or node.module.startswith(READABLE)


@pytest.mark.parametrize("name", ["records/analysis_record", "figures/charts"])
def test_what_is_made_after_each_step_makes_no_object_of_plotly_s(name):
    assert "plotly" not in set(imports(ROOT / "viz" / f"{name}.py"))


@pytest.mark.parametrize("path", UI, ids=ids(UI))
def test_the_page_touches_no_tensor(path):
    assert not {"torch", "transformers", "app"} & set(imports(path))
    if path.name not in {"build.py", "theme.py", "gradio_errors.py"}:
        assert "gradio" not in set(imports(path))


@pytest.mark.parametrize("path", TORCH_FREE_FILES, ids=ids(TORCH_FREE_FILES))
def test_the_thinking_parts_import_no_torch(path):
    assert not {"torch", "transformers"} & set(imports(path))


@pytest.mark.parametrize("path", ENGINE, ids=ids(ENGINE))
def test_each_layer_of_the_engine_knows_only_those_below(path):
    own = path.relative_to(ROOT / "tr_core").with_suffix("").parts[0]
    if own == "__init__":
        return
    below = set(LAYERS[: LAYERS.index(own) + 1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tr_core"):
            names = (
                [node.module.split(".")[1]] if "." in node.module else [a.name for a in node.names]
            )
            assert set(names) <= below | {"__version__"}, f"{path}: {names}"


@pytest.mark.parametrize(
    "module",
    [
        "viz",
        "tr_core",
        "tr_core.trace.records",
        "tr_core.analysis.metrics",
        "tr_core.analysis.diagnosis_report",
    ],
)
def test_importing_costs_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", ENGINE, ids=ids(ENGINE))
def test_the_engine_has_no_device_literal_no_sleep_no_print_no_global_state(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert not re.search(r"\.cuda\(|[\"']cuda", text)
    calls = {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert "sleep" not in names
    assert path.name == "main.py" or "print" not in calls
    for node in tree.body:
        # Tables in capitals are constants; anything else that can change is state.
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Set):
            assert all(
                t.id.isupper() or t.id.strip("_").isupper() or t.id == "__all__"
                for t in node.targets
            )


def test_all_exports_exist():
    import tr_core
    import viz

    for module in (tr_core, viz):
        for name in module.__all__:
            assert getattr(module, name) is not None

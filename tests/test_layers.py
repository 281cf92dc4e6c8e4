"""The layers of docs/structure.md, held by walking all imports, those for types included.

``app → ui → viz → tr_core``, never back, and within each the order below; no cycle between modules.
"""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("tr_core", "viz", "ui", "benchmarks", "scripts", "tests", "hub")
ENGINE = ["errors", "files", "trees", "settings", "trace", "attention", "analysis", "budget",
          "target", "drafters", "decoding", "models", "generate", "cli"]  # fmt: skip
VIZ = ["assets", "layout", "figures", "records", "lessons", "export"]
# Packages and modules, lowest first: each imports only itself and those before it.
LAYERS = [
    *(f"tr_core.{name}" for name in ENGINE),
    "tr_core",  # the names that others import
    *(f"viz.{name}" for name in VIZ),
    "viz",
    "tr_core.__main__",  # hands the command line the function that draws
    *(f"ui.{name}" for name in ("server", "runs", "tab", "page")),
    "ui",
    "app",
]
NAMESPACES = {"tr_core", "viz", "ui"}  # as layers they are their __init__.py only
BROWSER = {
    "words": {"words"},
    "kit": {"words", "kit"},
    "state": {"words", "kit", "state"},
    "tour": {"words", "kit", "state", "tour"},
    "frame": {"words", "kit", "state", "frame"},
    "panels": {"words", "kit", "state", "frame", "panels"},
}
TORCH = {"torch", "transformers"}
NO_TORCH = ("errors", "files", "trees", "settings", "trace", "analysis", "budget", "cli.prompts",
            "decoding.checkpoint", "models.catalog", "models.torchrun")  # fmt: skip
# What a picture may read: records, and what is derived from them.
READABLE = ("errors", "trees", "trace", "analysis")
MOST_FILES = 20


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PATHS = {
    dotted(path): path
    for path in sorted(
        [
            ROOT / "app.py",
            *(p for room in ("tr_core", "viz", "ui") for p in ROOT.glob(f"{room}/**/*.py")),
        ]
    )
}
TREES = {module: ast.parse(path.read_text()) for module, path in PATHS.items()}


def imported(module):
    """Full names of all that a module imports, wherever in the file."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full != "tr_core.__version__":  # a constant, no name of another module
                    yield full if full in PATHS else node.module


IMPORTS = {module: set(imported(module)) for module in PATHS}


def within(module, packages):
    return any(module == p or module.startswith(f"{p}.") for p in packages)


def layer(module):
    """The index of the longest layer that the module belongs to."""
    homes = [n for n in LAYERS if within(module, [n]) and (n == module or n not in NAMESPACES)]
    assert homes, f"{module} belongs to no layer"
    return LAYERS.index(max(homes, key=len))


def scripts():
    """{file: files it imports, types in JSDoc included}, as paths below their folder."""
    paths = [*ROOT.glob("viz/static/**/*.js"), *ROOT.glob("ui/**/*.js")]
    names = {
        p: str(p.relative_to(ROOT / ("viz/static" if p.is_relative_to(ROOT / "viz") else "")))
        for p in paths
    }
    found = {}
    for path in paths:
        targets = re.findall(
            r"""^[^/*\n]*\bfrom "(\.[^"]+)"|\bimport\(?\s*"(\.[^"]+)\"""", path.read_text(), re.M
        )
        found[names[path]] = {names[(path.parent / "".join(t)).resolve()] for t in targets}
    return found


SCRIPTS = scripts()


def cycle(graph):
    """One cycle of a graph, or None."""
    left = {
        name: {t for t in targets if t in graph and t != name} for name, targets in graph.items()
    }
    try:
        TopologicalSorter(left).prepare()
    except CycleError as error:
        return error.args[1]


def test_each_layer_imports_only_those_below():
    upward = [
        f"{module} imports {target}"
        for module, targets in IMPORTS.items()
        for target in targets & PATHS.keys()
        if layer(target) > layer(module)
    ]
    assert not upward


def test_each_layer_of_the_browser_imports_only_those_below():
    upward = [
        f"{name} imports {target}"
        for name, targets in SCRIPTS.items()
        if (room := name.split("/")[0]) in BROWSER
        for target in targets
        if target.split("/")[0] not in BROWSER[room]
    ]
    assert not upward


@pytest.mark.parametrize("graph", [IMPORTS, SCRIPTS], ids=["python", "javascript"])
def test_no_modules_import_each_other_in_a_cycle(graph):
    assert sum(map(len, graph.values())) > 50, "imports must be found at all"
    assert cycle(graph) is None


def test_a_cycle_would_be_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None


def test_only_the_engine_s_upper_layers_import_torch():
    free = [f"tr_core.{name}" for name in NO_TORCH]
    for module in PATHS:
        if within(module, [*free, "viz", "ui", "app", "tr_core.__main__"]):
            assert not TORCH & {name.split(".")[0] for name in IMPORTS[module]}, module


def test_pictures_read_records_and_nothing_else_of_the_engine():
    readable = ["tr_core", *(f"tr_core.{name}" for name in READABLE)]
    for module in PATHS:
        if within(module, ["viz"]):
            engine = {name for name in IMPORTS[module] if within(name, ["tr_core"])}
            assert all(n == "tr_core" or within(n, readable[1:]) for n in engine), module


def test_only_the_page_imports_gradio_and_the_engine_no_pictures():
    for module, targets in IMPORTS.items():
        foreign = {name.split(".")[0] for name in targets}
        assert "gradio" not in foreign or within(module, ["app", "ui.page"]), module
        if within(module, ["tr_core"]):
            assert not {"plotly", "networkx"} & foreign, module


@pytest.mark.parametrize("module", ["viz.records.analysis_record", "viz.figures.charts"])
def test_what_is_drawn_after_each_step_needs_no_plotly(module):
    assert "plotly" not in {name.split(".")[0] for name in IMPORTS[module]}


def test_the_engine_works_without_pictures(tmp_path):
    """As after ``pip install``, where viz is not installed, nor what it needs."""
    (tmp_path / "tr_core").symlink_to(ROOT / "tr_core")
    command = [sys.executable, "-m", "tr_core"]
    assert subprocess.run([*command, "drafters"], cwd=tmp_path, capture_output=True).returncode == 0
    asked = [*command, "run", "--model", "pocket", "--prompt", "x", "--html", "x.html"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "--html needs the package viz" in done.stderr


def test_importing_costs_no_torch():
    modules = "viz, tr_core, tr_core.trace.records, tr_core.analysis.metrics"
    code = f"import sys, {modules}, tr_core.analysis.diagnosis_report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not {"torch", "gradio"} & set(done.stdout.split())
    assert "viz" in done.stdout.split()


@pytest.mark.parametrize("module", [m for m in PATHS if within(m, ["tr_core"])])
def test_the_engine_has_no_device_literal_no_sleep_no_print_no_global_state(module):
    if module == "tr_core.__main__":
        return
    tree = TREES[module]
    assert not re.search(r"\.cuda\(|[\"']cuda", PATHS[module].read_text())
    calls = {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert "sleep" not in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert module == "tr_core.cli.main" or "print" not in calls
    for node in tree.body:
        # Tables in capitals are constants; anything else that can change is state.
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Set):
            assert all(
                t.id.isupper() or t.id.strip("_").isupper() or t.id == "__all__"
                for t in node.targets
            )


def test_no_folder_of_code_has_more_than_twenty_files():
    folders = [ROOT, *(f for room in CODE for f in (ROOT / room, *ROOT.glob(f"{room}/**/")))]
    for folder in folders:
        files = [p for p in folder.iterdir() if p.suffix in {".py", ".js", ".css"}]
        assert len(files) <= MOST_FILES, folder


def test_no_pointer_to_a_document_that_is_not_here():
    here = Path(__file__)
    files = [*PATHS.values(), *(p for room in CODE for p in ROOT.glob(f"{room}/**/*.py"))]
    pointers = [p for p in files if p != here and "design.md" in p.read_text()]
    assert not pointers


def test_all_exports_exist():
    import tr_core
    import viz

    for module in (tr_core, viz):
        for name in module.__all__:
            assert getattr(module, name) is not None

"""What a Hugging Face Space reads of this repository, and which models it offers where."""

import re
from pathlib import Path

import pytest
import torch

from tests.support import tiny_models
from tr_core import Session, Settings
from tr_core.attention.families import FAMILIES
from tr_core.models import catalog
from ui.runs.loaded_models import LoadedModels
from ui.runs.zerogpu import GpuCalls
from ui.server.limits import Limits

ROOT = Path(__file__).resolve().parent.parent
FRONT = dict(
    line.split(": ", 1)
    for line in (ROOT / "README.md").read_text().split("---")[1].strip().splitlines()
    if ": " in line
)


def pinned(name, file):
    return re.search(rf"^{name}[=><~]=(\S+?)(,.*)?$", (ROOT / file).read_text(), re.MULTILINE)[1]


def test_gradio_has_one_version_everywhere():
    assert FRONT["sdk_version"] == pinned("gradio", "constraints.txt")
    assert FRONT["sdk_version"].startswith(pinned("gradio", "requirements.txt"))


def test_the_front_matter_names_what_is_there():
    assert (FRONT["sdk"], FRONT["app_file"]) == ("gradio", "app.py")
    assert (ROOT / FRONT["app_file"]).is_file()
    assert len(FRONT["short_description"]) <= 60  # longer ones are refused
    preloaded = re.findall(
        r"^ {2}- (\S+)", (ROOT / "README.md").read_text().split("---")[1], re.MULTILINE
    )
    assert set(preloaded) <= {entry.source for entry in catalog.SUGGESTED}
    assert preloaded


def test_no_file_is_over_what_a_space_takes_without_lfs():
    tracked = [p for p in (ROOT / "assets").rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in tracked) < 10_000_000


@pytest.mark.parametrize("entry", catalog.SUGGESTED, ids=lambda e: e.name.split("/")[-1])
def test_each_model_fits_the_hardware_that_it_is_offered_on(entry):
    assert entry.needs_gb <= (
        entry.gpu_gb or 6
    )  # a free CPU Space has 16 GB for all visitors together
    assert entry.dtype == ("bfloat16" if entry.gpu_gb else "float32")
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.source)
    family = entry.source.split("/")[1].split("-")[0].lower()
    assert any(family.startswith(known) for known in [*FAMILIES, "smollm", "qwen2.5", "mistral"])


@pytest.mark.parametrize(
    ("gpu_gb", "largest"),
    [(0, "Qwen2.5-0.5B"), (15.8, "SmolLM3-3B"), (23.8, "Mistral-7B"), (47.8, "14B"), (85, "32B")],
)
def test_only_what_fits_is_offered(gpu_gb, largest):
    offered = catalog.fitting(gpu_gb)
    assert offered[0].name == "pocket"
    assert largest in offered[-1].name


def test_a_model_is_moved_with_all_that_belongs_to_it():
    target = tiny_models.target("llama")
    moved = target.moved("cpu")
    ids = target.vocabulary.encode("the then")
    outputs = [Session(t, Settings(max_new_tokens=12)).start(ids) for t in (target, moved)]
    for session in outputs:
        list(session.run())
    assert outputs[0].output_ids == outputs[1].output_ids
    assert moved.device == torch.device("cpu")


def test_on_zero_gpu_only_the_placed_model_is_offered():
    models = LoadedModels(Limits(), load=lambda source, progress: tiny_models.target("llama"))
    models.get("pocket")
    models.calls = GpuCalls(models)
    assert [entry.name for entry in models.offered()] == ["pocket"]
    with pytest.raises(Exception, match="Only pocket can be run here"):
        models.get("Qwen/Qwen2.5-0.5B-Instruct")

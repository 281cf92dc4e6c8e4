"""Files that are there by half: a model whose download goes on, and exports for which the disk had
no room.
"""

import json
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import tiny_models, viz_runs
from tests.support.page_runs import request
from tr_core import Settings
from tr_core.cli import main as cli
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.errors import MatrixError, TokenRecyclingError, TraceError
from tr_core.files import CannotWriteError, write_text
from tr_core.trace import read_trace
from ui.page import api
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.server.limits import Limits
from ui.tab.browser_state import SaveRequest
from ui.tab.tab import Tab, Tabs

LIMITS = Limits()


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_models.model("llama").save_pretrained(folder, max_shard_size="40KB")
    tiny_models.byte_tokenizer().save_pretrained(folder)
    return folder


def shards(folder):
    return sorted(folder.glob("model-*.safetensors"))


def cut(name, share=0.5):
    def change(folder):
        file = next(iter(sorted(folder.glob(name))))
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    return change


def names_a_file_that_is_nowhere(folder):
    index = folder / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"][next(iter(told["weight_map"]))] = "model-00009-of-00009.safetensors"
    index.write_text(json.dumps(told))


def names_a_file_outside(folder):
    index = folder / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"][next(iter(told["weight_map"]))] = (
        f"../{folder.name}/{shards(folder)[0].name}"
    )
    index.write_text(json.dumps(told))


def room_was_made_and_nothing_written(folder):
    size = shards(folder)[-1].stat().st_size
    shards(folder)[-1].write_bytes(bytes(size))


def only_the_first_files_are_there(folder):
    for file in [*shards(folder)[1:], folder / "tokenizer.json"]:
        file.unlink()
    (folder / f"{shards(folder)[0].name}.incomplete").write_bytes(b"1234")


FAULTS = {
    "a weight file is missing": (
        lambda f: shards(f)[1].unlink(),
        "incomplete: 1 of 3 weight files are missing",
    ),
    "a weight file is cut short": (
        cut("model-*.safetensors", 0.7),
        "is damaged or cut short: download it again",
    ),
    "a weight file's head is cut short": (
        cut("model-*.safetensors", 0.01),
        "is damaged or cut short",
    ),
    "a weight file is all zeros": (room_was_made_and_nothing_written, "is damaged or cut short"),
    "the index names a file that is nowhere": (
        names_a_file_that_is_nowhere,
        "first “model-00009-of-00009.safetensors”",
    ),
    "the index names a file outside": (
        names_a_file_outside,
        "lists no weight files: download the model again",
    ),
    "the index is cut short": (cut("*.index.json"), "“model.safetensors.index.json” of"),
    "the tokenizer is cut short": (cut("tokenizer.json"), "The tokenizer of"),
    "the tokenizer's config is cut short": (cut("tokenizer_config.json"), "The tokenizer of"),
    "the config is cut short": (cut("config.json"), "“config.json” of"),
    "the end ids are cut short": (cut("generation_config.json"), "“generation_config.json” of"),
    "the download goes on": (only_the_first_files_are_there, "2 of 3 weight files are missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_half_written_model_gets_one_sentence_at_every_door(whole_model, tmp_path, capsys, fault):
    change, words = FAULTS[fault]
    folder = Path(shutil.copytree(whole_model, tmp_path / "tiny"))
    change(folder)
    wanted = Request(str(folder), "the then", Settings(max_new_tokens=4))

    models = LoadedModels(LIMITS)
    (record,) = (
        r for r in map(json.loads, Tab(models, LIMITS).step(wanted)) if r["type"] != "loading"
    )
    with pytest.raises(TokenRecyclingError) as caught:
        list(api.records(models, LIMITS, wanted))
    status = cli.main(
        ["run", "--model", str(folder), "--prompt", "the then", "--max-new-tokens", "4"]
    )
    told = capsys.readouterr()

    sentence = record["sentence"]
    assert record["type"] == "error"
    assert words in sentence
    assert sentence.endswith(".")
    assert str(caught.value) == sentence
    assert (status, told.out, told.err) == (2, "", f"error: {sentence}\n")
    assert models.loaded == []
    # Once all of it is there, the same server loads it.
    shutil.copytree(whole_model, folder, dirs_exist_ok=True)
    assert models.get(str(folder)).vocab_size == tiny_models.VOCAB


@contextmanager
def room_for(bytes):
    """Files of this process may grow to so many bytes, and no farther; the system's own way to say
    no.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_does_not_fit_on_the_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("of yesterday")
    with (
        room_for(1000),
        pytest.raises(CannotWriteError, match="its old content is untouched"),
    ):
        write_text(path, "x" * 5000)
    assert path.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [path]
    write_text(path, "of today")
    assert path.read_text() == "of today"


def test_the_command_line_tells_it_in_a_sentence(tmp_path, capsys):
    trace, table = tmp_path / "run.json", tmp_path / "steps.csv"
    trace.write_text(viz_runs.tiny_run().to_json())
    table.write_text("of yesterday")
    with room_for(100):
        status = cli.main(["diagnose", str(trace), "--csv", str(table)])
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: “{table}” cannot be written (")
    assert table.read_text() == "of yesterday"
    assert cli.main(["diagnose", str(trace), "--csv", str(table)]) == 0


def test_a_run_whose_files_do_not_fit_is_told_all_the_same_and_what_fits_is_written(
    tmp_path, capsys
):
    matrix, trace = tmp_path / "m.safetensors", tmp_path / "run.json"
    run = [
        "run",
        "--model",
        "pocket",
        "--prompt",
        "once upon a time",
        "--max-new-tokens",
        "8",
        "--json",
    ]
    with room_for(60_000):  # the matrix has more
        status = cli.main([*run, "--matrix-out", str(matrix), "--trace", str(trace)])
    said = capsys.readouterr()
    assert status == 2
    assert json.loads(said.out.splitlines()[-1])["new_tokens"] == 8
    assert "m.safetensors" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert len(read_trace(trace).output_ids) == 8


def test_a_matrix_that_does_not_fit_leaves_the_one_that_was_there(tmp_path):
    path = tmp_path / "m.safetensors"
    CandidateMatrix(1000, 8).save(path, "old")
    before = path.read_bytes()
    with room_for(1000), pytest.raises(MatrixError, match="cannot be written"):
        CandidateMatrix(1000, 8).save(path, "new")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def saved(what):
    return SaveRequest(what)


def test_the_page_tells_it_keeps_the_run_and_clears_what_was_begun():
    visitors = Tabs(
        LoadedModels(LIMITS, load=lambda source, progress: tiny_models.target("llama")), LIMITS
    )
    try:
        list(visitors.get("tab").run(request()))
        for what in ("json", "html", "nodes.csv"):
            with room_for(1000), pytest.raises(TraceError, match="nothing on the screen is lost"):
                visitors.save("tab", saved(what))
        assert list(Path(visitors._folder.name).iterdir()) == []
        assert Path(visitors.save("tab", saved("json"))).stat().st_size > 1000
        assert visitors.get("tab").workspace.trace.stop_reason == "max_new_tokens"
    finally:
        visitors.close()

"""Models in several places: layers on several devices, layers cut over several processes. The
output is the same.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.hooks import attach_align_device_hook_on_blocks
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM

from tests.support import tiny_models as tiny
from tests.support.peer_worker import PROMPT, decoded, without_clock
from tr_core import load_target, token_recycling
from tr_core.cli.main import main
from tr_core.drafters import registry
from tr_core.errors import TokenRecyclingError
from tr_core.models.loading import build_target, examine, wrap
from tr_core.trees import templates

ROOT = Path(__file__).resolve().parents[2]
# A tiny Llama of three layers, its second half elsewhere.
FIRST, SECOND = (
    ("model.embed_tokens", "model.rotary_emb", "model.layers.0"),
    ("model.layers.1", "model.layers.2"),
)
LAST = ("model.norm", "lm_head")


@pytest.fixture(scope="module")
def whole():
    return tiny.model("llama", num_hidden_layers=3)


@pytest.fixture(scope="module")
def folder(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("llama")
    whole.save_pretrained(path)
    tiny.byte_tokenizer().save_pretrained(path)
    return path


def test_weights_that_come_from_disk_for_each_pass(whole, folder):
    # accelerate's hooks do the same work here as between GPUs: weights and what layers hand on are
    # moved before each.
    places = {**dict.fromkeys(FIRST + LAST, "cpu"), **dict.fromkeys(SECOND, "disk")}
    for split in (places, {"": "disk"}):
        target = load_target(str(folder), device_map=split, attention="eager")
        assert {p.device.type for p in target._loaded.model.parameters()} >= {"meta"}, (
            "all weights were at hand"
        )
        for settings in ({}, {"temperature": 0.8, "seed": 3}):
            # A split model is not packed, and packed products may round otherwise.
            unpacked = build_target(whole, examine(whole), tiny.byte_tokenizer(), name=str(folder))
            expected = decoded(unpacked, **settings)
            found = decoded(target.fork(), **settings)
            assert without_clock(found) == without_clock(expected)
    assert found.info.device == "disk"


def test_generate_takes_a_split_model_as_it_comes(whole, folder):
    ids = torch.tensor([PROMPT])
    split = AutoModelForCausalLM.from_pretrained(
        folder, device_map={"": "disk"}, dtype=torch.float32
    )
    expected = whole.generate(ids, max_new_tokens=20, eos_token_id=None)
    found = split.generate(
        ids, max_new_tokens=20, eos_token_id=None, custom_generate=token_recycling, tree="small-8"
    )
    assert found.tolist() == expected.tolist()


def test_static_steps_leave_a_split_model_alone(folder):
    target = load_target(str(folder), device_map={"": "disk"})
    trace = decoded(target, capture="on", max_new_tokens=3)
    assert trace.info.execution == "ordinary: the model is split over several devices"


def put(model, places):
    """Put modules of a model of fake tensors on fake devices."""
    for name, device in places.items():
        for module in model.get_submodule(name).modules():
            for key, tensor in module._parameters.items():
                if tensor is not None:
                    moved = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                    module._parameters[key] = torch.nn.Parameter(moved, requires_grad=False)
            for key, tensor in module._buffers.items():
                module._buffers[key] = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)


def test_no_operation_mixes_the_devices_of_a_layer_split():
    # Fake tensors have a device and no memory, and refuse to be mixed as those of two GPUs would.
    # The tree and the matrix are where the logits are, each layer's keys and values where the layer
    # is.
    with FakeTensorMode():
        config = tiny.config("llama", num_hidden_layers=3)
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa"
        ).eval()
        split = {**dict.fromkeys(FIRST, "cpu"), **dict.fromkeys(SECOND + LAST, "cpu:1")}
        put(model, split)
        hooks, offload = {"": "cpu", **split}, dict.fromkeys(split, False)
        kept = model._skip_keys_device_placement
        attach_align_device_hook_on_blocks(model, hooks, offload, skip_keys=kept)
        target = build_target(model, examine(model))
        drafter = registry.create("token_recycling", target.vocab_size, 8, target.device)

        def learn(offset, logits):
            assert logits.device == target.device
            drafter.observe_prompt(torch.tensor(PROMPT[:-1]), logits.topk(8).indices)

        target.prefill(PROMPT[:-1], learn)
        for nodes in ((0, 3, 12), (0,), (0, 1)):
            draft = drafter.propose(PROMPT[-1:], templates.paper())
            drafter.observe(draft, target.score(draft).topk(8).indices)
            target.keep(nodes)
        target.rewind(11)
        places = [str(layer.keys.device) for layer in target._cache.layers]
        assert (places, target.length) == (["cpu", "cpu:1", "cpu:1"], 11)


@pytest.fixture(scope="module")
def two(folder, tmp_path_factory):
    """What two processes of tensor parallelism told, over gloo, and the folder they wrote to."""
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What torchrun would set, without a third process that imports torch.
    common = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "tests.support.peer_worker", str(folder), str(out)]
    processes = []
    for rank in ("0", "1"):
        environment = os.environ | common | {"RANK": rank, "LOCAL_RANK": rank}
        with (out / f"log{rank}").open("w") as log:
            processes.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            )
    try:
        done = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert done == [0, 0], [(out / f"log{rank}").read_text()[-3000:] for rank in range(2)]
    return [json.loads((out / f"told{rank}").read_text()) for rank in range(2)], out


def test_two_processes_write_what_one_writes(two, whole, folder):
    (first, second), _ = two
    assert first["processes"] == second["processes"] == 2
    for name in (
        "greedy",
        "sampled",
        "strict",
        "static",
        "dynamic",
        "auto",
        "cost",
        "plain",
        "ours",
    ):
        assert first[name] == second[name], name
    target = wrap(whole, tiny.byte_tokenizer(), str(folder))
    for name, settings in {
        "greedy": {},
        "sampled": {"temperature": 0.8, "seed": 3},
        "strict": {"strict": True},
    }.items():
        expected, found = without_clock(decoded(target.fork(), **settings)), first[name]
        assert [s["emitted"] for s in found["steps"]] == [
            s["emitted"] for s in expected["steps"]
        ], name
        assert [s["tokens"] for s in found["steps"]] == [s["tokens"] for s in expected["steps"]], (
            name
        )
    assert (
        first["static"]["info"]["execution"] == "ordinary: the model is split over several devices"
    )
    assert first["auto"] == list(decoded(target.fork()).output_ids)
    assert first["ours"] == first["plain"]


def test_where_processes_disagree_the_first_decides(two, whole, folder):
    # The second one's logits are noise: only choices, rows and ends that the first has decided can
    # be the same.
    (first, second), _ = two
    target = wrap(whole, tiny.byte_tokenizer(), str(folder))
    assert first["noisy"] == second["noisy"] == list(decoded(target).output_ids)
    assert first["dice"] == second["dice"]
    assert first["late"] == second["late"] == len(PROMPT) + 20


def test_the_command_line_under_torchrun_speaks_and_writes_once(two):
    (first, second), out = two
    (line,) = first["spoken"].splitlines()
    told = json.loads(line)
    assert (told["new_tokens"], told["identical"], told["device"]) == (
        9,
        True,
        "2 processes with cpu",
    )
    assert json.loads((out / "trace0").read_text())["info"]["device"] == "2 processes with cpu"
    assert (first["status"], second["status"], second["spoken"]) == (0, 0, "")
    assert (first["refused"], second["refused"], second["complained"]) == (2, 2, "")
    assert first["complained"].startswith("error: The temperature must be")
    assert {p.name for p in out.iterdir()} >= {"rows0"}
    assert not {p.name for p in out.iterdir()} & {"rows1", "trace1"}
    assert first["left"]
    assert second["left"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device_map": "oak"}, "“oak” is no way to split a model"),
        ({"device_map": {}}, "must name modules and their devices"),
        ({"device_map": {"": "oak"}}, "“oak” in the device map is no device"),
        ({"device_map": "auto", "device": "cpu"}, "use --device auto"),
        ({"device_map": "auto", "dtype": "fast"}, "measured on a whole model"),
        ({"device_map": "auto", "tensor_parallel": True}, "by layers or over processes, not both"),
        ({"tensor_parallel": True}, "start them with torchrun"),
    ],
)
def test_splits_that_make_no_sense_are_refused(folder, options, words):
    with pytest.raises(TokenRecyclingError) as told:
        load_target(str(folder), **options)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("family", "processes", "words"),
    [
        ("gpt2", "2", "cannot cut the layers of the family “gpt2”"),
        ("llama", "4", "2 key and value heads cannot be divided evenly among 4 processes"),
    ],
)
def test_models_whose_layers_cannot_be_cut_are_refused_before_loading(
    tmp_path, monkeypatch, family, processes, words
):
    tiny.config(family).save_pretrained(
        tmp_path
    )  # no weights are there, so that loading them would fail
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(TokenRecyclingError, match=words):
        load_target(str(tmp_path), tensor_parallel=True)


def test_a_split_by_layers_says_when_accelerate_is_missing(folder, monkeypatch):
    monkeypatch.setattr("tr_core.models.distributed.find_spec", lambda name: None)
    with pytest.raises(TokenRecyclingError, match="pip install accelerate"):
        load_target(str(folder), device_map="auto")


def test_the_device_map_of_the_command_line(folder, tmp_path, capsys):
    words = [
        "run",
        "--model",
        str(folder),
        "--prompt",
        "the then",
        "--tree",
        "small-8",
        "--max-new-tokens",
        "3",
    ]
    file = tmp_path / "map.json"
    for text, status, told in (
        ('{"": "disk"}', 0, ""),
        ("{", 2, "is no readable JSON file"),
        ("[1]", 2, "must name modules and their devices"),
    ):
        file.write_text(text)
        assert main([*words, "--json", "--device-map", str(file)]) == status
        captured = capsys.readouterr()
        assert told in captured.err
        assert (json.loads(captured.out)["device"] == "disk") if status == 0 else captured.out == ""

"""Whatever is wrong with a model, the user reads one sentence that says what and what to do; a
whole one loads.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support import tiny_models as tiny
from tr_core.errors import ModelError, SettingsError, TokenRecyclingError, UnsupportedModelError
from tr_core.models.load_progress import silence_libraries
from tr_core.models.loading import load_target
from tr_core.settings import Settings


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tiny llama with its tokenizer, on disk."""
    folder = tmp_path_factory.mktemp("models") / "tiny llama"
    tiny.model("llama").save_pretrained(folder)
    tiny.byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def broken(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """transformers' bars and tables stay away: the doors put their one line there."""
    capfd.readouterr()
    yield
    assert capfd.readouterr().err == ""


def sentence(folder: Path | str, **options: str) -> str:
    """What the user reads instead of a model."""
    with pytest.raises(TokenRecyclingError) as caught:
        load_target(str(folder), **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 350
    return text


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def split(folder: Path) -> None:
    """Save the weights again, in several files."""
    (folder / "model.safetensors").unlink()
    with silence_libraries():
        tiny.model("llama").save_pretrained(folder, max_shard_size="40KB")


def test_a_saved_model_loads_and_writes_as_before(saved: Path) -> None:
    target = load_target(str(saved))
    assert (target.family, target.vocab_size, target.max_length) == (
        "llama",
        tiny.VOCAB,
        tiny.LENGTH,
    )
    assert (str(target.device), target.dtype, target.attention) == ("cpu", torch.float32, "sdpa")
    prompt = target.vocabulary.encode("the theme")
    expected = tiny.target("llama", "sdpa").plain_ids(prompt, Settings(max_new_tokens=20))
    assert target.plain_ids(prompt, Settings(max_new_tokens=20)) == expected


def test_dtype_and_attention_are_as_asked(saved: Path) -> None:
    target = load_target(
        str(saved), dtype="bfloat16", attention="eager", device="cpu", allow_download=False
    )
    assert (target.dtype, target.attention) == (torch.bfloat16, "eager")


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def cut(name: str, share: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * share)])

    return change


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lose_a_shard(folder: Path) -> None:
    split(folder)
    sorted(folder.glob("model-0*.safetensors"))[1].unlink()


def lose_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (remove("config.json"), "holds no model: there is no config.json in it"),
        (cut("config.json", 0.5), "“config.json” of “{}” is damaged or cut short"),
        (lambda f: (f / "config.json").write_text("[]"), "holds no JSON object"),
        (lambda f: edit_config(f, hidden_size="wide"), "The config.json of “{}” cannot be used"),
        (lambda f: edit_config(f, hidden_size=16), "“{}” cannot be loaded"),
        (
            lambda f: edit_config(f, model_type="nonsuch"),
            "the kind “nonsuch”, which this version of transformers does not",
        ),
        (
            lambda f: edit_config(
                f, model_type="nonsuch", auto_map={"AutoModelForCausalLM": "evil.Model"}
            ),
            "brings its own code, which is never run here",
        ),
        (
            lambda f: edit_config(f, model_type="bloom"),
            "Models of the family “bloom” cannot be decoded by trees",
        ),
        (
            lambda f: edit_config(f, model_type="vit"),
            "Models of the family “vit” do not write text",
        ),
        (remove("model.safetensors"), "has a config but no weights"),
        (only_pickle, "has its weights only as “pytorch_model.bin”"),
        (
            cut("model.safetensors", 0.7),
            "The weight file “model.safetensors” of “{}” is damaged or cut short",
        ),
        (
            cut("model.safetensors", 0),
            "The weight file “model.safetensors” of “{}” is damaged or cut short",
        ),
        (lose_a_shard, "is incomplete: 1 of"),
        (lose_a_tensor, "1 tensors are missing, first “model.layers.1.mlp.up_proj.weight”"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{"), "is damaged or cut short"),
        (remove("tokenizer.json"), "has no tokenizer"),
        (cut("tokenizer.json", 0.5), "The tokenizer of “{}” cannot be loaded"),
    ],
)
def test_a_broken_folder_is_told_apart(
    broken: Path, change: Callable[[Path], None], expected: str
) -> None:
    change(broken)
    assert expected.format(broken) in sentence(broken)


def test_a_model_in_several_files_loads(broken: Path) -> None:
    split(broken)
    assert len(list(broken.glob("*.safetensors"))) > 2
    assert load_target(str(broken)).vocab_size == tiny.VOCAB


def test_code_that_comes_with_a_model_is_left_alone(broken: Path) -> None:
    # A family that transformers knows needs none of it.
    (broken / "evil.py").write_text("raise SystemExit('ran')")
    edit_config(
        broken, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    )
    assert load_target(str(broken)).family == "llama"


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "holds an adapter, not a model" in sentence(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "There is no folder “”"),
        ("./no/such/folder", "There is no folder “./no/such/folder”"),
        ("/no/such", "There is no folder"),
        ("a b c", "There is no folder “a b c”"),
        ("x\0y", "There is no folder"),
        ("x" * 5000, "no folder"),
        (__file__, "is a file: give the folder"),
    ],
)
def test_a_name_that_is_no_model_is_told_at_once(name: str, expected: str) -> None:
    assert expected in sentence(name)


def test_without_a_network_a_hub_id_fails_at_once_and_says_why() -> None:
    began = time.monotonic()
    assert "downloading is off" in sentence("someone/no-such-model", allow_download=False)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        ({"device": "warp"}, ModelError, "“warp” is no device"),
        (
            {"device": "meta"},
            ModelError,
            "There is no device “meta” that torch can use on this computer",
        ),
        ({"device": "cuda:99"}, ModelError, "There is no device “cuda:99”"),
        (
            {"dtype": "int4"},
            SettingsError,
            "“int4” is no dtype for a model: use auto, fast, float32",
        ),
        (
            {"attention": "flash_attention_2"},
            ModelError,
            "takes no tree mask: use auto or sdpa or eager",
        ),
        ({"attention": "flex_attention"}, ModelError, "takes no tree mask"),
    ],
)
def test_a_choice_that_cannot_be_is_told(
    saved: Path, options: dict[str, str], kind: type[TokenRecyclingError], expected: str
) -> None:
    assert expected in sentence(saved, **options)
    with pytest.raises(kind):
        load_target(str(saved), **options)


def test_sdpa_is_refused_where_the_family_has_none(tmp_path: Path) -> None:
    with silence_libraries():
        tiny.model("gemma2").save_pretrained(tmp_path)
    tiny.byte_tokenizer().save_pretrained(tmp_path)
    assert "“gemma2” have no exact “sdpa” attention" in sentence(tmp_path, attention="sdpa")
    assert load_target(str(tmp_path)).attention == "eager"


def test_refusals_are_model_errors() -> None:
    assert issubclass(UnsupportedModelError, ModelError)

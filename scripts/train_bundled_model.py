"""Train the bundled model from nothing: tokenizer, model, checkpoint.

    python scripts/train_bundled_model.py --data ../shared/data --minutes 120

Runs on CPU or GPU, prints a line of progress every 20 steps, and saves a checkpoint every few
minutes under ``--work``; after an interruption the same command resumes there. When the
minutes are used up the weights are rounded to bfloat16 and written to ``--out`` as safetensors in
files under 10 MB. ``scripts/evaluate_bundled_model.py`` then measures them and writes the model
card.

The schedule follows the time spent, not a step count: a slower machine trains on fewer tokens, and
still ends with the learning rate at zero.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import corpus
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"
WEIGHTS = {"stories": 0.27, "maths": 0.26, "plays": 0.05, "python": 0.29, "copying": 0.13}
WINDOW, BATCH = 512, 12
LONG_WINDOW, LONG_FROM = 1024, 0.85  # the last part of the time trains on longer windows
WARMUP = 0.02


def model_config(vocab_size: int, end_id: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=end_id,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )


def train_tokenizer(domains: dict[str, list[str]], vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Equal shares, so that no domain's words crowd out another's; copying repeats the others' text.
    texts = (
        d
        for name in ("stories", "maths", "plays", "python")
        for d in _first(domains[name], 4_000_000)
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def _first(documents: list[str], characters: int):
    for document in documents:
        if characters <= 0:
            return
        characters -= len(document)
        yield document


def encode(documents: list[str], tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Token ids of all documents, each after an end token, as one (T,) int32 tensor."""
    end = tokenizer.eos_token_id
    ids = [np.array([end, *row], dtype=np.int32) for row in tokenizer(documents)["input_ids"]]
    return torch.from_numpy(np.concatenate(ids))


def batch(
    streams: dict[str, torch.Tensor], rng: np.random.Generator, size: int, window: int
) -> torch.Tensor:
    names = rng.choice(list(WEIGHTS), size=size, p=list(WEIGHTS.values()))
    starts = [rng.integers(0, len(streams[n]) - window - 1) for n in names]
    return torch.stack(
        [streams[n][s : s + window + 1] for n, s in zip(names, starts, strict=True)]
    ).long()


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the embedding and the norms."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(inner, lr=3e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def save_checkpoint(folder: Path, model, opts, progress: dict) -> None:
    """Write to a temporary name first: an interruption never leaves half a checkpoint."""
    tensors = {f"model.{n}": p.detach().contiguous() for n, p in model.named_parameters()}
    for o, opt in enumerate(opts):
        for i, state in opt.state_dict()["state"].items():
            tensors |= {f"opt.{o}.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    save_file(tensors, folder / "checkpoint.tmp", metadata={"progress": json.dumps(progress)})
    os.replace(folder / "checkpoint.tmp", folder / "checkpoint.safetensors")
    (folder / "progress.json").write_text(json.dumps(progress))


def load_checkpoint(folder: Path, model, opts) -> dict:
    tensors = load_file(folder / "checkpoint.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for o, opt in enumerate(opts):
        state = opt.state_dict()
        for key, value in tensors.items():
            if key.startswith(f"opt.{o}."):
                _, _, i, field = key.split(".")
                state["state"].setdefault(int(i), {})[field] = value
        opt.load_state_dict(state)
    return json.loads((folder / "progress.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with the files that corpus.SOURCES names"
    )
    parser.add_argument(
        "--minutes", type=float, default=120, help="training time in all, over interruptions"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/pocket"), help="checkpoints go here"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("assets/models/pocket"), help="the finished model"
    )
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    domains = {
        name: corpus.split(docs)[0]
        for name, docs in corpus.load_domains(args.data, args.seed).items()
    }
    if not (args.work / "tokenizer.json").exists():
        train_tokenizer(domains, args.vocab).save_pretrained(args.work)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.work)
    streams = {name: encode(docs, tokenizer) for name, docs in domains.items()}
    print("training tokens:", {n: len(s) for n, s in streams.items()}, flush=True)

    torch.manual_seed(args.seed)
    model = LlamaForCausalLM(model_config(len(tokenizer), tokenizer.eos_token_id)).to(args.device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters on {args.device}", flush=True)
    opts = optimizers(model)
    base_lrs = [[g["lr"] for g in o.param_groups] for o in opts]
    progress = {"seconds": 0.0, "tokens": 0, "step": 0}
    if (args.work / "checkpoint.safetensors").exists():
        progress = load_checkpoint(args.work, model, opts)
        print(
            f"going on after {progress['seconds'] / 60:.1f} minutes, step {progress['step']}",
            flush=True,
        )

    budget, saved, smooth = args.minutes * 60, time.monotonic(), None
    while (share := progress["seconds"] / budget) < 1:
        began = time.monotonic()
        window = LONG_WINDOW if share >= LONG_FROM else WINDOW
        rng = np.random.default_rng([args.seed, progress["step"]])
        ids = batch(streams, rng, BATCH * WINDOW // window, window).to(args.device)
        for o, lrs in zip(opts, base_lrs, strict=True):
            for group, lr in zip(o.param_groups, lrs, strict=True):
                group["lr"] = lr * min(share / WARMUP + 1e-3, 1.0) * (1 - share)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            logits = model(ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        took = time.monotonic() - began
        progress["seconds"] += took
        progress["tokens"] += ids[:, 1:].numel()
        progress["step"] += 1
        if progress["step"] % 20 == 0:
            print(
                f"step {progress['step']:5d}  {share:6.1%}  loss {smooth:.3f} "
                f" {ids[:, 1:].numel() / took:,.0f} tokens/s "
                f" {(budget - progress['seconds']) / 60:.0f} min left",
                flush=True,
            )
        if time.monotonic() - saved > 240:
            save_checkpoint(args.work, model, opts, progress)
            saved = time.monotonic()

    save_checkpoint(args.work, model, opts, progress)
    model.to("cpu", torch.bfloat16).save_pretrained(args.out, max_shard_size="9MB")
    tokenizer.save_pretrained(args.out)
    facts = progress | {"device": args.device, "corpus_tokens": sum(map(len, streams.values()))}
    (args.out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"wrote {args.out}", flush=True)


if __name__ == "__main__":
    main()

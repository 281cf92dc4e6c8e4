"""Measure the bundled model on held-out text, sample from it, and write both to its card.

python scripts/evaluate_bundled_model.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from pathlib import Path

import corpus
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW, WINDOWS = 512, 40
PRESETS = Path(__file__).resolve().parent.parent / "assets" / "presets.json"

CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [token-recycling, speculative-decoding, teaching]
---
# pocket: a very small Llama for looking inside

{parameters:,} parameters ({layers} layers, {width} wide, {vocab:,} tokens of byte-level BPE).
`scripts/train_bundled_model.py` trained it from scratch on {device} for {minutes:.0f} minutes:
{tokens:,} tokens seen, of {unique:,} in the corpus.
It was trained on windows of 512 tokens, at the end 1,024; it takes 2,048.

It writes children's stories in lower case, plays, and text that looks like worked maths or Python.
It also copies a text from its prompt.
It knows nothing, and its sums are mostly wrong.
It lets the explorer open in seconds, offline, on a laptop, with a real model.

## Where its text comes from

| domain | source | licence |
|---|---|---|
{sources}

The weights are under Apache-2.0 like the rest of this repository.
They contain none of the texts as such, but a model can repeat phrases that it has memorised.
The licences above are those of the texts.

## Held-out loss

Every 50th document of each domain was kept out of training.
Cross-entropy in nats per token over {windows} windows of {window} tokens,
float32 on the bfloat16 weights.

| domain | loss | perplexity |
|---|---|---|
{losses}

## Samples

Greedy and at temperature 0.8 (seed 0), unedited, from the explorer's presets,
without the prompt.

{samples}
"""


@torch.inference_mode()
def held_out_loss(model, tokenizer, documents: list[str]) -> float:
    ids = [t for d in documents for t in (tokenizer.eos_token_id, *tokenizer(d)["input_ids"])]
    count = min(WINDOWS, (len(ids) - 1) // WINDOW)
    losses = []
    for start in range(0, count * WINDOW, WINDOW):
        window = torch.tensor([ids[start : start + WINDOW + 1]])
        logits = model(window[:, :-1]).logits.float()
        losses.append(torch.nn.functional.cross_entropy(logits[0], window[0, 1:]).item())
    return sum(losses) / len(losses)


def sample(model, tokenizer, prompt: str, **options) -> str:
    ids = tokenizer(prompt, return_tensors="pt")
    torch.manual_seed(0)
    out = model.generate(**ids, max_new_tokens=100, pad_token_id=tokenizer.eos_token_id, **options)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("assets/models/pocket"))
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    progress = json.loads((args.model / "training.json").read_text())
    domains = corpus.load_domains(args.data)

    losses = {
        name: held_out_loss(model, tokenizer, corpus.split(docs)[1])
        for name, docs in domains.items()
    }
    for name, loss in losses.items():
        print(f"{name:10} {loss:.3f}")
    samples = []
    for preset in json.loads(PRESETS.read_text()):
        greedy = sample(model, tokenizer, preset["prompt"], do_sample=False)
        drawn = sample(model, tokenizer, preset["prompt"], do_sample=True, temperature=0.8, top_k=0)
        for title, text in (("greedy", greedy), ("temperature 0.8", drawn)):
            samples.append(f"**{preset['name']}, {title}**\n\n{textwrap.indent(text, '    ')}\n")
    config = model.config
    card = CARD.format(
        parameters=model.num_parameters(),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocab=config.vocab_size,
        device=progress["device"].upper(),
        minutes=progress["seconds"] / 60,
        tokens=progress["tokens"],
        unique=progress["corpus_tokens"],
        windows=WINDOWS,
        window=WINDOW,
        sources="\n".join(
            f"| {name} | {what} | {licence} |"
            for name, (_, what, licence) in corpus.SOURCES.items()
        ),
        losses="\n".join(f"| {n} | {x:.2f} | {math.exp(x):.1f} |" for n, x in losses.items()),
        samples="\n".join(samples),
    )
    (args.model / "README.md").write_text(card)
    print(f"wrote {args.model / 'README.md'}")


if __name__ == "__main__":
    main()

"""
SerenGPT, small: a Qwen2-architecture model from scratch, with a tokenizer of its own.

  1. titles: those of the clicks, each behind a few words of its prompt, and those of the catalog behind an empty one. Short
     rows are cheap, and most of what there is to know is what a title looks like and how often it is clicked
  2. SFT (paper, Eq. 5): the clicked title given the prompt (the title's tokens alone count)

The alignment stage (paper, 4.4: IPO on preference pairs, with SFT as its regulariser) starts from what is written here:
`<out>/hf` is a Hugging Face checkpoint with its tokenizer, the prompt is the text of an example's `prompt`, the answer a
space and the title. What comes of it goes through `export_serengpt.py` like this does.

Prints one JSON line for each evaluation. Same data, same seed, same model.
"""

import argparse
import json
import math
import time

import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from serengpt_data import BEGIN, END, PAD, Batch, Coder, batches, folder, grouped, rows, seeded, train_tokenizer


def hidden(model, batch):
    out = model.model(
        input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.position, use_cache=False
    ).last_hidden_state
    return out.reshape(-1, out.shape[-1])


def loss_of(model, batch, prompt_weight):
    state = hidden(model, batch)
    cross = torch.nn.functional.cross_entropy
    loss = title = cross(model.lm_head(state[batch.reads]).float(), batch.targets)
    if prompt_weight > 0:
        loss = loss + prompt_weight * cross(model.lm_head(state[batch.prompt_reads]).float(), batch.prompt_targets)
    return loss, title


@torch.no_grad()
def held_out(model, pieces, pad):
    """Mean over the tokens of all titles."""
    model.eval()
    total = count = 0
    for piece in pieces:
        batch = Batch(piece, pad)
        _, title = loss_of(model, batch, 0)
        total += title.item() * len(batch.targets)
        count += len(batch.targets)
    model.train()
    return total / count


def stage(name, model, passes, rate, prompt_weight, pad, bf16, report, evaluate, keep):
    """`passes`: an epoch's batches each."""
    steps = sum(map(len, passes))
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98)
    )
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / warm) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps)))),
    )
    begun, step = time.time(), 0
    for epoch, pieces in enumerate(passes, start=1):
        mean = 0.0
        for piece in pieces:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss, title = loss_of(model, Batch(piece, pad), prompt_weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            mean += title.item() / len(pieces)
        line = {"stage": name, "epoch": epoch, "step": step, "train": round(mean, 4), **evaluate(), "s": round(time.time() - begun)}
        print(json.dumps(line), flush=True)
        report.append(line)
        keep()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="work/data")
    parser.add_argument("--out", default="work/serengpt")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vocabulary", type=int, default=1600)
    parser.add_argument("--context", type=int, default=320, help="tokens of a prompt")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--title-epochs", type=int, default=8)
    parser.add_argument("--title-keep", type=float, default=0.1, help="share of a prompt's parts in that stage")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--keep", type=float, default=0.7, help="share of a prompt's parts that an epoch sees")
    parser.add_argument("--prompt-weight", type=float, default=0.1, help="of the prompt's own tokens beside the title's")
    parser.add_argument("--tokens", type=int, default=2400, help="of a batch")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16: half the time where the processor has it")
    parser.add_argument("--validate-from", default=None, help="a day: train before it alone, and evaluate on what follows in training")
    args = parser.parse_args()

    rng = seeded(args.seed)
    examples = rows(f"{args.data}/examples.ndjson")
    train = [e for e in examples if e["split"] == "train"]
    test = [e for e in examples if e["split"] == "test" and e["mature"]]
    if args.validate_from is not None:
        import datetime

        day = datetime.datetime.fromisoformat(args.validate_from + "T00:00:00+00:00").timestamp() * 1000
        test = [e for e in train if e["click_time"] >= day and e["mature"]]
        train = [e for e in train if e["click_time"] < day]
    catalog = sorted({i["title"] for i in rows(f"{args.data}/items.ndjson") if i["title"] and i["shown"]})

    groups = grouped(train)
    tokenizer = train_tokenizer([*catalog, *(prompt for prompt, _ in groups)], args.vocabulary)
    coder = Coder(tokenizer, args.context)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=args.hidden,
            intermediate_size=args.hidden * 8 // 3 // 32 * 32,
            num_hidden_layers=args.layers,
            num_attention_heads=args.hidden // 32,
            num_key_value_heads=max(1, args.hidden // 96),
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=coder.begin,
            eos_token_id=coder.end,
            pad_token_id=coder.pad,
        )
    )
    print(json.dumps({
        "parameters": model.num_parameters(), "vocabulary": tokenizer.get_vocab_size(), "train": len(train), "test": len(test),
        "prompts": len(groups), "prompt_tokens": sum(len(coder.prompt(p)) for p, _ in groups) / len(groups),
        "title_tokens": sum(len(coder.title(e["title"])) for e in train) / len(train),
    }), flush=True)

    asked = grouped(test)
    test_pieces = batches(rng.sample(asked, min(len(asked), 150)), coder, rng, args.tokens, 12)
    sample = batches(rng.sample(groups, min(len(groups), 100)), coder, rng, args.tokens, 12)
    evaluate = lambda: {
        "train_whole": round(held_out(model, sample, coder.pad), 4),
        "held_out": round(held_out(model, test_pieces, coder.pad), 4),
    }
    report = []

    def keep():
        """After each epoch: what there is can be used, and looked at, before all is done."""
        out = folder(f"{args.out}/hf")
        model.generation_config.bos_token_id, model.generation_config.eos_token_id = coder.begin, coder.end
        model.save_pretrained(out)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD)
        fast.save_pretrained(out)
        tokenizer.save(f"{args.out}/tokenizer.json")
        written = {"arguments": vars(args), "parameters": model.num_parameters(), "train": len(train), "report": report}
        with open(f"{args.out}/training.json", "w", encoding="utf-8") as file:
            json.dump(written, file, indent=2)

    # titles alone stand behind an empty prompt, which a user without any past has too
    passes = []
    for _ in range(args.title_epochs):
        mixed = rng.sample(catalog, len(catalog))
        empty = [("next:", mixed[at : at + 12]) for at in range(0, len(mixed), 12)]
        passes.append(batches(groups + empty, coder, rng, args.tokens, 12, args.title_keep))
    stage("titles", model, passes, args.rate, 0.0, coder.pad, args.bf16, report, evaluate, keep)
    sft = [batches(groups, coder, rng, args.tokens, 12, args.keep) for _ in range(args.epochs)]
    stage("sft", model, sft, args.rate * 0.5, args.prompt_weight, coder.pad, args.bf16, report, evaluate, keep)

if __name__ == "__main__":
    main()

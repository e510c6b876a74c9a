"""
The text encoder, small: subword vectors, each looking at its neighbours, pooled by learned weights. Learned by contrast,
from what the shop knew before the cut-off: two texts that belong together are to be nearer than each is to the others of
its batch. Together belong two titles of a leaf category, a title and the name of its category or of the one above, a title
and itself misspelled or cut, and, now and then, two things of one basket.

Titles of items that were not shown before the cut-off are not seen: `evaluate-embedders.ts` asks about those.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch

from export_serengpt import write_manifest
from serengpt_data import PAD, folder, rows, seeded, train_tokenizer

LONGEST = 32  # tokens of a text


class Encoder(torch.nn.Module):
    def __init__(self, vocabulary, dimensions):
        super().__init__()
        self.tokens = torch.nn.Embedding(vocabulary, dimensions, padding_idx=0)
        torch.nn.init.normal_(self.tokens.weight, std=0.3)
        self.around = torch.nn.Conv1d(dimensions, dimensions, 3, padding=1)
        self.weigh = torch.nn.Linear(dimensions, 1)
        self.turn = torch.nn.Linear(dimensions, dimensions)

    def forward(self, input_ids, attention_mask):
        here = attention_mask.to(torch.float32)[:, :, None]
        token = self.tokens(input_ids) * here
        token = (token + torch.nn.functional.gelu(self.around(token.transpose(1, 2)).transpose(1, 2))) * here
        weight = torch.exp(torch.clamp(self.weigh(token), -8, 8)) * here
        pooled = (token * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        vector = pooled + self.turn(torch.nn.functional.gelu(pooled))
        return vector / vector.pow(2).sum(1, keepdim=True).clamp(min=1e-12).sqrt()


class Coder:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def batch(self, texts):
        # an empty text has one token too, or nothing could be pooled
        ids = [(one.ids or [0])[:LONGEST] for one in self.tokenizer.encode_batch([text.lower() for text in texts])]
        length = max(map(len, ids))
        padded = torch.tensor([one + [0] * (length - len(one)) for one in ids])
        mask = torch.tensor([[1] * len(one) + [0] * (length - len(one)) for one in ids])
        return padded, mask


def mangled(text, rng):
    """Without some words, in another order, or with a letter lost."""
    words = [w for w in text.split() if rng.random() > 0.25] or text.split()
    if rng.random() < 0.2:
        rng.shuffle(words)
    if rng.random() < 0.3:
        at = rng.randrange(len(words))
        if len(words[at]) > 3:
            cut = rng.randrange(len(words[at]))
            words[at] = words[at][:cut] + words[at][cut + 1 :]
    return " ".join(words)


class Pairs:
    def __init__(self, items, baskets, rng, basket_share):
        self.rng, self.basket_share = rng, basket_share
        self.items = items
        self.of = {item["item_id"]: item for item in items}
        self.baskets = [[i for i in b["items"] if i in self.of] for b in baskets]
        self.baskets = [b for b in self.baskets if len(b) > 1]
        self.leaves, self.parents = {}, {}
        for item in items:
            self.leaves.setdefault(item["category_id"], []).append(item)
            self.parents.setdefault(tuple(item["category_path"][:2]), []).append(item)
        self.leaf_ids = sorted(self.leaves)

    def one(self):
        rng = self.rng
        # by category first, so that the many beers do not fill every batch
        a = rng.choice(self.leaves[rng.choice(self.leaf_ids)]) if rng.random() < 0.5 else rng.choice(self.items)
        path = a["category_path"]
        draw = rng.random()
        if draw < self.basket_share and self.baskets:
            first, second = rng.sample(rng.choice(self.baskets), 2)
            return self.of[first]["title"], self.of[second]["title"], self.of[first]["category_id"]
        if draw < 0.45:
            b = rng.choice(self.leaves[a["category_id"]])["title"]
        elif draw < 0.55:
            b = mangled(a["title"], rng)
        elif draw < 0.70:
            b = " ".join(path[1:]) if rng.random() < 0.5 else path[-1]
        elif draw < 0.85:
            b = path[1] if len(path) > 1 else path[0]
        else:
            b = rng.choice(self.parents[tuple(path[:2])])["title"]
        return (mangled(a["title"], rng) if rng.random() < 0.2 else a["title"]), b, a["category_id"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="work/data")
    parser.add_argument("--out", default="../models/embedder-small")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--dimensions", type=int, default=96)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--temperature", type=float, default=0.07)
    parser.add_argument("--baskets", type=float, default=0.05, help="share of the pairs that are two things of one basket")
    parser.add_argument("--version", default="1")
    args = parser.parse_args()

    rng = seeded(args.seed)
    items = [i for i in rows(f"{args.data}/items.ndjson") if i["title"] and i["category_path"] and i["shown"]]
    names = sorted({name for item in items for name in item["category_path"]})
    tokenizer = train_tokenizer([*sorted({i["title"] for i in items}), *names], args.vocabulary)
    coder = Coder(tokenizer)
    pairs = Pairs(items, rows(f"{args.data}/baskets.ndjson"), random.Random(args.seed), args.baskets)
    model = Encoder(tokenizer.get_vocab_size(), args.dimensions)
    print(json.dumps({"items": len(items), "parameters": sum(p.numel() for p in model.parameters())}), flush=True)

    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)
    begun, mean = time.time(), 0.0
    for step in range(1, args.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        drawn = [pairs.one() for _ in range(args.batch)]
        a = model(*coder.batch([one[0] for one in drawn]))
        b = model(*coder.batch([one[1] for one in drawn]))
        leaf = {name: number for number, name in enumerate({one[2]: None for one in drawn})}
        kinds = torch.tensor([leaf[one[2]] for one in drawn])
        # another pair of the same category is no counterexample
        same = (kinds[:, None] == kinds[None, :]) & ~torch.eye(len(drawn), dtype=torch.bool)
        logits = (a @ b.T / args.temperature).masked_fill(same, -1e9)
        wanted = torch.arange(len(drawn))
        loss = (torch.nn.functional.cross_entropy(logits, wanted) + torch.nn.functional.cross_entropy(logits.T, wanted)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        mean += loss.item() / 250
        if step % 250 == 0:
            print(json.dumps({"step": step, "loss": round(mean, 4), "s": round(time.time() - begun)}), flush=True)
            last, mean = mean, 0.0

    out = folder(args.out)
    model.eval()
    ids, mask = coder.batch(["two texts, 1 oz", "of unlike length, this one is longer"])
    rows_, length = torch.export.Dim("rows"), torch.export.Dim("length", min=2, max=LONGEST)
    with torch.no_grad():
        torch.onnx.export(
            model, (ids, mask), f"{out}/model.onnx", dynamo=True, external_data=False,
            input_names=["input_ids", "attention_mask"], output_names=["text_vector"],
            dynamic_shapes={"input_ids": {0: rows_, 1: length}, "attention_mask": {0: rows_, 1: length}},
        )
    onnx.checker.check_model(f"{out}/model.onnx")
    session = onnxruntime.InferenceSession(f"{out}/model.onnx", providers=["CPUExecutionProvider"])
    texts = [i["title"] for i in items[:200]]
    ids, mask = coder.batch(texts)
    (given,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    with torch.no_grad():
        print(json.dumps({"onnx_differs_by": float(numpy.abs(given - model(ids, mask).numpy()).max())}))
    tokenizer.save(f"{out}/tokenizer.json")
    meta = json.loads(Path(f"{args.data}/meta.json").read_text())
    write_manifest(
        out,
        {
            "kind": "embedder",
            "name": "embedder-small",
            "version": args.version,
            "dimensions": args.dimensions,
            "longestTokens": LONGEST,
            "lowercase": True,
            "pad": PAD,
            "output": "text_vector",
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": args.steps,
            "loss": round(last, 4),
            "cutOff": meta["cut_off"],
            "data": meta["data"],
        },
        ["model.onnx", "tokenizer.json"],
    )


if __name__ == "__main__":
    main()

"""
The pre-ranker (paper, 4.4.1): a small network over the features of src/nearline/pre-rank/features.ts, trained on what
export-pre-rank.ts wrote and exported to ONNX, with its manifest and its card.

Serendipitous clicks count most, other clicks little; of what was not clicked, items near a serendipitous click are the hard
ones and make half of the rest. Requests of the held-out time are looked at once, for the card.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from export_serengpt import write_manifest
from serengpt_data import folder

SERENDIPITOUS, OTHER, HARD, EASY = 3.0, 0.3, 1.0, 0.5
HIDDEN = 16
CUTS = (10, 50, 200)


class Ranker(torch.nn.Module):
    """rows [n, features] -> scores [n], 0 to 1. Means and deviations are the training rows'."""

    def __init__(self, mean, deviation):
        super().__init__()
        # a feature that never varied says nothing, and is not to say anything later
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), torch.zeros_like(deviation)))
        self.layers = torch.nn.Sequential(torch.nn.Linear(len(mean), HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1))

    def forward(self, rows):
        return torch.sigmoid(self.layers((rows - self.mean) * self.scale)).squeeze(-1)


def read(data):
    meta = json.loads((data / "meta.json").read_text())
    rows = np.fromfile(data / "rows.f32", dtype=np.float32).reshape(-1, len(meta["features"]))
    lines = [json.loads(line) for line in (data / "rows.ndjson").open(encoding="utf-8")]
    return meta, rows, lines


def weights_of(labels, near):
    weights = np.where(near, HARD, EASY)
    weights[labels == 1] = OTHER
    weights[labels == 2] = SERENDIPITOUS
    # right ones are few: together they weigh a tenth, or the scores would all lie near 0
    right = labels > 0
    weights[right] *= 0.1 * weights[~right].sum() / max(weights[right].sum(), 1e-9)
    return weights.astype(np.float32)


def train(rows, labels, near, args):
    torch.manual_seed(args.seed)
    x = torch.from_numpy(rows)
    y = torch.from_numpy((labels > 0).astype(np.float32))
    weights = torch.from_numpy(weights_of(labels, near))
    model = Ranker(x.mean(0), x.std(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=args.decay)
    for epoch in range(args.epochs):
        total = 0.0
        for batch in torch.randperm(len(x)).split(args.batch):
            loss = torch.nn.functional.binary_cross_entropy(model(x[batch]), y[batch], weight=weights[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {total / len(x):.4f}", flush=True)
    return model.eval()


def auc(scores, right):
    """Of a right and a wrong item, the right one has the higher score; ties count half."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    values, first, counts = np.unique(scores[order], return_index=True, return_counts=True)
    for start, count in zip(first, counts):
        ranks[order[start : start + count]] = start + (count + 1) / 2
    positives = right.sum()
    return (ranks[right].sum() - positives * (positives + 1) / 2) / (positives * (len(right) - positives))


def measures(requests, scores, right):
    """Means over the requests that have a right item, ties broken by the order of the file; and their spread over requests."""
    found = {}
    for indexes in requests.values():
        indexes = np.array(indexes)
        good = right[indexes]
        if not good.any() or good.all():
            continue
        order = np.argsort(-scores[indexes], kind="stable")
        gains = good[order].astype(float)
        one = {"AUC": auc(scores[indexes], good)}
        for cut in CUTS:
            best = (1 / np.log2(np.arange(2, 2 + min(cut, int(gains.sum()))))).sum()
            top = gains[:cut]
            one[f"NDCG@{cut}"] = (top / np.log2(np.arange(2, 2 + len(top)))).sum() / best
            one[f"recall@{cut}"] = top.sum() / gains.sum()
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    return found


def compared(model_values, base_values, seed=1, resamples=2000):
    """mean of both, and the 95 % interval of the difference, by drawing requests again."""
    random = np.random.default_rng(seed)
    a, b = np.array(model_values), np.array(base_values)
    draws = random.integers(0, len(a), (resamples, len(a)))
    differences = (a - b)[draws].mean(1)
    return a.mean(), b.mean(), *np.quantile(differences, [0.025, 0.975])


def export(model, features, out, args, meta):
    path = f"{out}/model.onnx"
    example = torch.zeros(2, len(features))
    names = {"input_names": ["rows"], "output_names": ["scores"]}
    torch.onnx.export(model, (example,), path, dynamic_shapes=({0: torch.export.Dim("n")},), dynamo=True, external_data=False, **names)
    rows = np.random.default_rng(1).random((64, len(features)), dtype=np.float32)
    given = onnxruntime.InferenceSession(path).run(["scores"], {"rows": rows})[0]
    expected = model(torch.from_numpy(rows)).detach().numpy()
    assert given.shape == expected.shape and np.abs(given - expected).max() < 1e-4, "the exported model says something else"
    manifest = {
        "kind": "ranker",
        "name": "pre-rank",
        "version": args.version,
        "features": features,
        "input": "rows",
        "output": "scores",
        "embedder": meta["embedder"],
        "cutOff": meta["cut_off"],
        "data": meta["data"],
    }
    write_manifest(out, manifest, ["model.onnx"])


def weights_said(model, features, rows):
    """How much worse AUC gets on the training rows when a feature is shuffled."""
    x, right = rows
    base = auc(model(torch.from_numpy(x)).detach().numpy(), right)
    random = np.random.default_rng(1)
    lost = {}
    for i, name in enumerate(features):
        other = x.copy()
        random.shuffle(other[:, i])
        lost[name] = base - auc(model(torch.from_numpy(other)).detach().numpy(), right)
    return sorted(lost.items(), key=lambda one: -one[1])


def card(meta, table, lost, args):
    counts, reach = meta["counts"], meta["reach"]
    lines = "\n".join(
        f"| {name} | {model:.4f} | {base:.4f} | {low:+.4f} to {high:+.4f} |" for name, (model, base, low, high) in table.items()
    )
    drops = ", ".join(f"{name} {value:.3f}" for name, value in lost)
    return f"""# pre-rank {args.version}
Orders the items that retrieval found for a user (paper, 4.4.1). Input `rows` [n, {len(meta["features"])}] float32, the features of
docs/pre-rank.md in the order of `model.json`; output `scores` [n], 0 to 1. A network of {HIDDEN} hidden units, made with

```sh
{args.command}
```

**Learned from** {counts["train"]["requests"]} visits before {meta["cut_off"]} of the sample data's households, each sent through the channel
itself ({meta["model"]}, {meta["retriever"]}): {counts["train"]["rows"]} items, of which {counts["train"]["serendipitous"]} were clicked
serendipitously within a day and {counts["train"]["clicked"]} otherwise. A serendipitous click weighs {SERENDIPITOUS}, another one {OTHER}; of
the rest, items near a serendipitous click (same category, or cosine from 0.6) weigh {HARD}, others {EASY}.

**Held out**: {counts["test"]["requests"]} visits from {meta["cut_off"]} on, all found items ({meta["per_text"]["test"]} a text and channel) ranked;
right is what was clicked serendipitously within a day. Means over the {args.judged} visits of which retrieval found a right item
({reach["found"]} of {reach["serendipitous"]} serendipitous clicks; what retrieval misses no ranking brings back), beside the retrieval
score alone, with the 95 % interval of the difference:

| measure | this model | retrieval score alone | difference |
|---|---|---|---|
{lines}

Shuffling one feature costs so much of the AUC on the training rows: {drops}.

**Limits**: a hundred households of one grocery chain, few right items, displays and pages in part made (data/README.md).
The titles that it was trained beside were sampled by a model that had seen the same clicks, so it may trust retrieval more
than it should. It is there so that the channel is whole; a shop trains its own on its own log.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="work/pre-rank")
    parser.add_argument("--out", default="../models/pre-rank")
    parser.add_argument("--version", default="1")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)

    meta, rows, lines = read(Path(args.data))
    features = meta["features"]
    labels = np.array([line["label"] for line in lines])
    near = np.array([line["near"] for line in lines])
    base = np.array([line["score"] for line in lines], dtype=np.float32)
    learned = np.array([line["split"] == "train" for line in lines])
    model = train(rows[learned], labels[learned], near[learned], args)

    requests = {}
    for i, line in enumerate(lines):
        if line["split"] == "test":
            requests.setdefault(line["request"], []).append(i)
    scores = model(torch.from_numpy(rows)).detach().numpy()
    ours, theirs = (measures(requests, one, labels == 2) for one in (scores, base))
    table = {name: compared(ours[name], theirs[name]) for name in ours}
    args.judged = len(ours["AUC"])
    args.command = "make -C training pre-rank"
    for name, (mean, other, low, high) in table.items():
        print(f"{name:12} {mean:.4f} retrieval alone {other:.4f} difference {low:+.4f} to {high:+.4f}")
    out = folder(args.out)
    export(model, features, out, args, meta)
    lost = weights_said(model, features, (rows[learned], labels[learned] == 2))
    Path(f"{out}/CARD.md").write_text(card(meta, table, lost, args), encoding="utf-8")


if __name__ == "__main__":
    main()

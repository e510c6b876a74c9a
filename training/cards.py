"""The cards of the models, from their manifests and from what training and evaluation wrote."""

import argparse
import json
from pathlib import Path

NOTICE = (
    "Trained on part of *The Complete Journey* by dunnhumby, which 84.51° provides for research and education "
    "(../../data/README.md): the weights derive from that data, so use them for research and education. The code that makes "
    "and runs them is under Apache-2.0."
)


def read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def files(manifest):
    return "\n".join(f"| `{name}` | `{sha}` |" for name, sha in manifest["files"].items())


def figure(one, digits=3):
    return f"{one['mean']:.{digits}f} ({one['low']:.{digits}f}–{one['high']:.{digits}f})"


def serengpt(folder, work):
    manifest = read(folder / "model.json")
    training = read(work / "serengpt/training.json")
    result = read(work / "evaluation/result.json")
    report = training["report"]
    steps = {one["stage"]: one["step"] for one in report}
    lines = [
        f"# serengpt-small {manifest['version']}",
        "",
        "SerenGPT (SERAL paper, 4.3.2), small enough to run in a thread of a Node process: it continues the prompt "
        f"`{manifest['promptVersion']}` with the title of an item that the shopper may click though its category is new to them.",
        "",
        f"- **Architecture**: Qwen2, {training['arguments']['layers']} layers, hidden {training['arguments']['hidden']}, "
        f"{manifest['parameters']:,} parameters, byte-level BPE of {training['arguments']['vocabulary']} tokens, from scratch; "
        f"ONNX with a cache of keys and values, {manifest['precision']} weights.",
        f"- **Data**: the shipped households' serendipitous clicks (Definition 1) before {manifest['cutOff']}, {training['train']:,} of them, "
        "each with the prompt of what was known before its request. Later clicks were seen by nothing here.",
        f"- **Training**: {steps['titles']} steps of titles alone (those of the catalog that had been shown, and those of the clicks), then "
        f"{steps['sft']} of SFT (Eq. 5: the title's tokens), seed {training['arguments']['seed']}. No alignment (CDI, IPO) yet.",
        f"- **Loss** a token of a title, at the end: {report[-1]['train_whole']} on prompts of the training, {report[-1]['held_out']} on held-out ones.",
    ]
    if result is not None:
        whole = result["all"]
        said, metrics = whole["said"], whole["metrics"]["SerenGPT"]
        lines += [
            f"- **Held out** ({whole['clicks']} clicks of {whole['users']} households after the cut-off; 30 titles a prompt at 0.95; "
            "95 % of households drawn again; all in docs/evaluation.md):",
            f"  titles of the catalog word for word {figure(said['valid'])}, of the clicked item's category {figure(said['right category'])}, "
            f"unique titles of 30 {figure(said['unique'], 1)}, titles copied from the prompt {figure(said['copied'])}; "
            f"HR@10 {figure(metrics['HR@10'])}, NDCG@10 {figure(metrics['NDCG@10'])}.",
        ]
    lines += [
        "- **Limits**: it knows the titles of one grocery chain in 2017, in English, and nothing else. Part of what it says is no title of the "
        "catalog; retrieval maps it to one. It has no sense of what is safe or fitting to recommend. What it says is untrusted text.",
        "",
        "| file | sha256 |",
        "|---|---|",
        files(manifest),
        "",
        "## Licence",
        NOTICE,
        "",
    ]
    (folder / "CARD.md").write_text("\n".join(lines), encoding="utf-8")


def embedder(folder, work):
    manifest = read(folder / "model.json")
    measured = read(work / "embedders.json")
    lines = [
        f"# embedder-small {manifest['version']}",
        "",
        f"Titles, tags and queries to vectors of {manifest['dimensions']} dimensions: subword vectors, each looking at its neighbours, pooled by "
        f"learned weights; {manifest['parameters']:,} parameters, ONNX in float32.",
        "",
        f"- **Data**: the catalog's items that had been shown before {manifest['cutOff']}: their titles, the names of their categories, and baskets "
        "of that time.",
        f"- **Training**: {manifest['steps']} steps of contrast (two titles of a leaf category; a title and a name above it; a title and itself "
        f"mangled; now and then two things of a basket), loss {manifest['loss']} at the end.",
    ]
    if measured is not None:
        lines += ["- **Held out**: " + measured["about"] + "; the share of the ten nearest, and the mean reciprocal rank of the first:", ""]
        lines += ["| embedder | same leaf | leaf, MRR | same aisle | by the aisle's name |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(row[:5])} |" for row in measured["rows"]]
        lines += [""]
    lines += [
        "- **Limits**: it knows the words of one grocery chain; of others it has the pieces of their spelling alone.",
        "",
        "| file | sha256 |",
        "|---|---|",
        files(manifest),
        "",
        "## Licence",
        NOTICE,
        "",
    ]
    (folder / "CARD.md").write_text("\n".join(lines), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", default="work")
    parser.add_argument("--models", default="../models")
    args = parser.parse_args()
    serengpt(Path(args.models) / "serengpt-small", Path(args.work))
    embedder(Path(args.models) / "embedder-small", Path(args.work))


if __name__ == "__main__":
    main()

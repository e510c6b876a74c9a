"""
A checkpoint as what Node runs: ONNX with a cache of keys and values, weights in int8, one file; the tokenizer; and the
manifest that vouches for both.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from tokenizers import Tokenizer

from serengpt_data import BEGIN, END, PAD, folder


def export_onnx(checkpoint, out, precision):
    """One file, whatever the builder makes of it."""
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as cache:
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
        subprocess.run([*builder, "-m", str(checkpoint), "-i", str(checkpoint), "-o", made, "-p", precision, "-e", "cpu", "-c", cache], check=True)
        model = onnx.load(f"{made}/model.onnx")
        # how wide a head is the builder leaves open, and whoever makes the first, empty cache has to know it
        width = json.loads(Path(f"{made}/genai_config.json").read_text())["model"]["decoder"]["head_size"]
        for one in [*model.graph.input, *model.graph.output]:
            if one.name.startswith(("past_key_values.", "present.")):
                one.type.tensor_type.shape.dim[3].dim_value = width
        onnx.save(model, f"{out}/model.onnx", save_as_external_data=False)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_manifest(out, manifest, files):
    manifest["files"] = {name: sha256(f"{out}/{name}") for name in files}
    Path(f"{out}/model.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trained", default="work/serengpt")
    parser.add_argument("--data", default="work/data")
    parser.add_argument("--out", default="../models/serengpt-small")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--version", default="1")
    args = parser.parse_args()

    out = folder(args.out)
    export_onnx(f"{args.trained}/hf", out, args.precision)
    shutil.copy(f"{args.trained}/tokenizer.json", f"{out}/tokenizer.json")
    tokenizer = Tokenizer.from_file(f"{out}/tokenizer.json")
    training = json.loads(Path(f"{args.trained}/training.json").read_text())
    meta = json.loads(Path(f"{args.data}/meta.json").read_text())
    write_manifest(
        out,
        {
            "kind": "sampler",
            "name": "serengpt-small",
            "version": args.version,
            "promptVersion": meta["prompt_version"],
            "contextTokens": training["arguments"]["context"],
            "begin": BEGIN,
            "end": END,
            "never": [PAD, BEGIN],
            "precision": args.precision,
            "parameters": training["parameters"],
            "cutOff": meta["cut_off"],
            "data": meta["data"],
        },
        ["model.onnx", "tokenizer.json"],
    )


if __name__ == "__main__":
    main()

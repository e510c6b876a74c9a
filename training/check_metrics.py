"""Holds the figures of evaluate.ts against pytrec_eval, from the same scores."""

import argparse
import json
from pathlib import Path

import pytrec_eval

CUTS = "1,3,5,10"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--evaluation", default="work/evaluation")
    folder = Path(parser.parse_args().evaluation)
    qrels = json.loads((folder / "qrels.json").read_text())
    ours = json.loads((folder / "result.json").read_text())["all"]["metrics"]
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"recall.{CUTS}", f"ndcg_cut.{CUTS}", f"map_cut.{CUTS}"})
    worst = 0.0
    for method, measured in ours.items():
        run = json.loads((folder / f"run-{method.replace(' ', '-')}.json").read_text())
        theirs = evaluator.evaluate(run)
        for name, value in measured.items():
            measure, cut = name.split("@")
            # with one right item the recall is the hit rate
            key = {"HR": "recall", "NDCG": "ndcg_cut", "MAP": "map_cut"}[measure] + f"_{cut}"
            mean = sum(one[key] for one in theirs.values()) / len(theirs)
            worst = max(worst, abs(mean - value["mean"]))
            if abs(mean - value["mean"]) > 1e-3:
                raise SystemExit(f"{method} {name}: {value['mean']} here, {mean} by pytrec_eval")
    print(f"{len(ours)} methods, {sum(map(len, ours.values()))} figures agree with pytrec_eval within {worst:.1e}")


if __name__ == "__main__":
    main()

"""
Holds the figures of evaluate.ts against pytrec_eval, from the same scores, and says how far methods lie apart on the same
clicks, with households drawn again.
"""

import argparse
import json
import random
from pathlib import Path

import pytrec_eval

CUTS = "1,3,5,10"
PAIRS = [
    ("SerenGPT", "chance"),
    ("SerenGPT", "own tags and titles"),
    ("SerenGPT", "purchases"),
    ("likelihood", "purchases of the title"),
    ("likelihood", "purchases"),
    ("likelihood and purchases", "purchases"),
]


def apart(first, second, users):
    """Mean of the differences, and the middle 95 % of it when households are drawn again, with replacement."""
    households = {}
    for query, user in users.items():
        households.setdefault(user, []).append(first[query] - second[query])
    households = list(households.values())
    rng = random.Random(7)
    means = []
    for _ in range(2000):
        drawn = [one for _ in households for one in rng.choice(households)]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    whole = [one for own in households for one in own]
    return f"{sum(whole) / len(whole):+.3f} ({means[50]:+.3f} to {means[1949]:+.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--evaluation", default="work/evaluation")
    folder = Path(parser.parse_args().evaluation)
    qrels = json.loads((folder / "qrels.json").read_text())
    ours = json.loads((folder / "result.json").read_text())["all"]["metrics"]
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"recall.{CUTS}", f"ndcg_cut.{CUTS}", f"map_cut.{CUTS}"})
    worst, measured_by_query = 0.0, {}
    for method, measured in ours.items():
        run = json.loads((folder / f"run-{method.replace(' ', '-')}.json").read_text())
        theirs = measured_by_query[method] = evaluator.evaluate(run)
        for name, value in measured.items():
            measure, cut = name.split("@")
            # with one right item the recall is the hit rate
            key = {"HR": "recall", "NDCG": "ndcg_cut", "MAP": "map_cut"}[measure] + f"_{cut}"
            mean = sum(one[key] for one in theirs.values()) / len(theirs)
            worst = max(worst, abs(mean - value["mean"]))
            if abs(mean - value["mean"]) > 1e-3:
                raise SystemExit(f"{method} {name}: {value['mean']} here, {mean} by pytrec_eval")
    print(f"{len(ours)} methods, {sum(map(len, ours.values()))} figures agree with pytrec_eval within {worst:.1e}")
    users = json.loads((folder / "users.json").read_text())
    for one, other in PAIRS:
        of = {method: measured_by_query[method] for method in (one, other)}
        shown = [
            f"{name} {apart(*({q: m[key] for q, m in of[method].items()} for method in (one, other)), users)}"
            for name, key in (("NDCG@10", "ndcg_cut_10"), ("HR@10", "recall_10"))
        ]
        print(f"{one} - {other}: {'; '.join(shown)}")


if __name__ == "__main__":
    main()

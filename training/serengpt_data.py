"""Examples as SerenGPT is trained on them: one prompt with all the titles that were clicked in its request."""

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN, END, PAD = "<s>", "</s>", "<pad>"


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def train_tokenizer(texts, vocabulary):
    """Byte-level BPE: every text can be written in it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Coder:
    """Prompt and title are encoded apart, as the sampler does: where one ends and the other begins is always a token's edge."""

    def __init__(self, tokenizer, context):
        self.tokenizer = tokenizer
        self.context = context
        self.begin, self.end, self.pad = (tokenizer.token_to_id(t) for t in (BEGIN, END, PAD))

    def prompt(self, text):
        # what does not fit is cut at the front: the newest behaviour stands at the end
        return [self.begin] + self.tokenizer.encode(text).ids[-(self.context - 1) :]

    def title(self, text):
        return self.tokenizer.encode(" " + text).ids + [self.end]


def grouped(examples):
    """{prompt: titles}: the titles of a request share its prompt."""
    groups = {}
    for one in examples:
        groups.setdefault((one["user_id"], one["asked_at"], one["prompt"]), []).append(one["title"])
    return [(prompt, titles) for (_, _, prompt), titles in groups.items()]


def thinned(prompt, rng, keep):
    """The prompt with some of its tags and titles left out, so that few examples are not learned by heart."""
    lines = []
    for line in prompt.split("\n"):
        head, colon, rest = line.partition(": ")
        if colon and head in ("long", "likes", "did"):
            parts = [part for part in rest.split("; ") if rng.random() < keep]
            if parts:
                lines.append(f"{head}: {'; '.join(parts)}")
        elif head != "about" or rng.random() < keep:
            lines.append(line)
    return "\n".join(lines)


class Batch:
    """
    Rows of one prompt and several titles. A title sees the prompt and itself, not the other titles, and its positions go
    on from the prompt's end, as if each stood alone behind it: the prompt is computed once for all of them.
    """

    def __init__(self, coded, pad):
        length = max(len(prompt) + sum(map(len, titles)) for prompt, titles in coded)
        ids = torch.full((len(coded), length), pad)
        segment = torch.full((len(coded), length), -1)
        position = torch.zeros((len(coded), length), dtype=torch.long)
        reads, targets, prompt_reads, prompt_targets = [], [], [], []
        for row, (prompt, titles) in enumerate(coded):
            base, at = row * length, len(prompt)
            ids[row, :at] = torch.tensor(prompt)
            segment[row, :at] = 0
            position[row, :at] = torch.arange(at)
            prompt_reads += range(base, base + at - 1)
            prompt_targets += prompt[1:]
            for number, title in enumerate(titles, start=1):
                end = at + len(title)
                ids[row, at:end] = torch.tensor(title)
                segment[row, at:end] = number
                position[row, at:end] = torch.arange(len(prompt), len(prompt) + len(title))
                # the first token of every title is foreseen from the prompt's last one
                reads += [base + len(prompt) - 1, *range(base + at, base + end - 1)]
                targets += title
                at = end
        i, j = segment[:, :, None], segment[:, None, :]
        causal = torch.ones(length, length).tril().bool()
        sees = causal & ((j == 0) | (j == i)) & (j >= 0)
        sees |= torch.eye(length).bool()  # a row of nothing would give no number
        self.mask = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)[:, None]
        self.ids, self.position = ids, position
        self.reads, self.targets = torch.tensor(reads), torch.tensor(targets)
        self.prompt_reads, self.prompt_targets = torch.tensor(prompt_reads), torch.tensor(prompt_targets)


def batches(groups, coder, rng, tokens, most_titles, keep=1.0):
    """Shuffled, of about `tokens` tokens each, rows of like length together."""
    coded = []
    for prompt, titles in groups:
        titles = rng.sample(titles, len(titles))
        for at in range(0, len(titles), most_titles):
            text = prompt if keep >= 1 else thinned(prompt, rng, keep)
            coded.append((coder.prompt(text), [coder.title(t) for t in titles[at : at + most_titles]]))
    coded.sort(key=lambda row: len(row[0]) + sum(map(len, row[1])) + rng.random() * 16)
    pieces, piece, longest = [], [], 0
    for row in coded:
        longest = max(longest, len(row[0]) + sum(map(len, row[1])))
        if piece and longest * (len(piece) + 1) > tokens:
            pieces.append(piece)
            piece, longest = [], len(row[0]) + sum(map(len, row[1]))
        piece.append(row)
    pieces.append(piece)
    rng.shuffle(pieces)
    return pieces


def seeded(seed):
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    return random.Random(seed)


def folder(path):
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path

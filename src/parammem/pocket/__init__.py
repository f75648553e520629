"""The embedded default: pocket tasks generated from a seed, and the recipe of the pocket models that solve them.

How such tasks are worded and judged is in `domains`; what their specs leave open is in `domains/conventions.py`.

world.py        a world: which value holds for which kind, how strongly; its splits of tasks
problems.py     what the three problem makers share: choices, checks that reveal one convention each
code.py, arithmetic.py, relations.py   the problem makers of the three domains
mixture.py      the text a pocket model is pretrained on, in every prompt form that a method uses
corpus.py       the mixture as token arrays, and the pocket tokenizer
recipe.py       the numbers of a pocket model, and the digest of what it is trained on
pretrain.py     the training loop, with checkpoints
scores.py       what a pocket model can do with and without advice
"""

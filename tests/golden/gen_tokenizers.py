#!/usr/bin/env python3
"""Goldens of the tokenizers of published policies, made by the reference libraries. No network.

Run from the repository's root, in the environment of tools/golden_venv.sh with `pip install sentencepiece==0.2.1` added:
    .venv-golden/bin/python tests/golden/gen_tokenizers.py tests/golden/tokenizers

Writes, from a corpus made with seed 1,
  smollm2/tokenizer.json, tokenizer_config.json   the parts of SmolLM2's and SmolVLM2's file: Digits + ByteLevel, byte-level BPE
  gemma/tokenizer.json, tokenizer_config.json     the parts of PaliGemma's: Replace, Split, BPE with byte fallback, BOS
  odd/tokenizer.json                              every other part that is implemented
  spm/tokenizer.model                             Gemma's settings of SentencePiece: BPE, byte fallback, user-defined symbols
  plain_spm/tokenizer.model                       without byte fallback, with the space in front
  golden.json                                     texts and their ids from `tokenizers`, `transformers` and `sentencepiece`
Ids are integers: the tests want them equal.
"""
import json
import os
import random
import sys

import sentencepiece
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

out = sys.argv[1]
rng = random.Random(1)
VERBS = "pick place put push pull open close turn grasp lift move slide fold wipe pour stack insert press hand drop".split()
NOUNS = "cup mug plate banana drawer door lid block towel bottle spoon bowl sink tray box cable button handle peg sponge".split()
PLACES = "in the sink|on the plate|into the box|next to the robot|from the table|to the left|behind the red block|under the tray".split("|")
CORPUS = [f"{rng.choice(VERBS)} the {rng.choice(['red', 'blue', 'green', 'small', 'left'])} {rng.choice(NOUNS)} {rng.choice(PLACES)}"
          + rng.choice(["", ".", "!", "\n", f" {rng.randrange(300)} times", "  and then  wait", ", please\n"]) for _ in range(600)]
CORPUS += [f"Task: {rng.choice(VERBS)} the {rng.choice(NOUNS)}, State: {' '.join(str(rng.randrange(256)) for _ in range(6))};\nAction: "
           for _ in range(100)]
CORPUS += ["caf\u00e9 na\u00efve \u00fcber stra\u00dfe", "\u0434\u0430\u0439 \u043c\u043d\u0435 \u043a\u0440\u0443\u0436\u043a\u0443",
           "\u6d17\u76d8\u5b50 \u676f\u5b50", "it's don't we'll they're I'd you've I'm"] * 20

HAND = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", " \n ", "\n \n", "a", "A", "0", "12", "3.14159", "1,000,000", "pick the cup", "pick the cup\n",
    "Pick up the red block and place it in the box.\n", " leading", "trailing ", "  two  spaces  inside ", "tab\tand\rcr", "it's don't WE'LL they're I'D you've I'm 's 't",
    "'", "''", "'s", "'S", "''s", "a'", "don't!don't?", "x1y2z3", "abc123def", "12 34  56", "\u0661\u0662\u0663 \u00bd \u2167 \u00b2", "\uff11\uff12", "\U00011de0\U00016ff4x",
    "caf\u00e9", "cafe\u0301", "na\u00efve \u00c5ngstr\u00f6m stra\u00dfe", "\u0434\u0430\u0439 \u043c\u043d\u0435", "\u6d17\u76d8\u5b50\u3002", "\ud55c\uad6d\uc5b4", "\u0e44\u0e17\u0e22", "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "emoji \U0001f600\U0001f9fd", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "zero\u200bwidth", "nbsp\u00a0x", "\u3000wide", "\u2028line", "\u0085nel", "bom\ufeff",
    "\x01\x02\x03", "\x1b[31m", "\x7f", "\x1c\x1d\x1e\x1f", "a\x0bb\x0cc", "<", "<<>>", "<eos>", "<bos>x", "x<image>y", " <image> ", "<|endoftext|>", "<|im_end|>\n", "<|im_start|>user\nhi<|im_end|>",
    "<loc0012><seg003>", "<0x0A>", "<0x41>", "\u2581", "\u2581\u2581", "a\u2581b", "<pad><unk><mask>", "<image", "image>", "<fake_token_around_image><row_1_col_1><image>", "[MASK]  x", " x [MASK] y", "norm  a", "NORM",
    "!@#$%^&*()_+-=[]{}|;':\",./<>?`~\\", "...", "a.b.c", "e-mail@x.org", "http://a.b/c?d=e&f=g", "C++ 17", "_under_score_", "--", "\u2014 dash \u2026", "\u201cquotes\u201d", "x" * 100, "\u00e9" * 60, "ab " * 120,
    "Task: put the cup, State: 1 22 255 0 128 -1 256;\nAction: ", "Task: , State: ;\nAction: ", "\ue000\uf8ff", "\U0010ffff", "\ufffd", "\u0378", "\u1c89\ua7cb", "word " * 400, "1" * 300, " " * 257, "\n" * 65,
    "\u0301\u0301", "\u00df\u1e9e", "\u0130", "\uac00\u1100\u1161", "a\u0308\u0323", "ABCdefGHI", "camelCaseWord", "mixed\u4e2dEnglish12\u6587", "\U00020000", "\u1112\u1161\u11ab", "tele-op 2x4 mm\u00b2 5\u00b0C",
]
POOL = list("abcdefghijklmnopqrstuvwxyz" "ETAOIN" "0123456789" "    \n\t'.,;:!?-_()[]<>/\\\"#") + [
    " the ", " pick", "put ", "'ll", "'s ", "  ", "\n\n", "<image>", "<eos>", "<|im_end|>", "\u2581", "\u00e9", "e\u0301", "\u00df", "\u0436", "\u6f22", "\u3042", "\ud55c", "\U0001f600", "\U0001f1e9\U0001f1ea", "\u200d", "\u00a0",
    "\u3000", "\u0663", "\u00bd", "\u2014", "\x01", "\x1f", "\x7f", "\u0085", "\u0e01", "\u0915\u094d", "\U0001f3fd", "[MASK]", "norm", "<loc0012>", "\ue000"]
CASES = HAND + ["".join(rng.choice(POOL) for _ in range(rng.randrange(1, 60))) for _ in range(430 - len(HAND))]
assert all("\0" not in s for s in CASES)


def save(name, root, config=None):
    os.makedirs(f"{out}/{name}", exist_ok=True)
    with open(f"{out}/{name}/tokenizer.json", "w") as f:
        json.dump(root, f, ensure_ascii=False, separators=(",", ":"))
    if config is not None:
        with open(f"{out}/{name}/tokenizer_config.json", "w") as f:
            json.dump(config, f, indent=2)
    return Tokenizer.from_str(json.dumps(root))


def added(i, s, **kw):
    return {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **kw}


def ids(tok):
    return [tok.encode(s).ids for s in CASES]


golden = {"versions": {m.__name__: m.__version__ for m in (tokenizers, transformers, sentencepiece)}, "texts": CASES}

# ---- SmolLM2: special tokens first in the vocabulary; SmolVLM2's own ones behind it
SMOL = "<|endoftext|> <|im_start|> <|im_end|> <repo_name> <reponame> <file_sep> <filename> <gh_stars>".split()
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tok.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=620, special_tokens=SMOL, show_progress=False,
                                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
root = json.loads(tok.to_str())
n = len(root["model"]["vocab"])
root["added_tokens"] = [added(i, s) for i, s in enumerate(SMOL)]
root["added_tokens"] += [added(n + i, s) for i, s in enumerate(["<global-img>", "<row_1_col_1>", "<row_1_col_2>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"])]
root["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
smol = save("smollm2", root, {"add_prefix_space": False, "bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>",
                              "unk_token": "<|endoftext|>", "tokenizer_class": "GPT2Tokenizer", "model_max_length": 8192})
golden["smollm2"] = ids(smol)
# merges as strings instead of pairs, as files before tokenizers 0.20 have them: same ids
root["model"]["merges"] = [" ".join(m) for m in root["model"]["merges"]]
assert ids(Tokenizer.from_str(json.dumps(root))) == golden["smollm2"]
fast = transformers.PreTrainedTokenizerFast(tokenizer_object=smol, pad_token="<|im_end|>")
golden["smollm2_padded_48"] = [fast(s, max_length=48, truncation=True, padding="max_length", padding_side="right")["input_ids"] for s in CASES[:150]]

# ---- Gemma: <pad> <eos> <bos> <unk> <mask>, symbols that the user defined, bytes, and only then what was learnt
HEAD = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
SYMBOLS = ["\n", "\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581", "<table>"]
tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
tok.normalizer = normalizers.Replace(" ", "\u2581")
tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
# (the trainer is given words with their space in front: Gemma's pieces do not reach over it)
words = [w for s in CORPUS for w in s.replace(" ", " \u2581").replace("\n", " \n ").split(" ") if w]
tok.train_from_iterator(words, trainers.BpeTrainer(vocab_size=420, special_tokens=HEAD, show_progress=False))
learnt = json.loads(tok.to_str())
merges = [["\n", "\n"], ["\n\n", "\n"], ["\u2581", "\u2581"], ["\u2581\u2581", "\u2581"]] + [m if isinstance(m, list) else m.split(" ") for m in learnt["model"]["merges"]]
vocab = {}
for s in HEAD + SYMBOLS + [f"<0x{b:02X}>" for b in range(256)] + sorted(learnt["model"]["vocab"], key=learnt["model"]["vocab"].get):
    vocab.setdefault(s, len(vocab))
for a, b in merges:
    vocab.setdefault(a, len(vocab)), vocab.setdefault(b, len(vocab)), vocab.setdefault(a + b, len(vocab))
learnt["model"]["vocab"], learnt["model"]["merges"] = vocab, merges
learnt["added_tokens"] = [added(vocab[s], s) for s in HEAD] + [added(vocab[s], s, special=False) for s in SYMBOLS]
learnt["added_tokens"] += [added(len(vocab) + i, s, special=False) for i, s in enumerate(["<loc0011>", "<loc0012>", "<seg003>"])]
learnt["added_tokens"] += [added(len(vocab) + 3, "<image>")]
learnt["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                            "pair": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                     {"SpecialToken": {"id": "<bos>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
                            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [vocab["<bos>"]], "tokens": ["<bos>"]}}}
learnt["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]}
gemma = save("gemma", learnt, {"add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": {"__type": "AddedToken", "content": "<pad>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
                               "unk_token": "<unk>",
                               "tokenizer_class": "GemmaTokenizer", "extra_special_tokens": {}})
golden["gemma"] = ids(gemma)
wrapped = transformers.AutoTokenizer.from_pretrained(f"{out}/gemma")
assert type(wrapped).__name__ == "GemmaTokenizer"
golden["gemma_padded_48"] = [wrapped(s, max_length=48, truncation=True, padding="max_length", padding_side="right")["input_ids"] for s in CASES[:150]]

# ---- every other part: an unknown token that is not fused, no byte fallback, whole words before merges, spaces in front, tokens that eat
# the white space beside them or are found in normalized text, three rewritings, two tokens around the text
odd = Tokenizer(models.BPE())
odd.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
odd.train_from_iterator([s.lower() for s in CORPUS], trainers.BpeTrainer(vocab_size=330, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
root = json.loads(odd.to_str())
vocab = root["model"]["vocab"]
vocab["\u0120please"] = len(vocab)  # a word that no merge makes
n = len(vocab)
root["model"].update(unk_token="<unk>", fuse_unk=False, ignore_merges=True)
root["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "  "}, "content": " "},
                                                          {"type": "Replace", "pattern": {"String": "no"}, "content": "N--"},
                                                          {"type": "Prepend", "prepend": "_"}]}
root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"String": "."}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"String": "ab"}, "behavior": "MergedWithPrevious", "invert": False},
    {"type": "Digits", "individual_digits": False},
    {"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}]}
root["added_tokens"] = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), added(n, "[MASK]", lstrip=True), added(n + 1, "<image>", rstrip=True),
                        added(n + 2, "norm", normalized=True, special=False), added(n + 3, "<|im_end|>", lstrip=True, rstrip=True)]
root["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, {
    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"SpecialToken": {"id": "ab", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                             {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
                       "ab": {"id": "ab", "ids": [5, 6], "tokens": ["x", "y"]}}}]}
root["padding"] = {"strategy": {"Fixed": 0}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 2, "pad_type_id": 0, "pad_token": "</s>"}
golden["odd"] = ids(save("odd", root))

# ---- SentencePiece
def train(name, **kw):
    os.makedirs(f"{out}/{name}", exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=(f := open(f"{out}/{name}/tokenizer.model", "wb")), model_type="bpe", normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2, num_threads=1, **kw)
    f.close()
    return sentencepiece.SentencePieceProcessor(model_file=f"{out}/{name}/tokenizer.model")


sp = train("spm", vocab_size=700, byte_fallback=True, add_dummy_prefix=False, split_digits=True, allow_whitespace_only_pieces=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
           pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", user_defined_symbols=["<mask>", "<image>", "\n", "\n\n", "\u2581\u2581", "<loc0012>"], control_symbols=["<ctrl>"])
golden["spm"] = [[sp.bos_id()] + sp.encode(s) for s in CASES]
sp = train("plain_spm", vocab_size=300, add_dummy_prefix=True, character_coverage=0.99, hard_vocab_limit=False)
golden["plain_spm"] = [[sp.bos_id()] + sp.encode(s) for s in CASES]

with open(f"{out}/golden.json", "w") as f:
    f.write("{\n" + ",\n".join(f"{json.dumps(k)}: " + (json.dumps(v) if k == "versions" else "[\n" + ",\n".join(json.dumps(x, separators=(",", ":")) for x in v) + "\n]")
                               for k, v in golden.items()) + "\n}\n")
print("ok", golden["versions"], len(CASES), "texts")

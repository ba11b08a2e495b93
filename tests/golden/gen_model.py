#!/usr/bin/env python3
"""Goldens of src/model, made by the reference implementations.

Run from the repository's root, in a virtual environment of your own:
    pip install torch transformers tokenizers safetensors numpy && pip install --no-deps efficientnet_lite_pytorch==0.1.0
    python tests/golden/gen_model.py .deps tests/golden

Writes
  model_tokenizer.json         sentences -> ids, by `tokenizers` from minilm/tokenizer.json (cut at 512)
  model_text.safetensors       last hidden states of sentences, by `transformers` in double precision, stored as f32
  model_vision.safetensors     blocks 4, 10 and 15 for one image made by a formula, by efficientnet_lite_pytorch in double
  model_tiny.pth, model_tiny_legacy.pth   one small state dict in PyTorch's two containers
No random numbers except torch.manual_seed(1) of the tiny files. Tolerances of the tests (1e-4 of values of size 1 to 10) are
for fp32 sums in another order.
"""
import json
import os
import sys
from collections import OrderedDict

import numpy as np
import safetensors
import tokenizers
import torch
import transformers
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import save_file

deps, out = sys.argv[1], sys.argv[2]
torch.set_num_threads(1)
versions = {m.__name__: m.__version__ for m in (torch, transformers, tokenizers, safetensors, np)}
versions["efficientnet_lite_pytorch"] = "0.1.0"

# ---- tokenizer
SENTENCES = [
    "", " ", "put the mug in the sink", "Put the MUG in the Sink!", "put the banana on the plate, please.",
    "could you possibly place the yellow banana onto the white plate?", "  tabs\tand\nnew lines\r\n  and   spaces  ",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00dcBER stra\u00dfe", "e\u0301 combining, \u1ec7 stacked, \u0130stanbul \u01c5",
    "\u6d17\u76d8\u5b50 mixed \u4e2d\u6587 and English", "\u3053\u3093\u306b\u3061\u306f \u30ab\u30bf\u30ab\u30ca \u304c\u3056",
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5", "emoji \U0001f600\U0001f9fd and \u2764\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "don't re-use it's 50% off: $3.50 (ok) [x] {y} <z> a_b c^d ~e `f` |g| @h #i & * + = \\ /",
    "\u201cquotes\u201d \u2018single\u2019 \u2014 dash \u2026 \u00bfque? \u00a1hola! \u00ab\u00bb \u3002\uff0c\uff01",
    "unaffable antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "x" * 100, "x" * 101, "\u00e9" * 100 + " ok",
    "zero\u200bwidth soft\u00adhyphen bom\ufeff nul-free \u0007bell", "nbsp\u00a0here ideographic\u3000space \u2028line",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea \u0e44\u0e17\u0e22",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u041f\u0440\u0438\u0432\u0435\u0442 \u0439\u0451",
    "\ufb01ne \u2460 \u00bd \u00b2 \u2122 \uff21\uff22 \u212b", "1234567890 3.14159 -42 1e-5 0x1F", "word " * 700, "tele-op 2x4 mm\u00b2 5\u00b0C \u03bcm",
]
tok = tokenizers.Tokenizer.from_file(f"{deps}/minilm/tokenizer.json")
tok.no_padding()
tok.enable_truncation(512)
cases = [{"text": s, "ids": tok.encode(s).ids} for s in SENTENCES]
with open(f"{out}/model_tokenizer.json", "w") as f:
    f.write('{"versions": ' + json.dumps(versions) + ',\n"cases": [\n')
    f.write(",\n".join(json.dumps(c) for c in cases))
    f.write("\n]}\n")

# ---- text tower
TEXT = ["put the mug in the sink", "Bitte: l\u00f6sche das Licht!", "",
        "take the yellow banana from the counter next to the robot and then carefully set it down in the very middle of the large white plate"]
model = transformers.BertModel.from_pretrained(f"{deps}/minilm", attn_implementation="eager").double().eval()
tok.enable_truncation(32)
tensors = {}
with torch.no_grad():
    for i, s in enumerate(TEXT):
        ids = tok.encode(s).ids
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
        tensors[f"tokens{i}"] = hidden.float().numpy()
save_file(tensors, f"{out}/model_text.safetensors",
          metadata={**{k: str(v) for k, v in versions.items()}, **{f"text{i}": s for i, s in enumerate(TEXT)}})

# ---- vision tower: the image is (37 y + 91 x + 53 c + (x y) // 7) mod 256
y, x, c = np.meshgrid(np.arange(128), np.arange(128), np.arange(3), indexing="ij")
image = ((37 * y + 91 * x + 53 * c + (x * y) // 7) % 256).astype(np.uint8)
pth = [f for f in os.listdir(f"{deps}/efficientnet_lite0") if f.endswith(".pth")][0]
net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=f"{deps}/efficientnet_lite0/{pth}").double().eval()
with torch.no_grad():
    h = torch.tensor(image).double().permute(2, 0, 1)[None] / 127 - 1
    h = net._swish(net._bn0(net._conv_stem(h)))
    taps = {}
    for i, block in enumerate(net._blocks):
        h = block(h)
        if i in (4, 10, 15):
            taps[f"block{i}"] = h[0].permute(1, 2, 0).float().contiguous().numpy()
save_file(taps, f"{out}/model_vision.safetensors", metadata={k: str(v) for k, v in versions.items()})

# ---- containers
torch.manual_seed(1)
state = OrderedDict([("a.weight", torch.randn(3, 4)), ("a.bias", torch.arange(3).float()), ("steps", torch.tensor(7)), ("h", torch.randn(5).half())])
state["view"] = state["a.weight"][1:]  # shares a storage, with an offset
state["turned"] = torch.randn(2, 3, 4).permute(2, 0, 1)  # not in row-major order
torch.save(state, f"{out}/model_tiny.pth")
torch.save(state, f"{out}/model_tiny_legacy.pth", _use_new_zipfile_serialization=False)
save_file({k: v.contiguous().numpy().copy() for k, v in state.items()}, f"{out}/model_tiny.safetensors")
print("ok", versions)

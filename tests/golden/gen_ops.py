#!/usr/bin/env python3
"""A small network with most operations of src/tensor: values and gradients by PyTorch.

  tools/golden_venv.sh && .venv-golden/bin/python tests/golden/gen_ops.py        writes tests/golden/ops.safetensors

Seed 5; made with torch 2.15.0, safetensors 0.8.0 (any torch 2.x gives the same to rounding); CPU, computed in float64 and
stored as float32: so the reference is exact to 6e-8, and the tolerance of the test (2e-5 relative to the largest value of
each tensor) is all our own rounding.
The file holds inputs "in.*", parameters by their names, outputs "out.*" and gradients "grad.<parameter>".
The same network is built in tests/tensor/test_golden.c.
"""
import os
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(5)
torch.set_default_dtype(torch.float64)
B, T, V, C = 3, 5, 13, 12
P = {}


def param(name, *shape, scale=None):
    fan = shape[-1] if len(shape) > 1 else 4
    t = torch.randn(*shape) * (scale if scale is not None else fan**-0.5)
    P[name] = t.float().double().requires_grad_()
    return P[name]


def linear(x, name, n, bias=True):
    w = param(name + ".w", n, x.shape[-1])
    return F.linear(x, w, param(name + ".b", n) if bias else None)


def attention(q, k, v, heads, mask=None):
    split = lambda t: t.reshape(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
    return y.transpose(1, 2).reshape(q.shape)


def inputs():
    x = {
        "in.img": torch.randn(B, 7, 6, 4),
        "in.state": torch.randn(B, 5),
        "in.target": torch.randn(B, 4, 3),
        "in.weight": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).double(),
    }
    x = {k: v.float().double() for k, v in x.items()}
    x["in.ids"] = torch.randint(0, V, (B, T))
    x["in.lengths"] = torch.tensor([5, 2, 3])
    x["in.labels"] = torch.tensor([2, -1, 0])
    return x


x = inputs()

# words: embedding, positions, two transformer-like blocks (length mask, causal mask), mean over positions
e = F.embedding(x["in.ids"], param("words", V, C, scale=1.0)) + param("pos", T, C)
h = F.layer_norm(e, (C,), param("ln.g", C, scale=1.0), param("ln.b", C), 1e-5)
seen = torch.arange(T)[None, None, None, :] < x["in.lengths"][:, None, None, None]
# k has no bias: its gradient would be zero
h = attention(linear(h, "q", C), linear(h, "k", C, bias=False), linear(h, "v", C), 3, seen)
e = linear(h, "o", C, bias=False) + e
r = e * torch.rsqrt((e * e).mean(-1, keepdim=True) + 1e-6) * param("rms.g", C, scale=1.0)
e = attention(r, r, e, 2, torch.ones(T, T).tril().bool()) + e
words = e.mean(1)

# image: conv, depthwise conv with stride and uneven padding, FiLM by the words, keypoints and mean
img = x["in.img"].permute(0, 3, 1, 2)
w = param("conv.w", 8, 3, 3, 4, scale=0.3)
f = F.relu6(F.conv2d(F.pad(img, (1, 1, 1, 1)), w.permute(0, 3, 1, 2), param("conv.b", 8)))
w = param("dw.w", 3, 3, 8, scale=0.4)
f = F.silu(F.conv2d(F.pad(f, (0, 1, 0, 1)), w.permute(2, 0, 1)[:, None], param("dw.b", 8), stride=2, groups=8))
w = param("conv2.w", 8, 1, 1, 8, scale=0.5)
f = torch.tanh(F.conv2d(f, w.permute(0, 3, 1, 2))) + f
gb = linear(words, "film", 16)
f = F.relu(f * (1 + gb[:, :8, None, None]) + gb[:, 8:, None, None])
hh, ww = f.shape[2:]
a = (f * 2.0).reshape(B, 8, hh * ww).softmax(-1).reshape(B, 8, hh, ww)
kx = (a.sum(2) * torch.linspace(-1, 1, ww)).sum(-1)
ky = (a.sum(3) * torch.linspace(-1, 1, hh)).sum(-1)
key = torch.stack([kx, ky], -1)

# both and the state -> MLP -> chunk; classes besides
z = torch.cat([key.reshape(B, 16), f.mean((2, 3)), x["in.state"], words], 1)
z = F.gelu(linear(z, "up", 32))
z = F.gelu(linear(z, "mid", 32), approximate="tanh") + z
z = z * torch.sigmoid(param("gate", 32))
out = linear(z, "head", 12).reshape(B, 4, 3)
logits = linear(z, "cls", 4)

l1 = ((out - x["in.target"]).abs().sum(-1) * x["in.weight"]).sum() / x["in.weight"].sum() / 3
mse = F.mse_loss(out, x["in.target"])
xent = F.cross_entropy(logits, x["in.labels"], ignore_index=-1)
loss = l1 + 0.5 * mse + 0.3 * xent
loss.backward()

save = {k: v.detach() for k, v in P.items()}
save |= {"grad." + k: v.grad for k, v in P.items()}
save |= {"out.pred": out, "out.logits": logits, "out.key": key, "out.loss": loss.reshape(1)}
save = {k: v.detach().float().contiguous() for k, v in save.items()}
save |= {k: (v.int() if v.dtype == torch.int64 else v.float()).contiguous() for k, v in x.items()}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.safetensors")
save_file(save, path, {"torch": torch.__version__, "seed": "5"})
print(path, os.path.getsize(path), "bytes, loss", loss.item())

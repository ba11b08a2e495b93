"""adamw.py - golden numbers for tests/train/test_optim.c: torch.optim.AdamW with clip_grad_norm_, and an EMA.

Command: tools/golden_venv.sh && .venv-golden/bin/python tests/golden/adamw.py > tests/golden/adamw.h
Seed 7, torch 2.10.0 (CPU, float64: the reference is exact to float32, so the tolerance is float32 rounding).
"""
import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
w, b = torch.randn(3, 4).float().double(), torch.randn(5).float().double()
w0, b0 = w.clone(), b.clone()
w.requires_grad_(), b.requires_grad_()
opt = torch.optim.AdamW([{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}], lr=1e-2,
                        betas=(0.9, 0.95), eps=1e-8)
ema_w, ema_b = w0.clone(), b0.clone()
gw, gb, norms = [], [], []
for t in range(1, 7):
    w.grad = (torch.randn(3, 4) * (3.0 if t == 3 else 0.2)).float().double()
    b.grad = (torch.randn(5) * 0.2).float().double()
    gw.append(w.grad.clone()), gb.append(b.grad.clone())
    norms.append(torch.nn.utils.clip_grad_norm_([w, b], 1.0))
    opt.step()
    keep = min(0.25, (1 + t) / (10 + t))
    ema_w, ema_b = keep * ema_w + (1 - keep) * w.detach(), keep * ema_b + (1 - keep) * b.detach()


def c(name, x):
    v = torch.as_tensor(x).detach().flatten().tolist()
    print(f"static const float {name}[{len(v)}] = {{" + ", ".join(f"{y:.9e}F" for y in v) + "};")


print(f"/* made by tests/golden/adamw.py with torch {torch.__version__}; do not edit */")
for name, x in [("w0", w0), ("b0", b0), ("gw", torch.stack(gw)), ("gb", torch.stack(gb)), ("norms", torch.stack(norms)),
                ("w6", w), ("b6", b), ("ema_w6", ema_w), ("ema_b6", ema_b)]:
    c("golden_" + name, x)

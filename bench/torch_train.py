#!/usr/bin/env python3
"""The network of bench/bench_train.c in PyTorch: training samples a second on the same machine and threads.

  python3 bench/torch_train.py [--batch N] [--threads N] [--rounds N] [--steps N] [--k 1|3] [--compile]

Same shapes, same step: forward, backward, clip_grad_norm_, fused AdamW, moving average by torch._foreach_lerp_. Images are
channels_last (what its convolution likes best on a CPU). Eager by default; --compile uses torch.compile.
"""
import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Branch(nn.Module):
    def __init__(self, c, k):
        super().__init__()
        self.conv1 = nn.Conv2d(c, 96, 1)
        self.film1 = nn.Linear(128, 192)
        self.conv2 = nn.Conv2d(96, 64, k, padding=k // 2)
        self.film2 = nn.Linear(128, 128)
        self.points = nn.Conv2d(64, 64, 1)
        line = torch.linspace(-1, 1, 8)
        self.register_buffer("xy", torch.stack([line.repeat(8), line.repeat_interleave(8)], -1))

    @staticmethod
    def film(x, gb):
        g, b = gb.chunk(2, 1)
        return F.relu(x * (1 + g[:, :, None, None]) + b[:, :, None, None])

    def forward(self, x, words):
        x = self.film(self.conv1(x), self.film1(words))
        x = self.film(self.conv2(x), self.film2(words))
        k = self.points(x).flatten(2).softmax(-1) @ self.xy
        return k.flatten(1), x.mean((2, 3))


class Net(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.words = nn.Linear(384, 128)
        self.views = nn.ModuleList(Branch(112, k) for _ in range(2))
        n = 2 * (128 + 64) + 6 + 128
        self.mlp = nn.ModuleList([nn.Linear(n, 512), nn.Linear(512, 512), nn.Linear(512, 512)])
        self.out = nn.Linear(512, 16 * 5)
        self.drop = nn.Dropout(0.1)

    def forward(self, feats, text, state):
        words = F.gelu(self.words(self.drop(text)))
        parts = []
        for view, f in zip(self.views, feats):
            parts.extend(view(f, words))
        x = torch.cat([*parts, state, words], 1)
        for i, layer in enumerate(self.mlp):
            y = F.gelu(layer(x))
            x = self.drop(y if i == 0 else y + x)
        return self.out(x).reshape(-1, 16, 5)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--batch", type=int, default=128)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--steps", type=int, default=10)
    a.add_argument("--k", type=int, default=1)
    a.add_argument("--compile", action="store_true")
    a.add_argument("--profile", action="store_true")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    net = Net(a.k).to(memory_format=torch.channels_last)
    ema = [p.detach().clone() for p in net.parameters()]
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    feats = [torch.randn(a.batch, 112, 8, 8).to(memory_format=torch.channels_last) for _ in range(2)]
    text, state = torch.randn(a.batch, 384), torch.randn(a.batch, 6)
    target, weight = torch.randn(a.batch, 16, 5), torch.ones(a.batch, 16)
    run = torch.compile(net) if a.compile else net

    def step():
        opt.zero_grad(set_to_none=True)
        pred = run(feats, text, state)
        loss = ((pred - target).abs().sum(-1) * weight).sum() / weight.sum() / 5
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 0.001)

    rates = []
    for k in range(-1, a.rounds):
        t = time.perf_counter()
        for _ in range(a.steps):
            step()
        if k < 0:
            cpu = time.process_time()
        else:
            rates.append(a.steps * a.batch / (time.perf_counter() - t))
    cpu = time.process_time() - cpu
    rates.sort()
    print(f"torch {torch.__version__}{' compiled' if a.compile else ''}, batch {a.batch}, {a.threads} threads: median "
          f"{statistics.median(rates):.0f} samples/s (best {rates[-1]:.0f}, worst {rates[0]:.0f} of {a.rounds} rounds), "
          f"{a.rounds * a.steps * a.batch / cpu:.0f} samples a CPU second")
    if a.profile:
        with torch.profiler.profile() as p:
            step()
        print(p.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=40))


if __name__ == "__main__":
    main()

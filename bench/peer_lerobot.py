#!/usr/bin/env python3
"""Training samples a second from LeRobot's own loader, for bench/bench_loader.c: the same dataset, content, batch and workers.

  .venv-golden/bin/python bench/peer_lerobot.py DIR [--workers 0 1 2] [--dtypes float32 uint8] [--batch 32] [--samples 2000]

A sample is a random (episode, frame): every camera decoded, state, a chunk of 16 actions and which of them lie beyond the end.
LeRobotDataset + torch.utils.data.DataLoader(shuffle=True), as its own training script makes them; the video backend is
LeRobot's default (torchcodec where that loads). torch runs on one thread, workers on one each. The first batches of every worker
are not counted.
"""
import argparse
import json
import time

import lerobot
import torch
from lerobot.datasets import video_utils
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def measure(args, workers, dtype):
    meta = LeRobotDataset("local/peer", root=args.dir).meta
    video_utils._default_decoder_cache.clear()  # workers are forked: they must not share open files with this process
    delta = {"action": [i / meta.fps for i in range(16)]}
    start = time.perf_counter()
    data = LeRobotDataset("local/peer", root=args.dir, delta_timestamps=delta, tolerance_s=args.tolerance,
                          return_uint8=dtype == "uint8", video_backend=args.backend)
    opened = time.perf_counter() - start
    loader = torch.utils.data.DataLoader(data, batch_size=args.batch, shuffle=True, num_workers=workers,
                                         generator=torch.Generator().manual_seed(1),
                                         prefetch_factor=2 if workers else None)
    warm, want = 2 * max(workers, 1), args.samples // args.batch
    seen, start = 0.0, None
    for i, batch in enumerate(loader):
        if i == warm:
            start = time.perf_counter()
        seen += float(batch["action"][0, 0, 0]) + sum(float(batch[k].view(-1)[::64].sum()) for k in meta.video_keys)
        if i == warm + want:
            break
    seconds, n = time.perf_counter() - start, want * args.batch
    assert batch["action"].shape[1] == 16 and "action_is_pad" in batch
    print(json.dumps({"loader": "lerobot " + lerobot.__version__, "backend": args.backend or video_utils.get_safe_default_video_backend(),
                      "workers": workers, "dtype": str(batch[meta.video_keys[0]].dtype), "samples": n, "open_s": round(opened, 2),
                      "seconds": round(seconds, 2), "samples_per_s": round(n / seconds, 1), "seen": round(seen)}), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dir")
    p.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    p.add_argument("--dtypes", nargs="+", default=["float32", "uint8"])
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--samples", type=int, default=2000)
    p.add_argument("--backend", default=None)
    p.add_argument("--tolerance", type=float, default=1e-4)
    args = p.parse_args()
    torch.set_num_threads(1)
    for dtype in args.dtypes:
        for workers in args.workers:
            measure(args, workers, dtype)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""LeRobot's ACT at its published size, random weights, on PyTorch: the peer of bench/bench_act.c.

  .venv-golden/bin/python bench/torch_act.py [--cameras 2] [--threads 1] [--rounds 5] [--dtypes float32 bfloat16]

Eager, in both memory formats; the best of the rounds each. CPU seconds are those of all threads of the process.
"""
import argparse
import time

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy

parser = argparse.ArgumentParser()
parser.add_argument("--cameras", type=int, default=2)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
args = parser.parse_args()
torch.set_num_threads(args.threads)
features = {"observation.state": PolicyFeature(FeatureType.STATE, (14,))}
for i in range(args.cameras):
    features[f"observation.images.cam{i}"] = PolicyFeature(FeatureType.VISUAL, (3, 480, 640))
config = ACTConfig(input_features=features, output_features={"action": PolicyFeature(FeatureType.ACTION, (14,))}, device="cpu",
                   pretrained_backbone_weights=None)
policy = ACTPolicy(config).eval()
batch = {key: torch.rand(1, *feature.shape) for key, feature in features.items()}
for dtype in args.dtypes:
    for order in ("contiguous", "channels_last"):
        memory = getattr(torch, order + "_format" if order == "contiguous" else order)
        policy = policy.to(memory_format=memory)
        inputs = {k: v.contiguous(memory_format=memory) if v.dim() == 4 else v for k, v in batch.items()}
        wall = cpu = float("inf")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            for i in range(args.rounds + 1):
                t, c = time.perf_counter(), time.process_time()
                policy.predict_action_chunk(dict(inputs))
                if i > 0:
                    wall, cpu = min(wall, time.perf_counter() - t), min(cpu, time.process_time() - c)
        print(f"torch {torch.__version__} act {dtype} {order}: {args.cameras} cameras, {args.threads} threads: "
              f"best {1e3 * wall:.1f} ms, {1e3 * cpu:.1f} ms of CPU", flush=True)

#!/usr/bin/env python3
"""Goldens of src/model/processor.c: LeRobot's own pipelines around no network, in every way of normalising.

Run from the repository's root, in the environment of tools/golden_venv.sh:
    .venv-golden/bin/python tests/golden/gen_processors.py tests/golden/processors

Each case is a directory as LeRobot's save_pretrained writes it, without weights: config.json, the two pipelines, their statistics;
and golden.json: for each row a state, a task, an action chunk in the robot's units, what the preprocessor makes of them, a chunk
as a network would give it, and what the postprocessor makes of that. Random numbers from torch.manual_seed(7). Numbers are f32,
written in full; the tests want 1e-6 of a value's scale.
"""
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch

import lerobot
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.policies.pi05.configuration_pi05 import PI05Config
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.processor import tokenizer_processor

out = sys.argv[1]
torch.manual_seed(7)
torch.set_num_threads(1)
NO_TOKENS = lambda text, **_: {"input_ids": torch.zeros(len(text), 1, dtype=torch.long), "attention_mask": torch.ones(len(text), 1)}
tokenizer_processor.AutoTokenizer = type("Local", (), {"from_pretrained": staticmethod(lambda _name: NO_TOKENS)})
M = NormalizationMode
TASKS = ["pick the cup", "pick the cup\n", "", "\n", "  spaces around \t", "snake_case_and\nline ends\n\n", "\u00a0\u3000wide \u2028\x1c\x1f", "caf\u00e9 \u6d17\u76d8\u5b50 \U0001f600_",
         "_", "a" * 300, "State: 1 2 3;\nAction: ", "\u0085\x0b\x0cform"]


def stats(n, flat=()):
    mean, std = torch.randn(n), torch.rand(n) + 0.2
    for i in flat:
        std[i] = 0.0
    return {"mean": mean, "std": std, "min": mean - 3 * std, "max": mean + 2 * std, "q01": mean - 2.5 * std, "q99": mean + 2 * std,
            "q10": mean - 1.3 * std, "q90": mean + 1.2 * std, "count": torch.tensor([1000])}


def case(name, config, dataset_stats, states=None, rename=None):
    pre, post = make_pre_post_processors(config, dataset_stats=dataset_stats)
    if rename is not None:
        pre.steps[0].rename_map = rename
    path = f"{out}/{name}"
    config.save_pretrained(path)
    pre.save_pretrained(path)
    post.save_pretrained(path)
    n, m = config.input_features["observation.state"].shape[0], config.output_features["action"].shape[0]
    rows = []
    states = torch.randn(len(TASKS), n) * 1.5 if states is None else states
    for i, state in enumerate(states):
        task, action, y = TASKS[i % len(TASKS)], torch.randn(1, 3, m) * 1.5, torch.randn(1, 3, m)
        batch = pre({"observation.state": state[None], "action": action, "task": [task]})
        rows.append({"state": state.tolist(), "task": task, "action": action[0].tolist(), "norm_state": batch["observation.state"][0].tolist(), "prompt": batch["task"][0],
                     "norm_action": batch["action"][0].tolist(), "y": y[0].tolist(), "chunk": post(y.clone())[0].tolist()})
    with open(f"{path}/golden.json", "w") as f:
        f.write('{"lerobot": "' + lerobot.__version__ + '", "rows": [\n' + ",\n".join(json.dumps(r) for r in rows) + "\n]}\n")


def features(n, m, *cameras):
    inputs = {"observation.state": PolicyFeature(type=FeatureType.STATE, shape=(n,))}
    inputs |= {f"observation.images.{c}": PolicyFeature(type=FeatureType.VISUAL, shape=(3, 24, 32)) for c in cameras}
    return {"input_features": inputs, "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(m,))}, "device": "cpu"}


def norms(state, action, visual=M.IDENTITY):
    return {"normalization_mapping": {"VISUAL": visual, "STATE": state, "ACTION": action}}


JOINTS = ["shoulder.pos", "elbow.pos", "Wrist.pos", "Gripper.pos"]
case("act_min_max", ACTConfig(**features(5, 4, "top"), **norms(M.MIN_MAX, M.MIN_MAX)), {"observation.state": stats(5, [2]), "action": stats(4, [1])})
case("act_identity", ACTConfig(**features(5, 4, "top"), **norms(M.IDENTITY, M.IDENTITY)), {})
case("smolvla_quantile10", SmolVLAConfig(**features(6, 6, "top"), **norms(M.QUANTILE10, M.MEAN_STD)), {"observation.state": stats(6, [0]), "action": stats(6, [5])},
     rename={"observation.images.front": "observation.images.top"})
case("pi0_relative", PI0Config(**features(6, 4, "top"), use_relative_actions=True, relative_exclude_joints=["gripper"], action_feature_names=JOINTS),
     {"observation.state": stats(6), "action": stats(4)})
# states at the ends of the parts, one step beside them, outside the range
unit = {k: torch.full((4,), v) for k, v in {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0, "q01": -1.0, "q99": 1.0, "q10": -1.0, "q90": 1.0}.items()}
edges = torch.tensor([-1.0 + k / 128 for k in range(257)] + [-2.0, 2.0, -0.0, 1e-30, -1e-30, 1e-8, -1e-8])
edges = torch.stack([edges, torch.nextafter(edges, torch.tensor(9.0)), torch.nextafter(edges, torch.tensor(-9.0)), edges * 0.37], 1)
case("pi05_edges", PI05Config(**features(4, 4, "top"), **norms(M.QUANTILES, M.QUANTILES)), {"observation.state": unit, "action": stats(4)}, states=edges)
case("pi05_relative", PI05Config(**features(4, 4, "top"), use_relative_actions=True, relative_exclude_joints=["gripper", "WRIST"], action_feature_names=JOINTS),
     {"observation.state": stats(4, [3]), "action": stats(4)})
print("ok", lerobot.__version__, torch.__version__)

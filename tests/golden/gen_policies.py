#!/usr/bin/env python3
"""Goldens of the published policies, made by LeRobot itself on tiny random networks.

Run from the repository's root, in a virtual environment of your own:
    pip install lerobot==0.6.1 torch==2.10.0 transformers==5.5.4 tokenizers==0.22.2
    python tests/golden/gen_policies.py tests/golden/policies [name of a case ...]

Each case is a directory that is a LeRobot `pretrained_model` directory, written by LeRobot's own save_pretrained (config.json,
model.safetensors, processor JSON and statistics), of a network too small to be one of the published ones, hence one more key of
config.json: "sizes" (what a published checkpoint takes from the name of its backbone). Beside it golden*.safetensors, f32:
  in.<key>      inputs in the robot's units: images u8 [B,h,w,3], state [B,n], noise [B,T,D], action [B,T,A], ...; the metadata
                "tasks" is a JSON list of the sentences; a camera that has no in.<key> is missing from the observation
  mid.<stage>   values inside, [B,tokens,width]; maps [B,h,w,C]
  out.model     the chunk as the network gives it, [B,T,A]; out.chunk the same in the robot's units
  train.*       train.loss; train.norm.<parameter> its gradient's norm; train.grad.<parameter> some gradients in full
Everything random comes from torch.manual_seed(SEED + the case's number). Arithmetic is f32 on one thread, eager. The tolerance of
the tests, 1e-4 of a value's scale, is for sums in another order.
"""
import importlib
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import safetensors
import tokenizers
import torch
import torchvision
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import lerobot
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

SEED = 20260
torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False
VERSIONS = {m.__name__: m.__version__ for m in (lerobot, torch, torchvision, transformers, tokenizers, safetensors)}
LANGUAGE = {OBS_LANGUAGE_TOKENS: "mid.tokens", OBS_LANGUAGE_ATTENTION_MASK: "mid.tokens_mask"}


# ---- what all cases share
def feature(kind, *shape):
    return PolicyFeature(type=FeatureType[kind], shape=tuple(shape))


def camera(name, h, w):
    return {f"observation.images.{name}": feature("VISUAL", 3, h, w)}


def statistics(features):
    """Every statistic that LeRobot writes, for every feature; cameras have ImageNet's, as its training scripts set them."""
    stats = {}
    for key, f in features.items():
        if f.type is FeatureType.VISUAL:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            stats[key] = {"mean": mean.view(3, 1, 1), "std": std.view(3, 1, 1), "min": torch.zeros(3, 1, 1), "max": torch.ones(3, 1, 1)}
            continue
        n = f.shape[0]
        mean, std = torch.randn(n), torch.rand(n) + 0.3
        stats[key] = {"mean": mean, "std": std, "min": mean - 3 * std, "max": mean + 3 * std,
                      "q01": mean - 2.5 * std, "q99": mean + 2.5 * std, "q10": mean - 1.3 * std, "q90": mean + 1.3 * std}
    return {k: {s: v.float().numpy() for s, v in d.items()} for k, d in stats.items()}


def picture(b, h, w):
    """Smooth shapes and noise: [b,h,w,3] u8."""
    y, x = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1, w), indexing="ij")
    f = torch.rand(b, 3, 4, 1, 1) * 12
    smooth = torch.sin(f[:, :, 0] * y + f[:, :, 1] * x) * torch.cos(f[:, :, 2] * y - f[:, :, 3] * x)
    return ((smooth * 0.4 + 0.5 + 0.1 * torch.randn(b, 3, h, w)).clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).contiguous()


def shake(module, bits16=()):
    """No parameter is left at an initial value that hides a mistake. Those whose name has a piece of bits16 fit in bf16."""
    with torch.no_grad():
        for name, p in list(module.named_parameters()) + list(module.named_buffers()):
            if p.dim() <= 1 and p.dtype.is_floating_point and "inv_freq" not in name and "position" not in name:
                p.add_(torch.randn_like(p) * 0.1)
                if name.endswith("running_var"):
                    p.copy_(p.abs() + 0.5)
            if any(piece in name for piece in bits16):
                p.copy_(p.bfloat16().float())


class Taps:
    """Outputs of modules by name, of their first and their last call."""

    def __init__(self):
        self.values, self.handles = {}, []

    def add(self, module, name, pick=lambda out: out, every=False):
        def hook(_m, _args, out):
            value = pick(out).detach().float().clone()
            if every:
                self.values.setdefault(f"{name}.{self.count(name)}", value)
            else:
                self.values[name] = value
        self.handles.append(module.register_forward_hook(hook))

    def count(self, name):
        return sum(k.startswith(name + ".") for k in self.values)

    def close(self):
        for h in self.handles:
            h.remove()
        return {f"mid.{k}": v for k, v in self.values.items()}


def nhwc(t):
    return t.permute(0, 2, 3, 1)


def observe(inputs, tasks, keep=lambda k: True):
    """inputs (u8 pictures [B,h,w,3]) as LeRobot's preprocessor wants them."""
    batch = {"task": list(tasks)}
    for k, v in inputs.items():
        if keep(k):
            batch[k] = v.permute(0, 3, 1, 2).float() / 255 if v.dtype == torch.uint8 else v.clone()
    return batch


def gradients(policy, loss, full):
    """Backward; norms of all gradients, and some in full."""
    policy.zero_grad()
    loss.backward()
    out = {"train.loss": loss.detach().reshape(1)}
    for name, p in policy.named_parameters():
        if p.grad is None:
            continue
        out[f"train.norm.{name}"] = p.grad.norm().reshape(1)
        if any(name.endswith(f) for f in full):
            out[f"train.grad.{name}"] = p.grad.clone()
    return out


def save_golden(path, tensors, tasks, **meta):
    flat = {}
    for k, v in tensors.items():
        v = v.detach()
        if v.dtype in (torch.int64, torch.int32):
            v = v.int()
        elif v.dtype not in (torch.uint8, torch.bool):
            v = v.float()
        flat[k] = (v.byte() if v.dtype == torch.bool else v).contiguous().clone()
    save_file(flat, path, metadata={"tasks": json.dumps(list(tasks)), "versions": json.dumps(VERSIONS), "seed": str(SEED),
                                    **{k: json.dumps(v) for k, v in meta.items()}})
    print(f"{path}: {os.path.getsize(path) / 1024:.0f} kB")


def save_policy(path, policy, pre, post, sizes, half=()):
    """What LeRobot's training writes, plus "sizes". Parameters whose name has a piece of `half` are stored as bf16."""
    os.makedirs(path, exist_ok=True)
    policy.save_pretrained(path)
    pre.save_pretrained(path)
    post.save_pretrained(path)
    with open(f"{path}/config.json") as f:
        config = json.load(f)
    config["sizes"] = sizes
    with open(f"{path}/config.json", "w") as f:
        json.dump(config, f, indent=4)
    if half:
        weights = load_file(f"{path}/model.safetensors")
        save_file({k: v.bfloat16() if any(p in k for p in half) else v for k, v in weights.items()},
                  f"{path}/model.safetensors", metadata={"format": "pt"})
    print(f"{path}/model.safetensors: {os.path.getsize(f'{path}/model.safetensors') / 1024:.0f} kB")


# ---- ACT
def narrow_resnet(width):
    """torchvision.models.resnet18 with `width` instead of 64 channels behind the first convolution."""
    def build(replace_stride_with_dilation, weights, norm_layer):
        net = torchvision.models.resnet.ResNet(torchvision.models.resnet.BasicBlock, [2, 2, 2, 2], norm_layer=norm_layer)
        net.inplanes = width
        net.conv1, net.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), norm_layer(width)
        for i, (planes, stride) in enumerate([(width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)]):
            setattr(net, f"layer{i + 1}", net._make_layer(torchvision.models.resnet.BasicBlock, planes, 2, stride=stride))
        net.fc = nn.Linear(8 * width, 10)
        for m in net.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        return net
    return build


ACT_FULL = ("backbone.conv1.weight", "backbone.layer2.0.downsample.0.weight", "encoder.layers.0.self_attn.in_proj_weight",
            "encoder.layers.0.norm1.weight", "decoder_pos_embed.weight", "encoder_1d_feature_pos_embed.weight", "action_head.bias",
            "vae_encoder_cls_embed.weight", "vae_encoder_latent_output_proj.bias", "encoder_img_feat_input_proj.weight")


def act_taps(policy):
    taps, m = Taps(), policy.model
    if hasattr(m, "backbone"):
        taps.add(m.backbone, "backbone", lambda out: nhwc(out["feature_map"]), every=True)
        taps.add(m.backbone.maxpool, "stem", nhwc, every=True)
    for i, layer in enumerate(m.encoder.layers):
        taps.add(layer, f"encoder{i}", lambda out: out.transpose(0, 1))
    taps.add(m.encoder, "encoder", lambda out: out.transpose(0, 1))
    for i, layer in enumerate(m.decoder.layers):
        taps.add(layer, f"decoder{i}", lambda out: out.transpose(0, 1))
    taps.add(m.decoder, "decoder", lambda out: out.transpose(0, 1))
    return taps


def act_ensemble(policy, pre, post, inputs, n):
    """n observations one after another, the state drifting; what the robot is told each time."""
    policy.reset()
    out = {"series.state": [], "series.action": []}
    for i in range(n):
        one = {k: v[:1].clone() for k, v in inputs.items()}
        one["observation.state"] += 0.3 * i
        out["series.state"].append(one["observation.state"][0])
        out["series.action"].append(post(policy.select_action(pre(observe(one, [""]))))[0])
    return {k: torch.stack(v) for k, v in out.items()}


def act_train(policy, pre, inputs, eps):
    batch = pre(observe(inputs, [""] * 2))
    policy.train()
    taps = Taps()
    if policy.config.use_vae:
        taps.add(policy.model.vae_encoder_latent_output_proj, "latent")
    real = torch.randn_like
    torch.randn_like = lambda t, **_: eps
    loss, parts = policy.forward(batch)
    torch.randn_like = real
    out = {k.replace("mid", "train"): v for k, v in taps.close().items()}
    out.update({f"train.{k}": torch.tensor([v]) for k, v in parts.items()})
    out.update(gradients(policy, loss, ACT_FULL))
    policy.eval()
    return out


def act_case(path, cams, width, env=0, series=0, **opts):
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors
    torchvision.models.resnet18 = narrow_resnet(width)
    features = {"observation.state": feature("STATE", 5)}
    for name, h, w in cams:
        features.update(camera(name, h, w))
    if env:
        features["observation.environment_state"] = feature("ENV", env)
    action = {"action": feature("ACTION", 4)}
    cfg = ACTConfig(input_features=features, output_features=action, device="cpu", push_to_hub=False,
                    pretrained_backbone_weights=None, chunk_size=8, n_heads=4, n_encoder_layers=2, n_vae_encoder_layers=2,
                    latent_dim=6, dropout=0.0, **{"n_action_steps": 8, **opts})
    if env:
        cfg.normalization_mapping["ENV"] = cfg.normalization_mapping["STATE"]
    policy = ACTPolicy(cfg).eval()
    shake(policy)
    pre, post = make_act_pre_post_processors(cfg, statistics({**features, **action}))
    save_policy(path, policy, pre, post, {"backbone_width": width})
    inputs = {"observation.state": torch.randn(2, 5)}
    inputs.update({f"observation.images.{name}": picture(2, h, w) for name, h, w in cams})
    if env:
        inputs["observation.environment_state"] = torch.randn(2, env)
    golden = {f"in.{k}": v for k, v in inputs.items()}
    taps = act_taps(policy)
    with torch.no_grad():
        chunk = policy.predict_action_chunk(pre(observe(inputs, [""] * 2)))
    golden.update(taps.close())
    golden["out.model"], golden["out.chunk"] = chunk, post(chunk.clone())
    if series:
        golden.update(act_ensemble(policy, pre, post, inputs, series))
    pad = torch.zeros(2, 8, dtype=torch.bool)
    pad[1, 5:] = True
    target = {"action": torch.randn(2, 8, 4), "action_is_pad": pad}
    eps = torch.randn(2, 6)
    golden.update({f"in.{k}": v for k, v in target.items()} | {"in.eps": eps})
    golden.update(act_train(policy, pre, {**inputs, **target}, eps))
    save_golden(f"{path}/golden.safetensors", golden, ["", ""])


CASES = {
    # two cameras of an odd size, CVAE
    "act": lambda p: act_case(p, [("top", 40, 56), ("wrist", 40, 56)], 4, dim_model=32, dim_feedforward=48),
    # one camera, norms first, no CVAE, two decoder layers
    "act_pre_norm": lambda p: act_case(p, [("top", 33, 45)], 2, dim_model=16, dim_feedforward=24, pre_norm=True, use_vae=False,
                                       n_decoder_layers=2),
    # a camera and the environment's state, GELU, temporal ensembling
    "act_ensemble": lambda p: act_case(p, [("top", 32, 32)], 2, env=3, series=12, dim_model=16, dim_feedforward=24,
                                       feedforward_activation="gelu", temporal_ensemble_coeff=0.01, n_action_steps=1),
    # no camera at all
    "act_env": lambda p: act_case(p, [], 2, env=7, dim_model=16, dim_feedforward=24),
}

if __name__ == "__main__":
    out, wanted = sys.argv[1], sys.argv[2:]
    for number, (name, make) in enumerate(CASES.items()):
        if wanted and name not in wanted:
            continue
        torch.manual_seed(SEED + number)
        make(os.path.join(out, name))

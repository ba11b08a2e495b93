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
GUIDED = [(0, 3), (2, 5), (3, 3), (4, 6)]  # (rows that are settled, rows that weigh)
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


def shake(module, scale=False, half=lambda _name: False):
    """No parameter is left at an initial value that hides a mistake; scale: matrices so that each layer changes much.
    half(name): its values fit in bf16."""
    with torch.no_grad():
        for name, p in list(module.named_parameters()) + list(module.named_buffers()):
            if "inv_freq" in name or "embed_scale" in name:  # constants, which no checkpoint has
                continue
            if p.dim() <= 1 and p.dtype.is_floating_point and "position" not in name:
                p.add_(torch.randn_like(p) * 0.1)
                if name.endswith("running_var"):
                    p.copy_(p.abs() + 0.5)
            elif scale and "position" not in name:
                if p.std() == 0:
                    p.normal_()
                p.mul_((0.3 if "embed_tokens" in name else (p.numel() / p.shape[0]) ** -0.5) / p.std())
            if half(name):
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


def save_policy(path, policy, pre, post, sizes, half=lambda _name: False):
    """What LeRobot's training writes, plus "sizes". half(name): stored as bf16."""
    os.makedirs(path, exist_ok=True)
    policy.save_pretrained(path)
    pre.save_pretrained(path)
    post.save_pretrained(path)
    with open(f"{path}/config.json") as f:
        config = json.load(f)
    config["sizes"] = sizes
    with open(f"{path}/config.json", "w") as f:
        json.dump(config, f, indent=4)
    weights = load_file(f"{path}/model.safetensors")
    save_file({k: v.bfloat16() if half(k) else v for k, v in weights.items()}, f"{path}/model.safetensors", metadata={"format": "pt"})
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
    if env and cams:
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


# ---- the policies with a language model
SENTENCES = ["pick up the red cube and place it in the bowl", "open the drawer, then put the spoon inside", "Push the T-shaped block to the target!",
             "move to the left", "fold the towel twice", "pour 250 ml of water into the white mug", "wipe the table"]
LONG = "pick up the red cube and place it in the bowl, then open the drawer, put the spoon inside, and wipe the table twice. " * 3


def byte_tokenizer(path):
    """Byte-level BPE in SmolLM2's form: digits apart, GPT-2's splitting, no normaliser, nothing added around a sentence."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder, tok.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<global-img>"]
    tok.train_from_iterator(SENTENCES * 3, trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False,
                                                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return keep_tokenizer(tok, path, pad_token="<|im_end|>")


def piece_tokenizer(path):
    """BPE over pieces in Gemma's form: a space is U+2581, characters it does not know are bytes, <bos> before a sentence."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    raw = Tokenizer(models.BPE())
    raw.normalizer = normalizers.Replace(" ", "\u2581")
    raw.train_from_iterator([s + t for s in SENTENCES for t in (", State: 0123456789;\n", "\nTask: Action: ")],
                            trainers.BpeTrainer(vocab_size=120, special_tokens=special, show_progress=False))
    model = json.loads(raw.to_str())["model"]
    pieces = special + [f"<0x{b:02X}>" for b in range(256)] + [p for p in model["vocab"] if p not in special]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    tok = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tok.add_special_tokens(special)
    tok.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return keep_tokenizer(tok, path, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def keep_tokenizer(tok, path, **special):
    """Saved as published tokenizers are, and handed to LeRobot's tokenizer step instead of one from the network."""
    os.makedirs(path, exist_ok=True)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tok, **special)
    fast.save_pretrained(path)
    step = importlib.import_module("lerobot.processor.tokenizer_processor")
    step.AutoTokenizer = type("Local", (), {"from_pretrained": staticmethod(lambda _name: fast)})
    return fast


class FlowTaps(Taps):
    """Prefix, caches and velocities of a flow-matching model (VLAFlowMatching, PI0Pytorch, PI05Pytorch)."""

    def __init__(self, model, backbone, vlm_layers, expert_layers, expert_norm):
        super().__init__()
        self.undo = []
        self.wrap(model, "embed_prefix", lambda out: self.put(prefix=out[0], prefix_mask=out[1]))
        self.wrap(model, "embed_suffix", lambda out: self.once("suffix", out[0]))
        self.wrap(model, "denoise_step", lambda out: self.put(velocity_last=out) or self.once("velocity_first", out))
        self.wrap(backbone, "forward", lambda out: self.cache(out[1]))
        for i, layer in enumerate(vlm_layers):
            self.before(layer.input_layernorm, f"vlm{i}")
        for i, layer in enumerate(expert_layers):
            self.before(layer.input_layernorm, f"expert{i}")
        self.handles.append(expert_norm.register_forward_hook(
            lambda _m, _a, out: self.once("expert", out[0] if isinstance(out, tuple) else out)))

    def wrap(self, owner, name, look):
        real = getattr(owner, name)

        def inner(*args, **kwargs):
            out = real(*args, **kwargs)
            look(out)
            return out
        setattr(owner, name, inner)
        self.undo.append(lambda: delattr(owner, name))

    def put(self, **values):
        self.values.update({k: v.detach().clone() for k, v in values.items()})

    def once(self, name, value):
        self.values.setdefault(name, value.detach().float().clone())

    def before(self, module, name):
        """What enters a layer, at its first call; module may be called without its layer."""
        self.handles.append(module.register_forward_pre_hook(lambda _m, args: self.once(name, args[0])))

    def cache(self, kv):
        """K and V of the prefix, [B,T,heads * head_dim], once."""
        if kv is None or "k0" in self.values:
            return
        for i, (k, v) in enumerate((la.keys, la.values) for la in kv.layers):
            self.put(**{f"k{i}": k.transpose(1, 2).flatten(2), f"v{i}": v.transpose(1, 2).flatten(2)})

    def close(self):
        for u in self.undo:
            u()
        return super().close()


def flow_golden(path, policy, pre, post, inputs, tasks, taps=None):
    """One observation (a batch) to a chunk."""
    torch.manual_seed(SEED)
    cfg = policy.config
    noise = torch.randn(len(tasks), cfg.chunk_size, cfg.max_action_dim)
    golden = {f"in.{k}": v for k, v in inputs.items()} | {"in.noise": noise}
    batch = pre(observe(inputs, tasks))
    with torch.no_grad():
        chunk = policy.predict_action_chunk(dict(batch), noise=noise.clone())
    if taps is not None:
        golden.update({k: v for k, v in taps.close().items() if k not in ("mid.vision.2", "mid.connector.2")})
    golden.update({short: batch[key] for key, short in LANGUAGE.items()})
    golden["out.model"], golden["out.chunk"] = chunk, post(chunk.clone())
    save_golden(path, golden, tasks)


def flow_train(path, policy, pre, inputs, tasks, full, **call):
    """A training step's loss and all gradients, nothing frozen."""
    torch.manual_seed(SEED + 1)
    cfg, b = policy.config, len(tasks)
    n_action = cfg.output_features["action"].shape[0]
    pad = torch.zeros(b, cfg.chunk_size, dtype=torch.bool)
    pad[-1, 5:] = True
    target = {"action": torch.randn(b, cfg.chunk_size, n_action), "action_is_pad": pad}
    noise, time = torch.randn(b, cfg.chunk_size, cfg.max_action_dim), torch.rand(b) * 0.9 + 0.05
    for p in policy.parameters():
        p.requires_grad_(True)
    batch = pre(observe({**inputs, **target}, tasks))
    policy.model.sample_noise = lambda *_: noise
    policy.model.sample_time = lambda *_: time
    loss, _ = policy.forward(batch)
    golden = {f"in.{k}": v for k, v in (inputs | target).items()} | {"in.noise": noise, "in.time": time}
    golden.update({short: batch[key] for key, short in LANGUAGE.items()})
    golden["mid.action"] = batch["action"]
    golden.update(gradients(policy, loss, full))
    save_golden(path, golden, tasks)


def flow_guided(path, policy, pre, inputs, tasks):
    """A chunk that goes on from what is left of the last one: real-time chunking by guidance, with LeRobot's defaults."""
    from lerobot.policies.rtc.configuration_rtc import RTCConfig
    torch.manual_seed(SEED + 2)
    cfg = policy.config
    cfg.rtc_config = RTCConfig(enabled=True)
    policy.init_rtc_processor()
    noise = torch.randn(len(tasks), cfg.chunk_size, cfg.max_action_dim)
    left = torch.randn(len(tasks), 6, cfg.output_features["action"].shape[0])
    batch = pre(observe(inputs, tasks))
    golden = {"in.noise": noise, "in.left": left}
    for delay, horizon in GUIDED:
        with torch.no_grad():
            golden[f"out.{delay}.{horizon}"] = policy.predict_action_chunk(
                dict(batch), noise=noise.clone(), inference_delay=delay, prev_chunk_left_over=left.clone(), execution_horizon=horizon)
    save_golden(path, golden, tasks)


def flow_inputs(cams, b=1, state=5):
    return {"observation.state": torch.randn(b, state)} | {f"observation.images.{n}": picture(b, h, w) for n, h, w in cams}


# ---- SmolVLA
def smol_config(vocab, width):
    from transformers import SmolVLMConfig
    return SmolVLMConfig(
        vision_config={"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
                       "patch_size": 8, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
        text_config={"model_type": "llama", "hidden_size": width, "intermediate_size": 64, "num_hidden_layers": 5, "num_attention_heads": 6,
                     "num_key_value_heads": 2, "head_dim": 8, "vocab_size": vocab, "rms_norm_eps": 1e-5, "rope_theta": 100000.0,
                     "max_position_embeddings": 512, "pad_token_id": 2},
        scale_factor=4, image_token_id=4, pad_token_id=2, tie_word_embeddings=False)


def smolvla_case(path, width=48, more=True, **opts):
    backbone = importlib.import_module("lerobot.policies.smolvla.smolvlm_with_expert")
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
    from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
    tok = byte_tokenizer(path)
    vlm = smol_config(len(tok), width)
    ids = type("Ids", (), {"fake_image_token_id": 3, "global_image_token_id": 5})
    backbone.AutoConfig = type("Local", (), {"from_pretrained": staticmethod(lambda _n: vlm)})
    backbone.AutoProcessor = type("Local", (), {"from_pretrained": staticmethod(lambda _n: type("P", (), {"tokenizer": ids}))})
    features = {"observation.state": feature("STATE", 5)} | camera("top", 40, 56) | camera("wrist", 72, 48)
    action = {"action": feature("ACTION", 4)}
    cfg = SmolVLAConfig(input_features=dict(features), output_features=action, device="cpu", push_to_hub=False, chunk_size=8,
                        n_action_steps=6, max_state_dim=8, max_action_dim=7, resize_imgs_with_padding=(64, 64), num_steps=4,
                        num_vlm_layers=4, empty_cameras=1, **opts)
    policy = SmolVLAPolicy(cfg).eval()

    def half(name):
        return "vlm_with_expert." in name and not ("lm_expert" in name and ("k_proj" in name or "v_proj" in name))
    shake(policy, True, half)
    pre, post = make_smolvla_pre_post_processors(cfg, statistics({**features, **action}))
    v, t = vlm.vision_config, vlm.text_config
    save_policy(path, policy, pre, post, {
        "vision": {"width": v.hidden_size, "layers": v.num_hidden_layers, "heads": v.num_attention_heads, "mlp": v.intermediate_size,
                   "patch": v.patch_size, "image": v.image_size, "shuffle": vlm.scale_factor},
        "text": {"width": t.hidden_size, "layers": t.num_hidden_layers, "heads": t.num_attention_heads, "kv_heads": t.num_key_value_heads,
                 "head_dim": t.head_dim, "mlp": t.intermediate_size, "vocab": t.vocab_size}}, half)
    inputs = flow_inputs([("top", 40, 56), ("wrist", 72, 48)], 2)
    if not more:
        return flow_golden(f"{path}/golden.safetensors", policy, pre, post, inputs, SENTENCES[3:5])
    m = policy.model.vlm_with_expert
    taps = FlowTaps(policy.model, m, m.get_vlm_model().text_model.layers, m.lm_expert.layers, m.lm_expert.norm)
    taps.add(m.get_vlm_model().vision_model, "vision", lambda out: out.last_hidden_state, every=True)
    taps.add(m.get_vlm_model().connector, "connector", every=True)
    flow_golden(f"{path}/golden.safetensors", policy, pre, post, inputs, SENTENCES[3:5], taps)
    flow_train(f"{path}/golden_train.safetensors", policy, pre, inputs, SENTENCES[3:5],
               ("state_proj.weight", "action_time_mlp_in.weight", "lm_expert.layers.1.self_attn.k_proj.weight", "lm_expert.norm.weight",
                "lm_expert.layers.0.self_attn.q_proj.weight", "text_model.layers.0.self_attn.v_proj.weight", "vision_model.post_layernorm.bias"))
    more_flow_goldens(path, policy, pre, post)
    flow_guided(f"{path}/golden_guided.safetensors", policy, pre, inputs, SENTENCES[3:5])


def more_flow_goldens(path, policy, pre, post):
    """A camera missing; no words, and pictures of the network's own size; more words than it reads, and the other shapes."""
    side = 64 if policy.name == "smolvla" else policy.config.image_resolution[0]
    flow_golden(f"{path}/golden_missing.safetensors", policy, pre, post, flow_inputs([("wrist", 33, 80)]), [SENTENCES[6]])
    flow_golden(f"{path}/golden_empty.safetensors", policy, pre, post, flow_inputs([("top", side, side), ("wrist", side, side)]), [""])
    flow_golden(f"{path}/golden_long.safetensors", policy, pre, post, flow_inputs([("top", 20, 70), ("wrist", 90, 31)]), [LONG])


# ---- pi0 and pi0.5
PI_SIZES = {"vision": {"width": 32, "layers": 2, "heads": 2, "mlp": 48, "patch": 8},
            "text": {"width": 32, "layers": 3, "heads": 8, "kv_heads": 1, "head_dim": 8, "mlp": 64},
            "expert": {"width": 24, "layers": 3, "heads": 8, "kv_heads": 1, "head_dim": 8, "mlp": 40}}


def shrink_pi(module, vocab):
    """The module's own classes build the network; only sizes change."""
    text, expert, vision = PI_SIZES["text"], PI_SIZES["expert"], PI_SIZES["vision"]

    def variant(name):
        s = text if name == "gemma_2b" else expert
        return module.GemmaConfig(s["width"], s["layers"], s["mlp"], s["heads"], s["kv_heads"], s["head_dim"])

    def smaller(build):
        def inner(config):
            if hasattr(config, "vision_config"):
                v = config.vision_config
                v.hidden_size, v.num_hidden_layers, v.num_attention_heads = vision["width"], vision["layers"], vision["heads"]
                v.intermediate_size, v.patch_size, v.projection_dim = vision["mlp"], vision["patch"], text["width"]
                config.image_token_index = vocab
                config.projection_dim = text["width"]
            (config.text_config if hasattr(config, "text_config") else config).vocab_size = vocab
            return build(config)
        return inner
    module.get_gemma_config = variant
    gemma = importlib.import_module("lerobot.policies.pi_gemma")
    module.PaliGemmaForConditionalGenerationWithPiGemma = smaller(gemma.PaliGemmaForConditionalGenerationWithPiGemma)
    module.PiGemmaForCausalLM = smaller(gemma.PiGemmaForCausalLM)


def pi_case(path, kind, half, full, **opts):
    module = importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    config = importlib.import_module(f"lerobot.policies.{kind}.configuration_{kind}")
    processor = importlib.import_module(f"lerobot.policies.{kind}.processor_{kind}")
    vocab = len(piece_tokenizer(path))
    shrink_pi(module, vocab)
    upper = kind.upper()
    features = {"observation.state": feature("STATE", 5)} | camera("top", 40, 56) | camera("wrist", 72, 48) | camera("right", 40, 56)
    action = {"action": feature("ACTION", 4)}
    cfg = getattr(config, f"{upper}Config")(
        input_features=dict(features), output_features=action, device="cpu", push_to_hub=False, chunk_size=8, n_action_steps=6,
        max_state_dim=8, max_action_dim=7, image_resolution=(32, 32), num_inference_steps=4, **opts)
    policy = getattr(module, f"{upper}Policy")(cfg).eval()
    shake(policy, True, half)
    pre, post = getattr(processor, f"make_{kind}_pre_post_processors")(cfg, statistics({**features, **action}))
    save_policy(path, policy, pre, post, PI_SIZES | {"text": PI_SIZES["text"] | {"vocab": vocab}}, half)
    m = policy.model.paligemma_with_expert
    taps = FlowTaps(policy.model, m, m.paligemma.model.language_model.layers, m.gemma_expert.model.layers, m.gemma_expert.model.norm)
    taps.add(m.paligemma.model.vision_tower, "vision", lambda out: out.last_hidden_state, every=True)
    taps.add(m.paligemma.model.multi_modal_projector, "connector", every=True)
    inputs = flow_inputs([("top", 40, 56), ("wrist", 72, 48)], 2)
    flow_golden(f"{path}/golden.safetensors", policy, pre, post, inputs, SENTENCES[3:5], taps)
    flow_train(f"{path}/golden_train.safetensors", policy, pre, inputs, SENTENCES[3:5], full)
    more_flow_goldens(path, policy, pre, post)
    flow_guided(f"{path}/golden_guided.safetensors", policy, pre, inputs, SENTENCES[3:5])


PI_FULL = ("action_in_proj.weight", "action_out_proj.bias", "gemma_expert.model.layers.1.self_attn.k_proj.weight",
           "language_model.layers.0.self_attn.v_proj.weight", "vision_model.post_layernorm.bias", "language_model.layers.1.input_layernorm.weight")


CASES = {
    # two cameras of an odd size, CVAE
    "act": lambda p: act_case(p, [("top", 40, 56), ("wrist", 40, 56)], 4, dim_model=24, dim_feedforward=40),
    # a camera and the environment's state, norms first, no CVAE, two decoder layers
    "act_pre_norm": lambda p: act_case(p, [("top", 33, 45)], 2, env=3, dim_model=16, dim_feedforward=24, pre_norm=True, use_vae=False,
                                       n_decoder_layers=2),
    # a camera, GELU, temporal ensembling
    "act_ensemble": lambda p: act_case(p, [("top", 32, 32)], 2, series=12, dim_model=16, dim_feedforward=24,
                                       feedforward_activation="gelu", temporal_ensemble_coeff=0.01, n_action_steps=1),
    # the environment's state and no camera
    "act_env": lambda p: act_case(p, [], 2, env=7, dim_model=16, dim_feedforward=24),
    # two cameras and an empty third; weights stored in bf16 but for the projections of the expert's keys and values
    "smolvla": smolvla_case,
    # a declared camera is missing throughout
    "pi0": lambda p: pi_case(p, "pi0", lambda name: "lm_head" in name or "embed_tokens" in name, PI_FULL + ("state_proj.weight", "action_time_mlp_in.weight"),
                             tokenizer_max_length=24),
    # weights of the language model stored in bf16; actions relative to the state but for the gripper
    "pi05": lambda p: pi_case(p, "pi05", lambda name: "language_model" in name or "gemma_expert.model.layers" in name or "lm_head" in name,
                              PI_FULL + ("time_mlp_in.weight", "gemma_expert.model.norm.dense.bias"), tokenizer_max_length=64,
                              use_relative_actions=True, action_feature_names=["a.pos", "b.pos", "c.pos", "gripper.pos"]),
    # an expert with half the layers, which reads the prefix in all of them and never itself; heads wider than the model
    "smolvla_cross": lambda p: smolvla_case(p, 24, False, num_expert_layers=2, self_attn_every_n_layers=-1),
}

if __name__ == "__main__":
    out, wanted = sys.argv[1], sys.argv[2:]
    for number, (name, make) in enumerate(CASES.items()):
        if wanted and name not in wanted:
            continue
        torch.manual_seed(SEED + number)
        make(os.path.join(out, name))

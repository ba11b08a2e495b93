#!/usr/bin/env python3
"""Goldens of openpi's folders: PI0Pytorch itself (pi0 and pi0.5) on tiny random networks, with openpi's own transforms around it.

    git clone https://github.com/Physical-Intelligence/openpi && git -C openpi checkout 15a9616a00943ada6c20a0f158e3adb39df2ccac
    pip install --no-deps --target openpi/tf453 transformers==4.53.2 tokenizers==0.21.4 huggingface_hub==0.36.0
    cp -r openpi/src/openpi/models_pytorch/transformers_replace/* openpi/tf453/transformers/
    PYTHONPATH=openpi/tf453 .venv-golden/bin/python tests/golden/gen_openpi.py openpi tests/golden/policies

openpi_pi0 and openpi_pi05 are what openpi's converter to PyTorch writes (config.json, model.safetensors by save_model, assets/<robot>/
norm_stats.json), with "sizes" in config.json, as in gen_policies.py, and pi0's tokenizer.json beside it. golden*.safetensors as in
gen_policies.py: in.observation.images.<camera> u8 [B,h,w,3] of the robot's size, in.observation.state, in.noise, out.model (normalised),
out.chunk. From openpi come the network (PI0Pytorch.sample_actions), resizing (PIL, 8 bits), Normalize, Unnormalize and the prompt;
only what needs JAX is replaced: `openpi.models.gemma` (sizes), flax's flatten_dict. Seed 20261, one thread, f32 (pi0.5: weights stored in
bfloat16). Tolerance 1e-4 of a value's scale: sums in another order.
"""
import ast
import json
import pathlib
import sys
import types
from unittest import mock

import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file, save_model

SEED = 20261
torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve().parent
SIZES = {"vision": {"width": 16, "layers": 2, "heads": 2, "mlp": 24, "patch": 28},
         "text": {"width": 32, "layers": 3, "heads": 8, "kv_heads": 1, "head_dim": 8, "mlp": 64},
         "expert": {"width": 24, "layers": 3, "heads": 8, "kv_heads": 1, "head_dim": 8, "mlp": 40}}
CAMERAS = {"base_0_rgb": (60, 80), "left_wrist_0_rgb": (340, 40), "right_wrist_0_rgb": (30, 250)}
SENTENCES = [" pick up_the red cube\n", "open the drawer, then put the spoon inside"]
DIM, HORIZON, N_STATE, N_ACTION = 7, 8, 5, 4


def flat(tree, sep):
    return {k + (sep + kk if kk else ""): vv for k, v in tree.items()
            for kk, vv in (flat(v, sep).items() if isinstance(v, dict) else [("", v)])}


def unflat(tree, sep):
    out = {}
    for k, v in tree.items():
        *path, last = k.split(sep)
        at = out
        for p in path:
            at = at.setdefault(p, {})
        at[last] = v
    return out


def open_openpi(root, vocab):
    """openpi's modules, without JAX, for networks of SIZES."""
    sys.path[:0] = [str(root / "src"), str(root / "packages/openpi-client/src")]
    for name in ("jax", "jax.numpy", "flax", "openpi.shared.array_typing", "openpi.shared.normalize", "openpi.models.tokenizer",
                 "openpi.shared.image_tools"):
        sys.modules[name] = mock.MagicMock()
    sys.modules["flax.traverse_util"] = sys.modules["flax"].traverse_util = types.SimpleNamespace(flatten_dict=flat, unflatten_dict=unflat)
    gemma = types.ModuleType("openpi.models.gemma")
    gemma.get_config = lambda name: types.SimpleNamespace(**{
        {"layers": "depth", "mlp": "mlp_dim", "heads": "num_heads", "kv_heads": "num_kv_heads"}.get(k, k): v
        for k, v in SIZES["text" if name == "gemma_2b" else "expert"].items()})
    sys.modules["openpi.models.gemma"] = gemma
    sys.modules["openpi.models"] = types.SimpleNamespace(gemma=gemma, tokenizer=sys.modules["openpi.models.tokenizer"])
    import openpi.models_pytorch.gemma_pytorch as network
    import openpi.models_pytorch.pi0_pytorch as pi0
    import openpi.transforms as transforms

    def smaller(build):
        def inner(config):
            if hasattr(config, "vision_config"):
                v, s = config.vision_config, SIZES["vision"]
                v.hidden_size, v.num_hidden_layers, v.num_attention_heads = s["width"], s["layers"], s["heads"]
                v.intermediate_size, v.patch_size, v.projection_dim = s["mlp"], s["patch"], SIZES["text"]["width"]
                config.projection_dim, config._vocab_size, config.image_token_index = SIZES["text"]["width"], vocab, vocab
            (config.text_config if hasattr(config, "text_config") else config).vocab_size = vocab
            return build(config=config)
        return inner
    network.PaliGemmaForConditionalGeneration = smaller(network.PaliGemmaForConditionalGeneration)
    network.GemmaForCausalLM = smaller(network.GemmaForCausalLM)
    pi0._preprocessing.image_tools = None  # pictures have the network's size before
    return pi0, transforms


def read_prompt_code(root):
    """PaligemmaTokenizer.tokenize, whose module wants JAX: its source, run with our pieces instead of sentencepiece."""
    tree = ast.parse((root / "src/openpi/models/tokenizer.py").read_text())
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "PaligemmaTokenizer")
    cls.body = [n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "tokenize"]
    scope = {"np": np, "logging": mock.MagicMock()}
    exec(compile(ast.Module([cls], []), "tokenizer", "exec"), scope)
    return scope["PaligemmaTokenizer"]


class Pieces:
    """What openpi asks of sentencepiece."""

    def __init__(self):
        self.tok = tokenizers.Tokenizer.from_file(str(HERE / "policies/pi0/tokenizer.json"))
        self.bos = self.tok.token_to_id("<bos>")

    def encode(self, text, add_bos=False):
        return [self.bos] * add_bos + self.tok.encode(text, add_special_tokens=False).ids


def shake(net, half):
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() <= 1:
                p.add_(torch.randn_like(p) * 0.1)
            elif "position" not in name:
                p.normal_().mul_(0.3 if "embed_tokens" in name else (p.numel() / p.shape[0]) ** -0.5)
            if half:
                p.copy_(p.bfloat16().float())


def picture(b, h, w):
    y, x = np.mgrid[0:1:h * 1j, 0:1:w * 1j]
    f = torch.rand(b, 3, 4, 1, 1).numpy() * 12
    smooth = np.sin(f[:, :, 0] * y + f[:, :, 1] * x) * np.cos(f[:, :, 2] * y - f[:, :, 3] * x)
    noise = torch.randn(b, 3, h, w).numpy() * 0.1
    return ((smooth * 0.4 + 0.5 + noise).clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1).copy()


def statistics(n):
    mean, std = torch.randn(n).numpy(), (torch.rand(n) + 0.3).numpy()
    return types.SimpleNamespace(mean=mean, std=std, q01=mean - 2.5 * std, q99=mean + 2.5 * std)


def golden(path, net, transforms, tokenizer, stats, cameras):
    pi05, b = net.pi05, len(SENTENCES)
    given = {f"in.observation.images.{k}": picture(b, *CAMERAS[k]) for k in cameras}
    given |= {"in.observation.state": torch.randn(b, N_STATE).numpy(), "in.noise": torch.randn(b, HORIZON, DIM).numpy()}
    rows = []
    for i in range(b):
        data = {"state": given["in.observation.state"][i], "prompt": SENTENCES[i],
                "image": {k: given[f"in.observation.images.{k}"][i] if k in cameras else np.zeros((224, 224, 3), np.uint8) for k in CAMERAS},
                "image_mask": {k: np.bool_(k in cameras) for k in CAMERAS}}
        for t in (transforms.Normalize(stats, use_quantiles=pi05), transforms.ResizeImages(224, 224),
                  transforms.TokenizePrompt(tokenizer, discrete_state_input=pi05), transforms.PadStatesAndActions(DIM)):
            data = t(data)
        rows.append(data)
    stack = lambda get: torch.from_numpy(np.stack([np.asarray(get(r)) for r in rows]))
    obs = types.SimpleNamespace(
        images={k: stack(lambda r: r["image"][k]).float().permute(0, 3, 1, 2) / 255.0 * 2.0 - 1.0 for k in CAMERAS},
        image_masks={k: stack(lambda r: r["image_mask"][k]) for k in CAMERAS}, state=stack(lambda r: r["state"]).float(),
        tokenized_prompt=stack(lambda r: r["tokenized_prompt"]).long(), tokenized_prompt_mask=stack(lambda r: r["tokenized_prompt_mask"]),
        token_ar_mask=None, token_loss_mask=None)
    out = net.sample_actions(torch.device("cpu"), obs, noise=torch.from_numpy(given["in.noise"]), num_steps=10).numpy()
    # the robot's policy cuts what was filled up (AlohaOutputs and the like), behind Unnormalize
    chunk = transforms.Unnormalize({"actions": stats["actions"]}, use_quantiles=pi05)({"actions": out.copy()})["actions"][..., :N_ACTION]
    flat_out = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in given.items()}
    flat_out |= {"out.model": torch.from_numpy(out[..., :N_ACTION].copy()), "out.chunk": torch.from_numpy(chunk.astype(np.float32).copy())}
    save_file(flat_out, path, metadata={"tasks": json.dumps(SENTENCES), "seed": str(SEED), "versions": json.dumps(
        {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)})})


def case(out, pi0, transforms, prompt, kind):
    pi05 = kind == "pi05"
    config = types.SimpleNamespace(pi05=pi05, paligemma_variant="gemma_2b", action_expert_variant="gemma_300m", dtype="float32",
                                   action_dim=DIM, action_horizon=HORIZON, pytorch_compile_mode=None)
    net = pi0.PI0Pytorch(config).eval()
    shake(net, pi05)
    out.mkdir(parents=True, exist_ok=True)
    save_model(net, str(out / "model.safetensors"))
    if pi05:
        weights = load_file(out / "model.safetensors")
        save_file({k: v.bfloat16() for k, v in weights.items()}, out / "model.safetensors", metadata={"format": "pt"})
    pieces = Pieces()
    sizes = SIZES | {"text": SIZES["text"] | {"vocab": pieces.tok.get_vocab_size()}}
    (out / "config.json").write_text(json.dumps({
        "action_dim": DIM, "action_horizon": HORIZON, "paligemma_variant": "gemma_2b", "action_expert_variant": "gemma_300m",
        "precision": "bfloat16" if pi05 else "float32", "sizes": sizes}, indent=2))
    (out / "tokenizer.json").write_bytes((HERE / "policies/pi0/tokenizer.json").read_bytes())
    stats = {"state": statistics(N_STATE), "actions": statistics(N_ACTION)}
    (out / "assets/toy").mkdir(parents=True, exist_ok=True)
    (out / "assets/toy/norm_stats.json").write_text(json.dumps(
        {"norm_stats": {k: {n: [float(x) for x in v] for n, v in vars(s).items()} for k, s in stats.items()}}, indent=2))
    tokenizer = prompt()
    tokenizer._max_len, tokenizer._tokenizer = 200 if pi05 else 48, pieces
    golden(out / "golden.safetensors", net, transforms, tokenizer, stats, list(CAMERAS))
    golden(out / "golden_missing.safetensors", net, transforms, tokenizer, stats, ["left_wrist_0_rgb"])
    for f in out.glob("*.safetensors"):
        print(f"{f}: {f.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    openpi_root, where = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    modules = open_openpi(openpi_root, Pieces().tok.get_vocab_size())
    prompt_code = read_prompt_code(openpi_root)
    for number, kind in enumerate(("pi0", "pi05")):
        torch.manual_seed(SEED + number)
        case(where / f"openpi_{kind}", *modules, prompt_code, kind)

#!/usr/bin/env python3
"""The rows of `flywheel bench` in PyTorch: the same work, sizes, inputs and threads, random weights; policies by LeRobot's own classes.

  PYTHON bench/torch_policies.py --threads 2 smolvla act "linear 1024x768x768"        # normally run by: flywheel bench --peer PYTHON

A line of JSON a case: {"work": "smolvla", "precision": "f32", "how": "compiled", "ms": 4210.5, "cpu_ms": 8370.1}, or "note" in place of "ms" where there
is nothing to measure. Written for lerobot 0.6.1, torch 2.10, transformers 5.5 (no network is used). Each case is warmed up; the best
of several calls counts, a call of more than 10 s is made once after the warm-up. A way of training runs in a process of its own, and says how much
memory that had at most ("rss_mb") and before the network was made, with torch imported ("base_mb"). Every network runs eager and by torch.compile
(inductor, weights frozen for inference), as long as compiling takes less than a minute. --tiny: networks of two layers, to try this program.
"""
import argparse
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
COMPILE_S = 60
H, W, WORDS, STATE = 480, 640, 16, 7
say = sys.stdout  # JSON alone: what libraries print goes to stderr


class TooLong(BaseException):
    pass


def report(work, precision, how="", **what):
    say.write(json.dumps({"work": work, "precision": precision, "how": how, **what}) + "\n")
    say.flush()


def best(fn, warm=None):
    """Time of the best call and mean CPU time of all, in ms. warm: a shorter call that touches everything."""
    (warm or fn)()
    wall, cpu, total, n = 1e30, time.process_time(), 0.0, 0
    while n == 0 or (total < 10 and n < ARGS.rounds) or total < ARGS.budget:
        t = time.perf_counter()
        fn()
        t = time.perf_counter() - t
        wall, total, n = min(wall, t), total + t, n + 1
    return {"ms": 1e3 * wall, "cpu_ms": 1e3 * (time.process_time() - cpu) / n}


@contextlib.contextmanager
def limit(seconds):
    def stop(*_):
        raise TooLong
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def eager_and_compiled(work, precision, fn, compiled, warm=None):
    """fn as it is, then with what `compiled` (called once, returns a function to call) makes of it."""
    report(work, precision, "eager", **best(fn, warm))
    try:
        with limit(COMPILE_S):
            fast = compiled()
            fast()
        report(work, precision, "compiled", **best(fast))
    except TooLong:
        report(work, precision, "compiled", note=f"compiling takes more than {COMPILE_S} s")
    except Exception as e:  # noqa: BLE001 - what compile does not take is a result
        report(work, precision, "compiled", note=f"torch.compile: {str(e).splitlines()[0][:120]}")
    torch._dynamo.reset()
    gc.collect()


def bf16_is_slow(work):
    """Without AVX512-BF16 or AMX oneDNN has no bf16 products, and PyTorch falls back to loops: the linear rows show how slow."""
    if torch.ops.mkldnn._is_mkldnn_bf16_supported() or ARGS.tiny:
        return False
    report(work, "bf16", note="no bf16 products by oneDNN on this CPU: not run")
    return True


def precisions(work):
    return ["f32"] if bf16_is_slow(work) else ["f32", "bf16"]


# ---- layers
def linear(work, m, k, n):
    x = torch.randn(m, k)
    net = nn.Linear(k, n).eval()
    with torch.inference_mode():
        for precision, dtype in DTYPES.items():
            y, one = x.to(dtype), net.to(dtype)
            if precision == "bf16" and 2e-9 * m * k * n > 2 and bf16_is_slow(work):
                continue
            report(work, precision, **best(lambda y=y, one=one: one(y)))
        net.float()
        quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(net), {nn.Linear}, dtype=torch.qint8)
        report(work, "int8", "dynamic", **best(lambda: quantised(x)))


def attention(work, tq, tk, heads, kv, d):
    with torch.inference_mode():
        for precision in precisions(work):
            q = torch.randn(1, heads, tq, d, dtype=DTYPES[precision])
            k = torch.randn(1, kv, tk, d, dtype=DTYPES[precision])
            v = torch.randn(1, kv, tk, d, dtype=DTYPES[precision])
            report(work, precision, "sdpa", **best(lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=heads != kv)))


# ---- our own policy: EfficientNet-Lite0 up to its block 10, then the network of torch_train.py
class Block(nn.Module):
    def __init__(self, k, stride, expand, c, o):
        super().__init__()
        mid = c * expand
        self.expand = nn.Conv2d(c, mid, 1) if expand > 1 else None
        self.depth = nn.Conv2d(mid, mid, k, stride, k // 2, groups=mid)
        self.project = nn.Conv2d(mid, o, 1)
        self.skip = stride == 1 and c == o

    def forward(self, x):
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depth(y)))
        return x + y if self.skip else y


class Tower(nn.Module):
    BLOCKS = ((3, 1, 1, 32, 16), (3, 2, 6, 16, 24), (3, 1, 6, 24, 24), (5, 2, 6, 24, 40), (5, 1, 6, 40, 40), (3, 2, 6, 40, 80),
              (3, 1, 6, 80, 80), (3, 1, 6, 80, 80), (5, 1, 6, 80, 112), (5, 1, 6, 112, 112), (5, 1, 6, 112, 112))

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        self.blocks = nn.Sequential(*(Block(*b) for b in self.BLOCKS))

    def forward(self, rgb):
        return self.blocks(F.relu6(self.stem((rgb.float() - 127) / 128)))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        from torch_train import Net
        self.tower, self.net = Tower(), Net(1)

    def forward(self, rgb, text, state):
        return self.net(list(self.tower(rgb).split(1)), text, state)


def chunk(work):
    net = Own().eval().to(memory_format=torch.channels_last)
    rgb = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8).to(memory_format=torch.channels_last)
    text, state = torch.randn(1, 384), torch.randn(1, 6)
    with torch.inference_mode():
        eager_and_compiled(work, "f32", lambda: net(rgb, text, state), lambda: frozen(lambda f=torch.compile(net): f(rgb, text, state)))


def frozen(fn):
    """Weights are constants of the compiled code: packed once."""
    import torch._inductor.config as inductor
    inductor.freezing = True

    def call():
        with torch.no_grad():
            return fn()
    return call


def memory_mb(what):
    """VmHWM: the most this program had since it began; VmRSS: now."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what)) / 1024


def ways_of_training(work, make):
    """Each way in a process of its own. make() -> a network, and its loss as a function of what runs it."""
    if ARGS.way:
        before = memory_mb("VmRSS")
        training(work, *make(), *ARGS.way.split(), before)
        return
    for precision in precisions(work):
        for how in ("eager", "compiled"):
            more = [a for a in ("quick", "tiny") if getattr(ARGS, a)]
            line = subprocess.run([sys.executable, "-u", __file__, work, "--way", f"{precision} {how}", "--threads", str(ARGS.threads),
                                   *(f"--{a}" for a in more)], stdout=subprocess.PIPE, text=True, check=False).stdout
            if line:
                say.write(line)
                say.flush()
            else:
                report(work, precision, how, note="died: out of memory?")


def training(work, net, loss_of, precision, how, before):
    """Forward, backward, clipping, fused AdamW, moving average; as bench_train."""
    ema = [p.detach().clone() for p in net.parameters()]
    opt = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def step(run):
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(run)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 0.001)

    try:
        with limit(COMPILE_S):
            run = torch.compile(net) if how == "compiled" else net
            step(run)
        report(work, precision, how, **best(lambda: step(run)), base_mb=before, rss_mb=memory_mb("VmHWM"))
    except TooLong:
        report(work, precision, how, note=f"{how}: the first step takes more than {COMPILE_S} s")
    except Exception as e:  # noqa: BLE001 - what compile does not take is a result
        report(work, precision, how, note=f"{how}: {str(e).splitlines()[0][:120]}")


def own_training(work):
    from torch_train import Net

    def make():
        net = Net(1).to(memory_format=torch.channels_last)
        feats = [torch.randn(128, 112, 8, 8).to(memory_format=torch.channels_last) for _ in range(2)]
        text, state, target, weight = torch.randn(128, 384), torch.randn(128, 6), torch.randn(128, 16, 5), torch.ones(128, 16)
        return net, lambda run: ((run(feats, text, state).float() - target).abs().sum(-1) * weight).sum() / weight.sum() / 5
    ways_of_training(work, make)


class ViTLayer(nn.Module):
    def __init__(self, c, heads, mlp):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.qkv, self.out = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.fc1, self.fc2 = nn.Linear(c, mlp), nn.Linear(mlp, c)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class ViT(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.patch, self.position = nn.Conv2d(3, 768, 16, 16), nn.Parameter(torch.randn(256, 768) * 0.02)
        self.layers, self.norm = nn.Sequential(*(ViTLayer(768, 12, 3072) for _ in range(layers))), nn.LayerNorm(768)

    def forward(self, image):
        return self.norm(self.layers(self.patch(image).flatten(2).transpose(1, 2) + self.position))


def vit_training(work):
    def make():
        image, target = torch.randn(2, 3, 256, 256), torch.randn(2, 256, 768)
        return ViT(2 if ARGS.tiny else 12), lambda run: F.mse_loss(run(image).float(), target)
    ways_of_training(work, make)


# ---- published policies
@contextlib.contextmanager
def no_init():
    """Constructors leave weights as they come: fill() sets them."""
    names = [n for n in dir(nn.init) if n.endswith("_") and not n.startswith("_")]
    saved = {n: getattr(nn.init, n) for n in names}
    draws = {n: getattr(torch.Tensor, n) for n in ("normal_", "uniform_", "erfinv_", "trunc_normal_") if hasattr(torch.Tensor, n)}
    for n in names:
        setattr(nn.init, n, lambda t, *_, **__: t)
    for n in draws:
        setattr(torch.Tensor, n, lambda t, *_, **__: t)
    try:
        yield
    finally:
        for n, f in saved.items():
            setattr(nn.init, n, f)
        for n, f in draws.items():
            setattr(torch.Tensor, n, f)


def fill(module):
    """Random weights, the same block over and over; norms get ones. The expert's unused head stays untouched memory."""
    block = (torch.rand(1 << 22) - 0.5) * 0.04
    with torch.no_grad():
        for name, p in module.named_parameters():
            flat = p.data.view(-1)
            if p.dim() == 1:
                p.data.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            for i in range(0, flat.numel() if "gemma_expert.lm_head" not in name else 0, block.numel()):
                part = flat[i:i + block.numel()]
                part.copy_(block[:part.numel()])


def features():
    from lerobot.configs import FeatureType, PolicyFeature
    pictures = {f"observation.images.cam{i}": PolicyFeature(type=FeatureType.VISUAL, shape=(3, H, W)) for i in range(2)}
    return ({"observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE,))} | pictures,
            {"action": PolicyFeature(type=FeatureType.ACTION, shape=(STATE,))})


def observation(vocab):
    obs = {f"observation.images.cam{i}": torch.rand(1, 3, H, W) for i in range(2)} | {"observation.state": torch.randn(1, STATE)}
    if vocab:
        obs |= {"observation.language.tokens": torch.randint(5, vocab, (1, WORDS)),
                "observation.language.attention_mask": torch.ones(1, WORDS, dtype=torch.bool)}
    return obs


def act(work):
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    inputs, outputs = features()
    policy = ACTPolicy(ACTConfig(input_features=inputs, output_features=outputs, device="cpu", push_to_hub=False,
                                 pretrained_backbone_weights=None)).eval()
    obs = observation(0)

    def call():
        with torch.inference_mode():
            return policy.predict_action_chunk(obs)

    def compiled():
        policy.model.forward = torch.compile(policy.model.forward)
        return frozen(lambda: policy.predict_action_chunk(obs))
    for precision in precisions(work):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            forward = policy.model.forward
            eager_and_compiled(work, precision, call, compiled)
            policy.model.forward = forward
    policy = policy.to(memory_format=torch.channels_last)
    report(work, "f32", "eager, channels last", **best(call))


def smolvla_policy(precision):
    """SmolVLM2-500M-Video-Instruct's config, written out: LeRobot would fetch it."""
    from transformers import SmolVLMConfig
    backbone = importlib.import_module("lerobot.policies.smolvla.smolvlm_with_expert")
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
    vlm = SmolVLMConfig(
        vision_config={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 2 if ARGS.tiny else 12,
                       "num_attention_heads": 12, "image_size": 512, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh",
                       "layer_norm_eps": 1e-6},
        text_config={"model_type": "llama", "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 16,
                     "num_attention_heads": 15, "num_key_value_heads": 5, "head_dim": 64, "vocab_size": 49280, "rms_norm_eps": 1e-5,
                     "rope_theta": 100000.0, "max_position_embeddings": 8192, "pad_token_id": 2},
        scale_factor=4, image_token_id=49190, pad_token_id=2, tie_word_embeddings=False)
    ids = type("Ids", (), {"fake_image_token_id": 49189, "global_image_token_id": 49152})
    backbone.AutoConfig = type("Local", (), {"from_pretrained": staticmethod(lambda _n: vlm)})
    backbone.AutoProcessor = type("Local", (), {"from_pretrained": staticmethod(lambda _n: type("P", (), {"tokenizer": ids}))})
    inputs, outputs = features()
    cfg = SmolVLAConfig(input_features=inputs, output_features=outputs, device="cpu", push_to_hub=False,
                        num_vlm_layers=2 if ARGS.tiny else 16)
    with no_init():
        policy = SmolVLAPolicy(cfg).eval()
    fill(policy)
    if precision == "bf16":
        policy.model.vlm_with_expert.to(torch.bfloat16)
    return policy


def pi0_policy(precision):
    from lerobot.policies.pi0 import modeling_pi0
    from lerobot.policies.pi0.configuration_pi0 import PI0Config
    inputs, outputs = features()
    if ARGS.tiny:
        full = modeling_pi0.get_gemma_config
        modeling_pi0.get_gemma_config = lambda name: modeling_pi0.GemmaConfig(**{**vars(full(name)), "depth": 1})
    with no_init():
        policy = modeling_pi0.PI0Policy(PI0Config(input_features=inputs, output_features=outputs, device="cpu", push_to_hub=False,
                                                  dtype="bfloat16" if precision == "bf16" else "float32")).eval()
    fill(policy)
    return policy


def flow(work, make, vocab, compile_it):
    for precision in precisions(work):
        policy = make(precision)
        obs, cfg = observation(vocab), policy.config
        noise = torch.randn(1, cfg.chunk_size, cfg.max_action_dim)
        model = policy.model

        def call(**more):
            with torch.inference_mode():
                return policy.predict_action_chunk(dict(obs), noise=noise, **more)

        def compiled():
            if not compile_it:
                raise RuntimeError("not tried: its weights would be there twice")
            model.denoise_step = torch.compile(model.denoise_step)
            owner = model.vlm_with_expert
            owner.embed_image = torch.compile(owner.embed_image)
            return frozen(call)
        eager_and_compiled(work, precision, call, compiled, (lambda: call(num_steps=1)) if work == "pi0" else None)
        del policy, model
        gc.collect()


def memory_gb():
    with open("/proc/meminfo") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable")) / 1e6


def pi0(work):
    if memory_gb() < 16 and not ARGS.tiny:
        report(work, "f32", note=f"needs 16 GB of memory, {memory_gb():.0f} GB are free")
        return
    flow(work, pi0_policy, 257152, False)


def run(work):
    kind, _, size = work.partition(" ")
    sizes = [int(s) for s in size.split("x")] if kind in ("linear", "attention") else []
    {"linear": linear, "attention": attention, "flywheel-s chunk": chunk, "flywheel-s training": own_training,
     "vit-b training": vit_training, "act": act, "smolvla": lambda w: flow(w, smolvla_policy, 49152, True),
     "pi0": pi0}[kind if sizes else work](work, *sizes)


def main():
    torch.set_num_threads(ARGS.threads)
    torch.manual_seed(1)
    for work in ARGS.work:
        t = time.perf_counter()
        try:
            run(work)
        except Exception as e:  # noqa: BLE001 - one case that fails does not hide the others
            report(work, "f32", note=f"failed: {type(e).__name__}: {str(e)[:120]}")
        print(f"{work}: {time.perf_counter() - t:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("work", nargs="+")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--quick", action="store_true")
    a.add_argument("--tiny", action="store_true")
    a.add_argument("--way", help="of training, in this process: 'f32 eager', 'bf16 compiled' ...")
    ARGS = a.parse_args()
    ARGS.rounds, ARGS.budget = (1, 0.3) if ARGS.quick else (3, 1.0)
    sys.stdout = sys.stderr
    main()

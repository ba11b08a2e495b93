#!/usr/bin/env python3
"""Open in LeRobot what flywheel made of tiny published policies, and compare and keep the chunks.

    tools/golden_venv.sh
    mkdir out/fit && FW_GOLDEN_MAKE=$PWD/out/fit build/dev/bin/train_test_fit
    .venv-golden/bin/python tests/golden/gen_fit.py out/fit

Each folder is a policy of tests/golden/policies that `flywheel train` made one of another robot (tests/train/test_fit.c), or only
trained further (plain_*), with ours.safetensors: an observation and flywheel's chunk. LeRobot opens config.json, model.safetensors (no
key missing, none left over) and both processors by its own from_pretrained; only the sizes of backbones are set from "sizes". Printed is
the largest difference of the chunks over their scale; more than 1e-4 fails. Chunks of weights that stayed as they were (seed 20260 of
gen_policies.py) are kept in tests/golden/fit for train_test_fit.
tests/golden/fit/by_lerobot is the other way round: what LeRobot's own training makes of smolvla for the first of these robots.
"""
import importlib
import json
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import gen_policies as gp
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import make_policy, make_pre_post_processors

TASK = "open the drawer"


def patch(kind, folder, sizes):
    """Tiny backbones and the folder's own tokenizer in the places of those that LeRobot would download."""
    if kind == "act":
        gp.torchvision.models.resnet18 = gp.narrow_resnet(sizes["backbone_width"])
        return
    tok = PreTrainedTokenizerFast.from_pretrained(folder)
    importlib.import_module("lerobot.processor.tokenizer_processor").AutoTokenizer = type(
        "Local", (), {"from_pretrained": staticmethod(lambda _name: tok)})
    if kind == "smolvla":
        backbone = importlib.import_module("lerobot.policies.smolvla.smolvlm_with_expert")
        vlm = gp.smol_config(sizes["text"]["vocab"], sizes["text"]["width"])
        ids = type("Ids", (), {"fake_image_token_id": 3, "global_image_token_id": 5})
        backbone.AutoConfig = type("Local", (), {"from_pretrained": staticmethod(lambda _n: vlm)})
        backbone.AutoProcessor = type("Local", (), {"from_pretrained": staticmethod(lambda _n: type("P", (), {"tokenizer": ids}))})
        return
    gp.shrink_pi(importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}"), sizes["text"]["vocab"])


def open_policy(folder):
    """folder as LeRobot opens it, and its processors."""
    with tempfile.TemporaryDirectory() as tmp:
        copy = pathlib.Path(tmp) / "policy"
        shutil.copytree(folder, copy)
        config = json.loads((copy / "config.json").read_text())
        kind, sizes = config["type"], config.pop("sizes")
        (copy / "config.json").write_text(json.dumps(config))
        patch(kind, copy, sizes)
        cls = getattr(importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}"),
                      {"act": "ACTPolicy", "smolvla": "SmolVLAPolicy", "pi0": "PI0Policy", "pi05": "PI05Policy"}[kind])
        policy = cls.from_pretrained(copy, strict=True)
        pre, post = make_pre_post_processors(policy.config, pretrained_path=str(copy))
    return policy.eval(), pre, post


def chunk_of(folder, given):
    policy, pre, post = open_policy(folder)
    inputs = {k[3:]: v for k, v in given.items() if k.startswith("in.observation")}
    noise = {} if policy.config.type == "act" else {"noise": given["in.noise"].clone()}
    with torch.no_grad():
        return post(policy.predict_action_chunk(pre(gp.observe(inputs, [TASK])), **noise))


def finetuned_by_lerobot(out):
    """The golden SmolVLA as LeRobot's training script makes it one of another robot: make_policy and the processors' overrides of
    lerobot/scripts/lerobot_train.py. Weights and tokenizer stay tests/golden/policies/smolvla's and are not kept again."""
    torch.manual_seed(gp.SEED)
    base, tmp = HERE / "policies" / "smolvla", tempfile.mkdtemp()
    for name in ("config.json", "model.safetensors", *(p.name for p in base.glob("policy_*"))):
        shutil.copy(base / name, tmp)
    raw = json.loads((base / "config.json").read_text())
    sizes = raw.pop("sizes")
    (pathlib.Path(tmp) / "config.json").write_text(json.dumps(raw))
    patch("smolvla", base, sizes)
    cfg = PreTrainedConfig.from_pretrained(tmp)
    cfg.pretrained_path, cfg.push_to_hub = tmp, False
    rename = {"observation.images.front": "observation.images.wrist", "observation.images.side": "observation.images.top"}
    features = {"observation.state": {"dtype": "float32", "shape": (7,), "names": list("abcdefg")},
                "action": {"dtype": "float32", "shape": (6,), "names": list("abcdef")},
                "observation.images.front": {"dtype": "video", "shape": (40, 56, 3), "names": ["height", "width", "channels"]},
                "observation.images.side": {"dtype": "video", "shape": (32, 48, 3), "names": ["height", "width", "channels"]}}
    stats = gp.statistics({k: gp.feature("VISUAL" if len(f["shape"]) == 3 else "STATE", *f["shape"]) for k, f in features.items()})
    policy = make_policy(cfg, ds_meta=type("Meta", (), {"features": features, "stats": stats}), rename_map=rename)
    norm = {"norm_map": cfg.normalization_mapping, "stats": stats}
    pre, post = make_pre_post_processors(
        policy_cfg=cfg, pretrained_path=tmp,
        preprocessor_overrides={"device_processor": {"device": "cpu"}, "rename_observations_processor": {"rename_map": rename},
                                "normalizer_processor": norm | {"features": {**cfg.input_features, **cfg.output_features}}},
        postprocessor_overrides={"unnormalizer_processor": norm | {"features": cfg.output_features}})
    shutil.rmtree(out, ignore_errors=True)
    policy.eval().save_pretrained(out)
    pre.save_pretrained(out)
    post.save_pretrained(out)
    (out / "model.safetensors").unlink()
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"sizes": sizes, "pretrained_path": None}, indent=4))
    inputs = {"observation.state": torch.randn(1, 7), "observation.images.front": gp.picture(1, 40, 56),
              "observation.images.side": gp.picture(1, 32, 48)}
    noise = torch.randn(1, 8, 7)
    with torch.no_grad():
        chunk = post(policy.predict_action_chunk(pre(gp.observe(inputs, [TASK])), noise=noise.clone()))
    save_file({f"in.{k}": v for k, v in inputs.items()} | {"in.noise": noise, "out.chunk": chunk.float().contiguous()},
              HERE / "fit" / "by_lerobot.safetensors", metadata={"versions": json.dumps(gp.VERSIONS)})
    shutil.rmtree(tmp)


def main(root):
    worst = 0.0
    (HERE / "fit").mkdir(exist_ok=True)
    finetuned_by_lerobot(HERE / "fit" / "by_lerobot")
    for folder in sorted(p for p in pathlib.Path(root).iterdir() if (p / "ours.safetensors").exists()):
        given = load_file(folder / "ours.safetensors")
        want, got = chunk_of(folder, given).float(), given.pop("ours.chunk")
        assert want.shape == got.shape, (folder, want.shape, got.shape)
        apart = float((want - got).abs().max() / want.abs().max())
        worst = max(worst, apart)
        print(f"{folder.name}: {tuple(want.shape)} apart {apart:.1e}")
        if not folder.name.startswith(("plain", "moved", "lora")):
            save_file(given | {"out.chunk": want.contiguous()}, HERE / "fit" / f"{folder.name}.safetensors",
                      metadata={"versions": json.dumps(gp.VERSIONS)})
    return worst > 1e-4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

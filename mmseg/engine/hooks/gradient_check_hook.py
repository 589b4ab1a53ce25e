"""See in the first step whether every weight learns."""
from __future__ import annotations

from mmengine.hooks import Hook
from torch.nn.parallel import DistributedDataParallel

from mmseg.engine.fsdp import is_sharded
from mmseg.registry import HOOKS
from mmseg.utils.checkpoint import unwrap
from mmseg.utils.errors import InputError


@HOOKS.register_module()
class GradientCheckHook(Hook):
    """Name the weights that get no gradient in the first step of a run.

    Several processes cannot go on with them: each waits for gradients that never come. One process is only warned.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        self._missing: set[str] | None = None
        self._done = is_sharded(runner.model)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if self._done:
            return
        self._done = True
        learning = {name: weight for name, weight in unwrap(runner.model).named_parameters() if weight.requires_grad}
        self._missing = set(learning)
        self._handles = [weight.register_post_accumulate_grad_hook(lambda _, name=name: self._missing.discard(name))
                         for name, weight in learning.items()]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._missing is None:
            return
        for handle in self._handles:
            handle.remove()
        missing, self._missing, self._handles = sorted(self._missing), None, []
        if not missing:
            return
        shown = ', '.join(missing[:5]) + (' …' if len(missing) > 5 else '')
        text = f'{len(missing)} weights that shall learn got no gradient in the first step: {shown}'
        model = runner.model
        if isinstance(model, DistributedDataParallel) and not (model.find_unused_parameters or model.static_graph):
            raise InputError(f'{text}. Several processes would wait for them: take them out of the network, freeze '
                             'them (requires_grad=False), or set find_unused_parameters=True in the config')
        runner.logger.warning(text)

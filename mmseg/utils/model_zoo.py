"""The published models: their figures and weights, from one table beside the configs."""
from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TABLE = 'models.json'


@dataclass(frozen=True)
class PublishedModel:
    """What is published of the model of a config; None where nothing is.

    Args:
        name: its config as `method/name`.
        dataset: on which the figures were measured.
        metrics: percent by name, such as `mIoU` and `mIoU(ms+flip)`; RMSE in metres.
        parameters: millions.
        memory: of a GPU in training, in GB.
        weights: address.
        paper: title and address.
    """

    name: str
    dataset: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: float | None = None
    memory: float | None = None
    weights: str | None = None
    paper: tuple[str, str] | None = None

    @property
    def old_name(self) -> str | None:
        """The name that its config had when its weights were published, which is that of 0.x for most."""
        if self.weights is None:
            return None
        return re.sub(r'[_-]?\d{8}([_-]\d{6})?-[0-9a-f]{8}$', '', Path(self.weights).stem)


@functools.cache
def published_models(configs: Path) -> dict[str, PublishedModel]:
    """Read the table of a folder of configs, by `method/name`; empty where there is none."""
    if not (configs / TABLE).is_file():
        return {}
    content = json.loads((configs / TABLE).read_text(encoding='utf-8'))
    models = (_model(row, content['Papers']) for row in content['Models'])
    return {model.name: model for model in models}


def _model(row: dict, papers: dict[str, str]) -> PublishedModel:
    address = row.get('Paper')
    return PublishedModel(
        name=row['Config'].removeprefix('configs/').removesuffix('.py'), dataset=row.get('Dataset'),
        metrics=row.get('Metrics', {}), parameters=row.get('Parameters'), memory=row.get('Memory'),
        weights=row.get('Weights'), paper=address and (papers[address], address))


@functools.cache
def successors(configs: Path) -> dict[str, str]:
    """Map the older names of configs to `method/name`."""
    return {model.old_name: name for name, model in published_models(configs).items() if model.old_name}


def weights_of_config(file: Path) -> str | None:
    """Return the address of the weights that are published for a config file, or None."""
    model = published_models(file.resolve().parents[1]).get(f'{file.parent.name}/{file.stem}')
    return model and model.weights

"""Model archives of TorchServe, and a test of a server that runs one.

An archive is a ZIP file with a manifest, so it is written here: the archiver of TorchServe is not needed.
"""
from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import zipfile
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from mmseg.utils.atomic import replace_file
from mmseg.utils.config import read_config, require_model
from mmseg.utils.errors import InputError

HANDLER = Path(__file__).with_name('torchserve_handler.py')
# Of torch-model-archiver, whose format this is.
FORMAT_VERSION = '0.12.0'


def write_archive(config: str, checkpoint: str, folder: str | os.PathLike, name: str, version: str = '1.0',
                  force: bool = False) -> Path:
    """Write `folder/NAME.mar` with a config, resolved, its weights and the handler.

    Raises:
        InputError: the config cannot be read, or the file is there and `force` is not set.
    """
    target = Path(folder, f'{name}.mar')
    if target.exists() and not force:
        raise InputError(f'{target} exists: --force replaces it, --model-name gives it another name')
    cfg = read_config(config)
    require_model(cfg)
    manifest = dict(createdOn=f'{datetime.now():%d/%m/%Y %H:%M:%S}', runtime='python', archiverVersion=FORMAT_VERSION,
                    model=dict(modelName=name, modelVersion=version, handler=HANDLER.name,
                               serializedFile=Path(checkpoint).name))

    def write(file) -> None:
        with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('MAR-INF/MANIFEST.json', json.dumps(manifest, indent=2))
            archive.writestr('config.py', cfg.pretty_text)
            archive.write(HANDLER, HANDLER.name)
            # Weights hardly become smaller, but TorchServe reads no archive with parts that are stored as they are.
            archive.write(checkpoint, Path(checkpoint).name, compresslevel=1)
    replace_file(target, write)
    return target


def ask_server(address: str, name: str, content: bytes, seconds: float = 60) -> np.ndarray:
    """Send an image to a model of TorchServe; return the ids of its classes, (H, W).

    Raises:
        InputError: it is not reached, or refuses.
    """
    url = f'http://{address}/predictions/{name}'
    request = urllib.request.Request(url, content, {'Content-Type': 'application/octet-stream'})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            labels = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors='replace').strip()
        raise InputError(f'{url} answered {error.code}: {said}') from error
    except OSError as error:
        raise InputError(f'{url} does not answer ({getattr(error, "reason", error)}): start TorchServe with the model '
                         f'{name}, or give its address with --inference-addr') from error
    if labels is None or labels.ndim != 2:
        raise InputError(f'{url} answered with something else than a PNG of ids: does it run the handler of mmseg?')
    return labels

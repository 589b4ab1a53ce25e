"""Export one network of each family in every form, compare each file with the network, and write a table.

    python tools/export_table.py --out exports                         the first config of each folder of configs/
    python tools/export_table.py CONFIG CONFIG --out exports --timeout 3600

Weights are random. Each network has a process of its own. A row that is there, exports/rows/NAME.json, is not made
again until it is deleted. All rows are in exports/table.md.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SIDES, OTHERS = (128, 192), ((131, 197), (97, 160), (192, 128))
FORMS = ('ONNX', 'ONNX, open sizes', 'OpenVINO', 'OpenVINO, open sizes', 'TorchScript', 'torch.export',
         'torch.export, open sizes')
LEFT_OUT = ('_base_', 'dsdl', 'demo')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', metavar='CONFIG')
    parser.add_argument('--out', type=Path, default=Path('exports'), metavar='DIR')
    parser.add_argument('--timeout', type=float, default=3600, metavar='SECONDS', help='for one network (3600)')
    parser.add_argument('--one', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    (args.out / 'rows').mkdir(parents=True, exist_ok=True)
    if args.one:
        Row(args.configs[0], args.out).fill()
        return
    for config in args.configs or first_configs():
        if not finished(args.out, config):
            make_row(config, args)
            (args.out / 'table.md').write_text(table(args.out))
    print(table(args.out))


def first_configs() -> list[str]:
    """The first config of each folder, by its path."""
    folders = sorted(folder for folder in (ROOT / 'configs').iterdir()
                     if folder.is_dir() and folder.name not in LEFT_OUT)
    return [str(next(iter(sorted(folder.glob('*.py'))))) for folder in folders]


def row_file(out: Path, config: str) -> Path:
    return out / 'rows' / f'{Path(config).stem}.json'


def finished(out: Path, config: str) -> bool:
    file = row_file(out, config)
    return file.exists() and 'seconds' in json.loads(file.read_text())


def make_row(config: str, args: argparse.Namespace) -> None:
    """Run this script for one network; what it has found before it stops stays."""
    start = time.time()
    command = [sys.executable, '-W', 'ignore', __file__, config, '--out', str(args.out), '--one']
    reason = None
    try:
        done = subprocess.run(command, timeout=args.timeout, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]
    except subprocess.TimeoutExpired:
        reason = f'not done after {args.timeout:.0f} s'
    file = row_file(args.out, config)
    row = json.loads(file.read_text()) if file.exists() else dict(config=config, forms={})
    for form in FORMS if reason else ():
        row['forms'].setdefault(form, dict(reason=reason))
    row['seconds'] = round(time.time() - start)
    file.write_text(json.dumps(row, indent=1))


class Row:
    """One network in every form."""

    def __init__(self, config: str, out: Path):
        self.file = row_file(out, config)
        self.row = dict(config=config, forms={})
        self.config = config

    def fill(self) -> None:
        import torch

        from mmseg.cli.common import bands_of
        from mmseg.cli.export import read_image
        from mmseg.export.network import ExportNetwork, Interface
        torch.set_num_threads(1)
        self.model, cfg = load(self.config)
        self.network = ExportNetwork(self.model, Interface())
        self.bands = bands_of(cfg)
        self.image = read_image(None, self.bands)
        self.sides = self.sides_that_fit(cfg)
        self.row['sides'] = self.sides
        with tempfile.TemporaryDirectory() as folder:
            self.export(Path(folder))

    def sides_that_fit(self, cfg) -> tuple[int, int]:
        """The usual sides, or for networks of one size that of their windows."""
        try:
            self.given(SIDES, run=True)
        except ValueError:
            return tuple(cfg.get('crop_size') or (512, 512))
        return SIDES

    def given(self, sides: tuple[int, int], run: bool = False):
        import torch

        from mmseg.export.verify import prepared
        image = prepared(self.image, self.network.interface, self.model.data_preprocessor, sides)
        if run:
            with torch.no_grad():
                self.network(torch.from_numpy(image))
        return image

    def export(self, folder: Path) -> None:
        from mmseg.export.export import notes_of
        from mmseg.export.onnx import save_onnx
        from mmseg.export.openvino import save_openvino
        from mmseg.export.program import empty_input, record
        from mmseg.export.torchscript import save_program, save_torchscript
        shape = (1, self.bands, *self.sides)
        example = empty_input(shape, False, self.sides).contiguous()
        notes = notes_of(self.network, shape, False)
        self.try_form('TorchScript', folder / 'a.pt',
                      lambda path: save_torchscript(self.network, example, path, notes))
        for ending, dynamic in (('', False), (', open sizes', True)):
            program = self.attempt([f'{name}{ending}' for name in ('ONNX', 'OpenVINO', 'torch.export')],
                                   lambda dynamic=dynamic: record(self.network, shape, dynamic))
            if program is None:
                continue
            notes = notes_of(self.network, shape, dynamic, program.multiple or 1)
            source = folder / f'{ending[2:5]}.onnx'
            for name, path, save in (
                    ('ONNX', source, lambda path, p=program, n=notes: save_onnx(p, path, n)),
                    ('OpenVINO', source.with_suffix('.xml'), lambda path, s=source: save_openvino(s, path)),
                    ('torch.export', source.with_suffix('.pt2'),
                     lambda path, p=program, n=notes: save_program(p, path, n))):
                self.try_form(f'{name}{ending}', path, save, program if dynamic else None)

    def attempt(self, forms: list[str], make):
        """Make what several forms are made of; where that fails, they all have the reason."""
        try:
            return make()
        except Exception as error:
            for form in forms:
                self.note(form, dict(reason=f'{error}'.splitlines()[0][:300]))
            return None

    def try_form(self, form: str, path: Path, save, program=None) -> None:
        from mmseg.export.backends import open_exported
        from mmseg.export.verify import verify_export
        start = time.process_time()
        try:
            save(path)
            exported = open_exported(path)
            sizes, others = [self.sides], []
            if program is not None:
                step = program.multiple
                every = [tuple(-(-side // step) * step for side in sides) for sides in (self.sides, *OTHERS)]
                sizes = [size for size in every if program.takes(*size)]
                others = [size for size in every if size not in sizes]
            compared = [verify_export(self.network, exported, self.given(size)) for size in sizes]
        except Exception as error:
            self.note(form, dict(reason=f'{error}'.splitlines()[0][:300]))
            return
        self.note(form, dict(
            agrees=all(each.agrees() for each in compared), difference=max(each.difference for each in compared),
            largest=max(each.largest for each in compared), equal=min(each.equal for each in compared),
            sizes=sizes, refused=others, megabytes=round(path.stat().st_size / 1e6, 1),
            cpu_seconds=round(time.process_time() - start, 1)))

    def note(self, form: str, finding: dict) -> None:
        self.row['forms'][form] = finding
        self.file.write_text(json.dumps(self.row, indent=1))


def load(config: str):
    from mmseg.apis.inference import load_model
    from mmseg.utils.config import read_config
    from tests.golden import fill
    cfg = read_config(config)
    return fill(load_model(cfg, None, 'cpu')).eval(), cfg


def table(out: Path) -> str:
    """The rows that are there, in Markdown."""
    rows = [json.loads(file.read_text()) for file in sorted((out / 'rows').glob('*.json'))]
    rows.sort(key=lambda row: Path(row['config']).parent.name)
    lines = [['config', 'image', *FORMS], ['---'] * (len(FORMS) + 2)]
    reasons = {}
    for row in rows:
        cells = [cell(row['forms'].get(form), reasons) for form in FORMS]
        lines.append([Path(row['config']).stem, 'x'.join(map(str, row.get('sides', ()))), *cells])
    notes = [f'[{number}] {reason}' for reason, number in reasons.items()]
    head = ['Largest difference of logits, in parts of the largest logit, over all sizes tried; share of equal labels '
            'where it is below 100 %.', '']
    return '\n'.join([*head, *(f'| {" | ".join(line)} |' for line in lines), '', *notes]) + '\n'


def cell(finding: dict | None, reasons: dict) -> str:
    if finding is None:
        return ''
    if 'reason' in finding:
        return f'no [{reasons.setdefault(finding["reason"], len(reasons) + 1)}]'
    text = f'{finding["difference"] / max(finding["largest"], 1e-30):.1e}'
    if finding['equal'] < 1:
        text += f', {100 * finding["equal"]:.3f} %'
    for what, sizes in (('not for', finding['refused']),):
        text += f', {what} {", ".join("x".join(map(str, size)) for size in sizes)}' if sizes else ''
    return text if finding['agrees'] else f'differs: {text}'


if __name__ == '__main__':
    main()

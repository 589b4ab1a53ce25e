"""The README of each folder of configs and the model-zoo pages say what the tables say."""
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / 'tools' / 'write_model_zoo.py'))


def test_no_page_is_stale():
    stale = [path.relative_to(ROOT).as_posix() for path, text in SCRIPT['pages']().items()
             if not path.is_file() or path.read_text(encoding='utf-8') != text]
    assert stale == [], 'run python tools/write_model_zoo.py'


def test_the_row_of_a_config():
    text = SCRIPT['pages']()[ROOT / 'configs' / 'pspnet' / 'README.md']
    (row,) = [line for line in text.splitlines() if '(pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py)' in line]
    assert [cell.strip() for cell in row.split('|')[2:7]] == ['Cityscapes', '77.85', '79.18', '48.98', '6.1']
    assert row.endswith('-2966598c.pth) |')


def test_figures_other_than_miou_keep_their_name():
    text = SCRIPT['pages']()[ROOT / 'configs' / 'vpd' / 'README.md']
    assert '| NYU | RMSE 0.2' in text


def test_every_method_is_described_in_two_to_four_sentences():
    import yaml
    methods = yaml.safe_load((ROOT / 'configs' / 'methods.yaml').read_text(encoding='utf-8'))
    assert [folder for folder, method in methods.items()
            if 'paper' in method and not 2 <= method['idea'].count('. ') + 1 <= 4] == []

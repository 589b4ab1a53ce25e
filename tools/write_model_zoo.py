"""Write configs/*/README.md and the model-zoo pages of docs/ from configs/methods.yaml and configs/models.json.

    python tools/write_model_zoo.py            write them
    python tools/write_model_zoo.py --check    only name those that are stale; exit status 1 if there are any
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NOTE = '<!-- Written by tools/write_model_zoo.py; change configs/methods.yaml or configs/models.json instead. -->\n\n'
FIGURES = """\
mIoU (one scale, and several scales with flips), other metrics by name, and memory of a GPU in training are the
published figures of the weights in the last column: percent, RMSE in metres, GB. Parameters, in millions, are counted
on the network that the config builds. A dash: nothing is published.
"""
SPEED = """\
Speed depends on the machine, so there is no column for it. Measure it on yours: `mmseg benchmark CONFIG`.
"""
WORDS = {
    'en': dict(
        title='Model zoo', methods='methods', configs='configs', weights='with weights', paper='paper',
        columns=('method', 'configs', 'with weights', 'best mIoU by data set'), figures=FIGURES, speed=SPEED,
        intro='`mmseg models` prints the same figures for a part of a name, and sorts them.'),
    'zh_cn': dict(
        title='模型库', methods='种方法', configs='个配置', weights='个有权重', paper='论文',
        columns=('方法', '配置', '有权重', '各数据集上最好的 mIoU'),
        figures='mIoU（单尺度）是所给权重已公布的数值，单位为百分比。每个方法的页面列出单尺度、多尺度（加翻转）的数值、训练显存（GB）、'
                '参数量（百万，由配置所建的网络数出）和权重地址；短横线表示没有公布。\n',
        speed='速度取决于机器，因此没有单列，请在自己的机器上测量：`mmseg benchmark CONFIG`。\n',
        intro='`mmseg models` 按名称的一部分打印同样的数值，并可排序。'),
}
COLUMNS = ('config', 'data set', 'mIoU', 'mIoU (ms+flip)', 'parameters', 'memory', 'weights')


def table(columns, rows) -> str:
    """Return a Markdown table; the first column is text, so are cells with links."""
    lines = [columns, ['---'] * len(columns), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def cell(value) -> str:
    return '-' if value is None else f'{value:g}' if isinstance(value, float) else str(value)


def row_of(model) -> list[str]:
    """Return the row of a config in the README of its folder."""
    stem = model.name.partition('/')[2]
    best = model.metrics.get('mIoU')
    if best is None and model.metrics:
        best = ', '.join(f'{name} {value:g}' for name, value in model.metrics.items())
    figures = (model.dataset, best, model.metrics.get('mIoU(ms+flip)'), model.parameters, model.memory)
    weights = f'[model]({model.weights})' if model.weights else '-'
    return [f'[{stem}]({stem}.py)', *map(cell, figures), weights]


def readme(method: dict, models: list) -> str:
    """Return the README of a folder of configs."""
    title = f'# {method["name"]}\n\n'
    paper = f'Paper: [{method["paper"]}]({method["link"]})\n\n' if 'paper' in method else ''
    rows = table(COLUMNS, map(row_of, models))
    example = f'```bash\nmmseg train {models[0].name}\n```\n\n'
    return f'{NOTE}{title}{method["idea"]}\n\n{paper}{example}{rows}\n{FIGURES}\n{SPEED}'


def best_by_dataset(models: list) -> str:
    best = {}
    for model in models:
        if model.dataset and 'mIoU' in model.metrics:
            best[model.dataset] = max(best.get(model.dataset, 0), model.metrics['mIoU'])
    return ', '.join(f'{name} {value:g}' for name, value in best.items()) or '-'


def page(language: str, methods: dict, models_of: dict[str, list]) -> str:
    """Return the page that lists all methods."""
    words = WORDS[language]
    everything = [model for models in models_of.values() for model in models]
    rows = []
    for folder, method in sorted(methods.items(), key=lambda item: item[1]['name'].lower()):
        models = models_of[folder]
        paper = f' ([{words["paper"]}]({method["link"]}))' if 'link' in method else ''
        rows.append([f'[{method["name"]}](../../configs/{folder}/README.md){paper}', str(len(models)),
                     str(count_weights(models)), best_by_dataset(models)])
    summary = (f'{len(methods)} {words["methods"]}, {len(everything)} {words["configs"]}, '
               f'{count_weights(everything)} {words["weights"]}.')
    return (f'{NOTE}# {words["title"]}\n\n{summary} {words["intro"]}\n\n{words["figures"]}\n{words["speed"]}\n'
            f'{table(words["columns"], rows)}')


def count_weights(models: list) -> int:
    return sum(model.weights is not None for model in models)


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Return what each generated file should hold.

    Raises:
        SystemExit: a folder of configs has no entry in methods.yaml, or the other way round.
    """
    from mmseg.utils.model_zoo import PublishedModel, published_models
    configs = root / 'configs'
    methods = yaml.safe_load((configs / 'methods.yaml').read_text(encoding='utf-8'))
    folders = {file.parent.name for file in configs.glob('*/*.py')} - {'_base_'}
    if folders != set(methods):
        raise SystemExit(f'configs/methods.yaml and the folders of configs/ differ in {sorted(folders ^ set(methods))}')
    published = published_models(configs)
    models_of = {folder: [published.get(f'{folder}/{file.stem}') or PublishedModel(f'{folder}/{file.stem}')
                          for file in sorted((configs / folder).glob('*.py'))] for folder in sorted(folders)}
    found = {configs / folder / 'README.md': readme(methods[folder], models) for folder, models in models_of.items()}
    return found | {root / 'docs' / language / 'model_zoo.md': page(language, methods, models_of) for language in WORDS}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing; name the files that are stale')
    args = parser.parse_args()
    stale = {path: text for path, text in pages().items()
             if not path.is_file() or path.read_text(encoding='utf-8') != text}
    for path, text in stale.items():
        if not args.check:
            path.write_text(text, encoding='utf-8')
        print(f'{"stale" if args.check else "written"}: {path.relative_to(ROOT)}')
    return int(args.check and bool(stale))


if __name__ == '__main__':
    sys.exit(main())

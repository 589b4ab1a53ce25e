"""The diagnosis in words, and as data for other programs."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prettytable import PrettyTable

from mmseg.datasets.doctor import weights
from mmseg.datasets.doctor.diagnosis import PROBLEM, Diagnosis
from mmseg.datasets.doctor.summary import Summary

NAMES_IN_TEXT = 5
FORMULAS = {
    'median_frequency_balancing': 'median frequency balancing (Eigen and Fergus, 2015): median(f) / f',
    'enet': 'ENet (2016): 1 / ln(1.02 + p)',
}


def class_weights(summary: Summary) -> dict[str, list[float]]:
    """Return the weights by each formula, in the order of the classes; empty where nothing is labelled."""
    if not summary.pixels.any():
        return {}
    return dict(
        median_frequency_balancing=_round(weights.median_frequency_balancing(summary.pixels, summary.pixels_around)),
        enet=_round(weights.enet(summary.pixels)))


def _round(values: np.ndarray) -> list[float]:
    """Four significant digits."""
    return [float(f'{value:.4g}') for value in values]


def as_data(diagnosis: Diagnosis, config: str, seconds: float) -> dict:
    """The whole diagnosis as plain data, for JSON."""
    images = sum(summary.images for summary in diagnosis.summaries)
    return dict(
        config=config, images=images, seconds=round(seconds, 2), problems=diagnosis.problems,
        remarks=[vars(remark) for remark in diagnosis.remarks],
        splits={summary.name: _split_data(summary) for summary in diagnosis.summaries},
        class_weight=class_weights(diagnosis.summaries[0]) if diagnosis.summaries else {},
        normalisation=diagnosis.normalisation, crop=diagnosis.crop)


def _split_data(summary: Summary) -> dict:
    total = max(int(summary.pixels.sum()), 1)
    return dict(
        images=summary.images, labelled_images=summary.labelled_images,
        classes=[dict(name=name, pixels=int(pixels), share=round(pixels / total, 6), images=int(images))
                 for name, pixels, images in zip(summary.classes, summary.pixels, summary.images_with)],
        ignored_share=round(summary.ignored_share, 6),
        values={str(value): count for value, count in sorted(summary.values.items())[:1000]},
        mean=np.round(summary.bands.mean, 3).tolist(), std=np.round(summary.bands.std, 3).tolist(),
        sizes=[dict(size=list(size), images=count) for size, count in summary.sizes.most_common(20)],
        different_sizes=len(summary.sizes))


def as_text(diagnosis: Diagnosis, config: str, seconds: float) -> str:
    """The report that a person reads: facts first, problems last, where they are seen."""
    images = sum(summary.images for summary in diagnosis.summaries)
    parts = [f'{config}: {images} images in {seconds:.1f} s ({images / max(seconds, 1e-9):.0f} images/s)']
    parts += [_sizes(summary) for summary in diagnosis.summaries]
    parts += [_crop_line(diagnosis.crop)] if diagnosis.crop else []
    parts += [_normalisation_lines(diagnosis.normalisation)] if diagnosis.normalisation else []
    labelled = [summary for summary in diagnosis.summaries if summary.labelled_images and summary.classes]
    if labelled:
        parts.append('')
        for classes in dict.fromkeys(summary.classes for summary in labelled):
            parts.append(_class_table([summary for summary in labelled if summary.classes == classes]))
        parts += [f'{summary.name}: {summary.ignored_share:.2%} of the pixels are ignored '
                  f'(ignore_index={summary.ignore_index})' for summary in labelled]
        parts += _weight_lines(labelled[0])
    return '\n'.join([*parts, '', *_remark_lines(diagnosis)])


def _sizes(summary: Summary) -> str:
    line = f'{summary.name}: {summary.images} images, {summary.labelled_images} labels'
    if not summary.sizes:
        return line
    (most, count), *_ = summary.sizes.most_common(1)
    if len(summary.sizes) == 1:
        return f'{line}; all {_by(most)} (height x width)'
    low, high = (_by(tuple(int(limit(side)) for side in zip(*summary.sizes))) for limit in (min, max))
    return (f'{line}; {len(summary.sizes)} sizes from {low} to {high} (height x width, each on its own), most often '
            f'{_by(most)} ({count})')


def _by(size: Sequence[int]) -> str:
    return 'x'.join(map(str, size))


def _crop_line(crop: dict) -> str:
    line = f'crop {_by(crop["crop"])}: {crop["smaller_images"]} training images are smaller'
    if 'resize' in crop:
        line += (f'; after the smallest {crop["resize"]} up to {crop["most_padding"]:.0%} of it is padding (images of '
                 f'{_by(crop["of_size"])}), after the largest {crop["padding_at_largest"]:.0%}')
    return line


def _normalisation_lines(found: dict) -> str:
    kind = ', '.join(f'{dtype} ({count})' if len(found['types']) > 1 else dtype for dtype, count in
                     found['types'].items())
    order = ', red first' if found['bgr_to_rgb'] else ', blue first' if len(found['mean']) == 3 else ''
    lines = [f'levels: {kind}, from {found["range"][0]:g} to {found["range"][1]:g}; of each band{order}:',
             f'    mean={found["mean"]},', f'    std={found["std"]},']
    if found['configured_mean']:
        lines.append(f'    the config has mean={found["configured_mean"]}, std={found["configured_std"]}')
    return '\n'.join(lines)


def _class_table(summaries: list[Summary]) -> str:
    table = PrettyTable(['', 'class', *(f'{summary.name}: {what}' for summary in summaries
                                        for what in ('pixels', 'images'))], align='r')
    table.align['class'] = 'l'
    for label, name in enumerate(summaries[0].classes):
        table.add_row([label, name, *(cell for summary in summaries for cell in (
            f'{summary.pixels[label] / max(summary.pixels.sum(), 1):.3%}', int(summary.images_with[label])))])
    return table.get_string()


def _weight_lines(summary: Summary) -> list[str]:
    lines = []
    for formula, values in class_weights(summary).items():
        lines += ['', f'class weights of {summary.name} by {FORMULAS[formula]}:',
                  f"    loss_decode=dict(type='CrossEntropyLoss', class_weight={values})"]
    if lines and not summary.pixels.all():
        lines.append(f'    (classes without a pixel have {weights.ABSENT})')
    return lines


def _remark_lines(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for remark in diagnosis.remarks:
        lines.append(f'{remark.severity.upper()} {remark.split}: {remark.kind} ({remark.count}): {remark.advice}')
        lines += [f'    {sentence}' for sentence in remark.files[:NAMES_IN_TEXT]]
        if remark.count > NAMES_IN_TEXT < len(remark.files):
            lines.append(f'    … and {remark.count - NAMES_IN_TEXT} more')
    kinds = sum(remark.severity == PROBLEM for remark in diagnosis.remarks)
    lines.append(f'{kinds} kinds of problems found' if kinds > 1 else 'one kind of problem found' if kinds
                 else 'no problems found')
    return lines

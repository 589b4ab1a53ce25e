"""From what was found in the files to what is wrong with the data, and what to do about it."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mmseg.datasets.doctor.configured import Split, crop_and_resize, head_classes, open_splits
from mmseg.datasets.doctor.parallel import chosen, examine_split
from mmseg.datasets.doctor.summary import Copies, Summary

PROBLEM, NOTE = 'problem', 'note'
# Above this share of the pixels, or of the images, something deserves a remark.
MUCH = 0.5

ADVICE = {
    'unreadable list': 'correct the paths of the data set in the config',
    'missing image': 'take it off the split file, or put the image there',
    'unreadable image': 'fetch it again, or take it off the list',
    'not finite': 'replace values that are not finite',
    'other bands': 'bring all images to the same bands, or set color_type of the loader',
    'missing label': 'label it, take the image off the list, or correct seg_map_suffix',
    'unreadable label': 'make it anew, or take the image off the list',
    'RGB mask': 'give each colour its class in the palette of a FolderDataset, or convert them to one number a pixel',
    'JPEG mask': 'save masks as PNG: JPEG changes their numbers',
    'size mismatch': 'make label and image equally large',
    'values outside the classes': 'name their classes, map them to ignore_index, or set reduce_zero_label',
    'nothing labelled': 'the image teaches nothing: label it or take it off the list',
    'copies between splits': 'keep each image in one split: the evaluation is too kind otherwise',
    'copies within a split': 'remove one of each, unless they are meant to count twice',
}
NOTES = ('nothing labelled', 'copies within a split')


@dataclass
class Remark:
    """One thing to know: its severity, kind, the split concerned, how often, what to do, and which files."""

    severity: str
    kind: str
    split: str
    count: int
    advice: str
    files: list[str] = field(default_factory=list)


@dataclass
class Diagnosis:
    """All that `mmseg doctor` has to tell."""

    summaries: list[Summary]
    remarks: list[Remark]
    crop: dict | None
    normalisation: dict | None

    @property
    def problems(self) -> int:
        return sum(remark.severity == PROBLEM for remark in self.remarks)


def diagnose(cfg: Mapping, workers: int, names: tuple[str, ...], limit: int | None = None, most: int = 1000,
             track: Callable = lambda findings, total, split: findings) -> Diagnosis:
    """Look at all samples of a config.

    Args:
        cfg: the config.
        workers: processes.
        names: dataloaders to look at, of `train`, `val` and `test`.
        limit: samples to look at of each data set.
        most: file names to keep of each kind of problem.
        track: called with the findings of a split as they come, their number and the split's name; shows progress.
    """
    splits = open_splits(cfg, names)
    copies = Copies()
    summaries = [_summarise(split, copies, workers, limit, most, track) for split in splits]
    remarks = [remark for split, summary in zip(splits, summaries)
               for remark in (*_errors_of_lists(split), *_of_files(summary), *_of_labels(split, summary))]
    remarks += _of_config(cfg, splits, summaries)
    train = summaries[0] if summaries else None
    crop = train and _crop(cfg, train)
    if (crop and 'resize' not in crop and crop['smaller_images'] > MUCH * train.images
            and train.name.startswith('train')):
        remarks.append(Remark(NOTE, 'images smaller than the crop', train.name, crop['smaller_images'],
                              'the network is trained on their padding too: choose a smaller crop_size'))
    remarks.sort(key=lambda remark: remark.severity == NOTE)
    return Diagnosis(summaries, remarks, crop, _normalisation(cfg, train))


def _summarise(split: Split, copies: Copies, workers: int, limit: int | None, most: int, track: Callable) -> Summary:
    ignore_index = next((source.recipe.ignore_index for source in split.sources if source.recipe), 255)
    summary = Summary(split.name, split.classes, ignore_index, most)
    total = sum(len(chosen(len(source.samples), limit)) for source in split.sources)
    for finding in track(examine_split(split, workers, limit), total, split.name):
        summary.add(finding)
        found = copies.find(split.name, finding)
        if found:
            other, name = found
            kind = 'copies within a split' if other == split.name else 'copies between splits'
            summary.note(kind, f'{finding.name}: the same pixels as {name}' + (
                '' if other == split.name else f' of {other}'))
    return summary


def _errors_of_lists(split: Split) -> Iterator[Remark]:
    for source in split.sources:
        if source.error:
            kind = 'unreadable list'
            yield Remark(PROBLEM, kind, split.name, 1, ADVICE[kind], [source.error])


def _of_files(summary: Summary) -> Iterator[Remark]:
    for kind, listed in summary.problems.items():
        severity = NOTE if kind in NOTES else PROBLEM
        yield Remark(severity, kind, summary.name, listed.count, ADVICE[kind], listed.sentences)


def _of_labels(split: Split, summary: Summary) -> Iterator[Remark]:
    """What the labels of a split tell as a whole."""
    if not summary.labelled_images or not summary.classes:
        return
    absent = [name for name, pixels in zip(summary.classes, summary.pixels) if not pixels]
    if absent:
        severity = PROBLEM if summary.name.startswith('train') else NOTE
        yield Remark(severity, 'classes without a pixel', summary.name, len(absent),
                     'nothing can be learned or measured about them: check the order and number of the classes', absent)
    if summary.ignored_share > MUCH:
        severity = PROBLEM if summary.ignored_share == 1 else NOTE
        yield Remark(severity, 'much is ignored', summary.name, summary.labelled_images,
                     f'{summary.ignored_share:.1%} of the pixels do not count: check ignore_index, reduce_zero_label')
    reduced = any(source.reduce_zero_label for source in split.sources)
    # Where labels are mapped besides, the numbers of the files tell nothing about how zero is meant.
    values = set() if any(source.maps_labels for source in split.sources) else set(summary.values)
    sentence = doubt_about_zero(values, len(summary.classes), summary.ignore_index, reduced)
    if sentence:
        yield Remark(PROBLEM, 'reduce_zero_label seems wrong', summary.name, summary.labelled_images, sentence)
    sentence = doubt_about_white(set(summary.values), len(summary.classes), summary.ignore_index)
    if sentence:
        yield Remark(PROBLEM, 'the second class seems to be ignored', summary.name, summary.labelled_images, sentence)


def doubt_about_zero(values: set[int], num_classes: int, ignore_index: int, reduced: bool) -> str:
    """Say why `reduce_zero_label` seems wrong for label files that hold these numbers; '' where it does not."""
    highest = max(values - {ignore_index}, default=-1)
    if reduced and highest == num_classes - 1 and 0 in values:
        return (f'it is True, so label 0 is ignored, but the labels go from 0 to {highest}, which are just the '
                f'{num_classes} classes: set reduce_zero_label=False')
    if not reduced and highest == num_classes:
        zero = 'and 0 seems to mean unlabelled' if 0 in values else 'and none is 0'
        return (f'it is False, but the labels go up to {highest}, one more than the {num_classes} classes (0 to '
                f'{num_classes - 1}) allow, {zero}: set reduce_zero_label=True if label 1 is the first class')
    return ''


def doubt_about_white(values: set[int], num_classes: int, ignore_index: int) -> str:
    """Say so where black and white masks have their white ignored; '' elsewhere."""
    if num_classes != 2 or values != {0, ignore_index}:
        return ''
    return (f'the masks hold only 0 and {ignore_index}, and {ignore_index} is ignored: if it means the second class, '
            'write it as 1, or use FolderDataset with mask_colors=True and the palette [[0, 0, 0], [255, 255, 255]]')


def _of_config(cfg: Mapping, splits: list[Split], summaries: list[Summary]) -> Iterator[Remark]:
    """Where model and data disagree."""
    classes = next((split.classes for split in splits if split.classes), ())
    wrong = [f'{place} is {number}' for place, number in head_classes(cfg).items() if number != len(classes)]
    if classes and wrong:
        yield Remark(PROBLEM, 'number of classes', 'config', len(wrong),
                     f'the data set has {len(classes)} classes: set num_classes={len(classes)}', wrong)
    for split in splits:
        if split.classes and split.classes != classes:
            yield Remark(PROBLEM, 'other classes', split.name, len(split.classes),
                         'every split needs the same classes in the same order', [', '.join(split.classes)])
    mean = ((cfg.get('model') or {}).get('data_preprocessor') or {}).get('mean')
    for summary in summaries:
        bands = len(summary.bands.mean)
        if bands and mean is not None and len(mean) not in (1, bands):
            yield Remark(PROBLEM, 'number of bands', summary.name, summary.images,
                         f'images have {bands} bands, but model.data_preprocessor.mean {len(mean)} numbers: give one '
                         'for each band')
    known = {summary.name: summary.bands for summary in summaries if len(summary.bands.mean)}
    if len({len(bands.mean) for bands in known.values()}) > 1:
        yield Remark(PROBLEM, 'number of bands', 'all', len(known), 'every split needs images of the same bands',
                     [f'{name}: {len(bands.mean)} bands' for name, bands in known.items()])


def _normalisation(cfg: Mapping, train: Summary | None) -> dict | None:
    """Mean and standard deviation of the training images, in the order of the network's bands, beside the config's."""
    if train is None or not len(train.bands.mean):
        return None
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    turned = (preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr')) and len(train.bands.mean) == 3
    order = slice(None, None, -1) if turned else slice(None)
    return dict(mean=np.round(train.bands.mean[order], 3).tolist(), std=np.round(train.bands.std[order], 3).tolist(),
                bgr_to_rgb=bool(turned), range=[train.bands.lowest, train.bands.highest],
                types=dict(train.bands.dtypes), configured_mean=list(preprocessor.get('mean') or ()),
                configured_std=list(preprocessor.get('std') or ()))


def _crop(cfg: Mapping, train: Summary) -> dict | None:
    """Compare the sizes of the images with the crop."""
    crop, resize = crop_and_resize(cfg)
    sizes = [(size, count) for size, count in train.sizes.items() if len(size) == 2]
    if crop is None or len(crop) != 2 or not sizes:
        return None
    found = dict(crop=list(crop), smaller_images=sum(count for (height, width), count in sizes
                                                     if height < crop[0] or width < crop[1]))
    zooms = _zooms(resize)
    if zooms:
        worst = max((_padded(_resized(size, *zooms, zooms[1][0]), crop), size) for size, _ in sizes)
        least = max((_padded(_resized(size, *zooms, zooms[1][1]), crop), size) for size, _ in sizes)
        found.update(resize=resize['type'], most_padding=round(worst[0], 4), of_size=list(worst[1]),
                     padding_at_largest=round(least[0], 4))
    return found


def _zooms(resize: dict | None) -> tuple[tuple[int, int], tuple[float, float]] | None:
    """Return scale (width, height) and range of factors of a resize that keeps the ratio of the sides."""
    if not resize or resize['type'] not in ('Resize', 'RandomResize') or not resize.get('keep_ratio'):
        return None
    scale = resize.get('scale')
    if not isinstance(scale, (list, tuple)) or not all(isinstance(side, int) for side in scale):
        return None
    return tuple(scale), tuple(resize.get('ratio_range') or (1, 1))


def _resized(size: tuple[int, ...], scale: tuple[int, int], _range: tuple, ratio: float) -> tuple[float, float]:
    factor = ratio * min(max(scale) / max(size), min(scale) / min(size))
    return size[0] * factor, size[1] * factor


def _padded(size: tuple[float, float], crop: tuple[int, int]) -> float:
    """The share of the crop that an image of this size leaves empty."""
    return 1 - min(size[0] / crop[0], 1) * min(size[1] / crop[1], 1)

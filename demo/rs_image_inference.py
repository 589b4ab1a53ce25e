"""Label a raster that is larger than memory: see `python demo/rs_image_inference.py --help`."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
EXAMPLE = 'python demo/rs_image_inference.py scene.tif CONFIG CHECKPOINT --window-size 512 512 --stride 384 384'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Label a raster that is larger than memory, window by window.',
                                     epilog=f'example: {EXAMPLE}')
    parser.add_argument('image', metavar='RASTER', help='the raster')
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the name of a published config')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--output-path', metavar='FILE', help='where the labels go (NAME_label.tif beside the raster)')
    parser.add_argument('--batch-size', type=int, default=1, help='windows that go through together (1)')
    parser.add_argument('--window-size', type=int, nargs=2, default=(224, 224), metavar='SIDE',
                        help='width and height of the windows (224 224)')
    parser.add_argument('--stride', type=int, nargs=2, default=(0, 0), metavar='SIDE',
                        help='columns and rows from one window to the next; 0 is the size of the window')
    parser.add_argument('--thread', type=int, default=1, help='threads that read ahead (1)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    from mmseg.apis import RSImage, RSInferencer
    from mmseg.apis.inference import choose_device
    image = RSImage(args.image)
    inferencer = RSInferencer.from_config_path(args.config, args.checkpoint, args.batch_size, args.thread,
                                               choose_device(args.device))
    inferencer.run(image, tuple(args.window_size), tuple(args.stride), args.output_path)
    print(f'the labels are in {image.label_path(args.output_path)}')


if __name__ == '__main__':
    from mmseg.cli import guard
    sys.exit(guard(run, parse_args(), name='rs_image_inference'))

"""Label one picture and show or save it: see `python demo/image_demo.py --help`."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
EXAMPLE = 'python demo/image_demo.py demo/demo.png CONFIG CHECKPOINT --out-file result.png'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Label one picture and show or save it.', epilog=f'example: {EXAMPLE}')
    parser.add_argument('img', metavar='IMG', help='the picture')
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the name of a published config')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--out-file', metavar='FILE', help='write the result here instead of showing it')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--palette', metavar='DATASET', help='names and colours of this data set, e.g. cityscapes')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how much labels cover the picture')
    parser.add_argument('--with-labels', action='store_true', help='write the names of the classes')
    parser.add_argument('--title', default='result', help='of the window')
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    from mmseg.apis import inference_model, init_model, show_result_pyplot
    from mmseg.apis.class_info import info_of_dataset
    from mmseg.apis.inference import choose_device
    model = init_model(args.config, args.checkpoint, device=choose_device(args.device))
    if args.palette:
        model.dataset_meta = info_of_dataset(args.palette, model.num_classes)
    show_result_pyplot(model, args.img, inference_model(model, args.img), args.opacity, args.title, draw_gt=False,
                       show=args.out_file is None, with_labels=args.with_labels, out_file=args.out_file)
    if args.out_file:
        print(f'the picture is in {args.out_file}')


if __name__ == '__main__':
    from mmseg.cli import guard
    sys.exit(guard(run, parse_args(), name='image_demo'))

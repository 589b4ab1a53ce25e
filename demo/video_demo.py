"""Label the frames of a video or of a camera: see `python demo/video_demo.py --help`."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
EXAMPLE = 'python demo/video_demo.py drive.mp4 CONFIG CHECKPOINT --output-file labelled.mp4'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Label the frames of a video or of a camera.',
                                     epilog=f'example: {EXAMPLE}')
    parser.add_argument('video', metavar='VIDEO', help='the video, or the number of a camera')
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the name of a published config')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='trained weights')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--palette', metavar='DATASET', help='names and colours of this data set, e.g. cityscapes')
    parser.add_argument('--show', action='store_true', help='show the frames in a window')
    parser.add_argument('--show-wait-time', type=float, default=1, metavar='SECONDS', help='time for each (1)')
    parser.add_argument('--output-file', metavar='FILE', help='write a video')
    parser.add_argument('--output-fourcc', metavar='CODE', help='codec of OpenCV, e.g. mp4v (chosen by the file)')
    parser.add_argument('--output-fps', type=float, default=-1, help='frames in a second (as the video)')
    parser.add_argument('--output-height', type=int, default=-1, metavar='PIXELS', help='height (as the video)')
    parser.add_argument('--output-width', type=int, default=-1, metavar='PIXELS', help='width (as the video)')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how much labels cover a frame (0.5)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    from mmseg.apis import MMSegInferencer
    from mmseg.apis.video import VideoSink, VideoSource
    from mmseg.utils.errors import InputError
    if not (args.show or args.output_file):
        raise InputError('nothing would come of it: give --output-file or --show')
    video = VideoSource(args.video)
    inferencer = MMSegInferencer(args.config, args.checkpoint, dataset_name=args.palette, device=args.device,
                                 amp=args.amp)
    size = tuple(side if side > 0 else own for side, own in (
        (args.output_width, video.width), (args.output_height, video.height)))
    sink = VideoSink(args.output_file, args.output_fps if args.output_fps > 0 else video.fps, args.output_fourcc, size)
    for result in inferencer.stream(video, return_vis=True, show=args.show, wait_time=args.show_wait_time,
                                    opacity=args.opacity, with_labels=False):
        if args.output_file:
            sink.write(result['visualization'])
    sink.close()
    if args.output_file:
        print(f'{sink.frames} frames are in {args.output_file}')


if __name__ == '__main__':
    from mmseg.cli import guard
    sys.exit(guard(run, parse_args(), name='video_demo'))

"""Build the distribution `mmsegmentation`, which is imported as `mmseg`."""
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Beside the code, an installed package carries these in `mmseg/.mim`, where mmengine looks for `mmseg::fcn/…`.
CARRIED = ('configs', 'tools', 'demo')
EXTRAS = ('demo', 'optional', 'serve', 'tests', 'docs')


def requirements(name: str) -> list[str]:
    """Read `requirements/NAME.txt`, with the files that it includes."""
    found = []
    for line in (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines():
        line = line.partition('#')[0].strip()
        found += requirements(line[3:].removesuffix('.txt')) if line.startswith('-r ') else [line] if line else []
    return found


def version() -> str:
    return re.search(r"^__version__ = '(.+)'", (ROOT / 'mmseg' / 'version.py').read_text(encoding='utf-8'), re.M)[1]


def model_index() -> str:
    """Name the table of models, as mmengine's look-up of weights reads it."""
    return 'Import:\n- configs/models.json\n'


class BuildWithConfigs(build_py):
    """Add configs and tools: as copies in a wheel, as links in a checkout that is installed to be edited."""

    def run(self) -> None:
        super().run()
        package = ROOT / 'mmseg' if self.editable_mode else Path(self.build_lib, 'mmseg')
        target = package / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in CARRIED:
            if self.editable_mode:
                (target / name).symlink_to(Path('..', '..', name), target_is_directory=True)
            elif (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        (target / 'model-index.yml').write_text(model_index(), encoding='utf-8')


extras = {name: requirements(name) for name in EXTRAS}
extras['all'] = sorted({line for name in EXTRAS for line in extras[name]})

setup(
    name='mmsegmentation',
    version=version(),
    description='Semantic segmentation from a config: train, evaluate, predict, ship',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=['Programming Language :: Python :: 3', 'Topic :: Scientific/Engineering :: Image Recognition'],
    python_requires='>=3.10',
    packages=find_packages(include=['mmseg', 'mmseg.*']),
    package_data={'': ['*.txt.gz', '*.html']},
    install_requires=requirements('runtime'),
    extras_require=extras,
    entry_points={'console_scripts': ['mmseg = mmseg.cli:main']},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)

import pytest

from mmseg.cli import main


@pytest.fixture
def convert(monkeypatch, capsys, tmp_path):
    """Call `mmseg convert-dataset`, in this process; return its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('MMSEG_DEBUG', raising=False)

    def call(*argv, processes=1):
        capsys.readouterr()
        status = main(['convert-dataset', *map(str, argv), '--nproc', str(processes)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call

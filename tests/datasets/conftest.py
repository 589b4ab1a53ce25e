import pytest


@pytest.fixture
def touch():
    """Make empty files, and the folders they need: `touch(root, 'images/a.jpg', …)`."""
    def make(root, *names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make

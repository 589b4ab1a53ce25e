"""Runners of the tests: no look at compilers, no pretty printing of configs, and none sees the logs of another."""
import itertools

import pytest

_number = itertools.count()


@pytest.fixture(autouse=True)
def quick_runner(monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr('mmengine.config.Config.pretty_text', property(lambda config: str(config.to_dict())))


@pytest.fixture
def config_for(tmp_path):
    """Return a function that makes the toy's config for a folder below the test's own."""
    from tests.engine.toy import toy_config

    def make(name: str = 'run', **changes) -> dict:
        return toy_config(tmp_path / name, experiment_name=f'{name}{next(_number)}', **changes)

    return make

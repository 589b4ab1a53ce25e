"""Who goes with whom, and that an error, a refusal or an end reaches the right one."""
import threading
import time

import pytest
import torch

from mmseg.serving.batcher import Batcher


class Recorder:
    """A network that notes its batches, and waits at the first until it may go on."""

    def __init__(self, held=False):
        self.batches, self.open, self.started = [], threading.Event(), threading.Event()
        if not held:
            self.open.set()

    def __call__(self, items):
        self.started.set()
        assert self.open.wait(10)
        self.batches.append([item['name'] for item in items])
        if any(item.get('bad') for item in items):
            raise ValueError('bad one among ' + ' '.join(item['name'] for item in items))
        return [item['name'].upper() for item in items]


def item(name, height=8, width=8, **more):
    return dict(name=name, inputs=torch.zeros(3, height, width), **more)


def all_of(batcher, network, items, read=lambda sample: sample):
    """Futures of items that all wait when the network becomes free."""
    first = batcher.submit(item('first'), read)
    assert network.started.wait(10)
    futures = [batcher.submit(each, read) for each in items]
    network.open.set()
    assert first.result(10) == 'FIRST'
    return futures


def test_images_of_one_size_that_wait_go_together_the_longest_waiting_first():
    network = Recorder(held=True)
    batcher = Batcher(network, max_batch=3)
    futures = all_of(batcher, network, [item('a'), item('b', 16), item('c'), item('d'), item('e', 16), item('f')])
    assert [future.result(10) for future in futures] == list('ABCDEF')
    batcher.close()
    assert network.batches == [['first'], ['a', 'c', 'd'], ['b', 'e'], ['f']]


def test_large_images_go_alone():
    network = Recorder(held=True)
    batcher = Batcher(network, max_batch=8, max_pixels=128)
    [future.result(10) for future in all_of(batcher, network, [item(name) for name in 'abc'] + [item('d', 99, 99)])]
    assert network.batches == [['first'], ['a', 'b'], ['c'], ['d']]
    batcher.close()


def test_an_idle_server_waits_for_company_only_so_long():
    sizes = []
    batcher = Batcher(Recorder(), max_wait=0.4, observe=sizes.append)
    start = time.monotonic()
    futures = [batcher.submit(item('a'), str)]
    time.sleep(0.05)
    futures.append(batcher.submit(item('b'), str))
    assert [future.result(10) for future in futures] == ['A', 'B'] and sizes == [2]
    assert time.monotonic() - start > 0.35
    batcher.close()


def test_a_full_batch_waits_for_nobody():
    batcher = Batcher(Recorder(), max_batch=1, max_wait=60)
    assert batcher.submit(item('a'), str).result(10) == 'A'
    batcher.close()


def test_an_error_reaches_only_the_image_that_causes_it():
    network = Recorder(held=True)
    batcher = Batcher(network)
    good, bad, other = all_of(batcher, network, [item('a'), item('b', bad=True), item('c')])
    assert good.result(10) == 'A' and other.result(10) == 'C'
    with pytest.raises(ValueError, match='^bad one among b$'):
        bad.result(10)
    assert batcher.alive
    batcher.close()


def test_an_error_in_reading_a_result_leaves_the_thread_alive():
    batcher = Batcher(Recorder())
    with pytest.raises(ZeroDivisionError):
        batcher.submit(item('a'), lambda sample: 1 / 0).result(10)
    assert batcher.submit(item('b'), str).result(10) == 'B'
    batcher.close()


def test_cancelled_images_are_passed_over():
    network = Recorder(held=True)
    batcher = Batcher(network)
    first = batcher.submit(item('first'), str)
    assert network.started.wait(10)
    gone, kept = batcher.submit(item('gone'), str), batcher.submit(item('kept'), str)
    assert gone.cancel() and len(batcher) == 2
    network.open.set()
    assert first.result(10) == 'FIRST' and kept.result(10) == 'KEPT'
    assert network.batches == [['first'], ['kept']]
    batcher.close()


def test_closing_finishes_what_waits():
    network = Recorder()
    batcher = Batcher(network, max_wait=60)
    future = batcher.submit(item('a'), str)
    batcher.close()
    assert future.result(0) == 'A' and not batcher.alive
    with pytest.raises(RuntimeError, match='the thread of the network has ended'):
        batcher.submit(item('b'), str)

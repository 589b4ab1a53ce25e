from mmseg.serving.metrics import Metrics, resident_bytes


def test_the_text_is_that_of_prometheus():
    metrics = Metrics({'depth': ('how deep', lambda: 3)})
    metrics.count('mmseg_requests_total', 'status="200"')
    metrics.count('mmseg_requests_total', 'status="200"')
    metrics.count('mmseg_images_total', amount=5)
    for size in (1, 2, 99):
        metrics.observe('mmseg_batch_images', size)
    lines = metrics.text().splitlines()
    assert 'mmseg_requests_total{status="200"} 2' in lines and 'mmseg_images_total 5' in lines
    assert '# TYPE mmseg_batch_images histogram' in lines
    assert [line.partition('} ')[2] for line in lines if line.startswith('mmseg_batch_images_bucket')] == [
        '1', '2', '2', '2', '2', '2', '3']
    assert 'mmseg_batch_images_sum 102' in lines and 'mmseg_batch_images_count 3' in lines
    assert lines[-2:] == ['# TYPE depth gauge', 'depth 3']


def test_the_memory_of_the_process_is_plausible():
    assert 50e6 < resident_bytes() < 64e9

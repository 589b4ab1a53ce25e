"""What every test starts from: the same random numbers, and one thread, so that parallel test processes do not wait."""
import os
import random

os.environ.setdefault('OMP_NUM_THREADS', '1')

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_random_numbers():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (the transforms draw from it, as those of 1.x do)
    torch.manual_seed(0)

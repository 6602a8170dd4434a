"""Heap corruption in the weight gradient of a strided 1x1 convolution (PyTorch 2.13, CPU).

Needs a processor with AVX-512. Run it as it is: it dies within the first iterations ("double free
or corruption", "free(): invalid size" or a segmentation fault). Each of these makes it finish:

    ONEDNN_MAX_CPU_ISA=AVX2 python onednn-strided-1x1.py
    OMP_NUM_THREADS=1 python onednn-strided-1x1.py

ONEDNN_VERBOSE=1 names the primitive: convolution, jit_1x1:avx512_core, backward_weights,
mb11_ic8oc16_ih16oh8kh1sh2.
"""

import os

import torch

if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(2)

print("PyTorch", torch.__version__, "threads", torch.get_num_threads(), flush=True)
print(torch.__config__.show(), torch.backends.cpu.get_cpu_capability(), flush=True)

x = torch.randn(11, 8, 16, 16).contiguous(memory_format=torch.channels_last)
weight = torch.randn(16, 8, 1, 1, requires_grad=True)

for step in range(1000):
    y = torch.nn.functional.conv2d(x, weight, stride=2)
    y.square().sum().backward()
    weight.grad = None
print("finished", step + 1, "steps")

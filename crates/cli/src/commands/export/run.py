import math
import struct
import sys

import numpy

runtime, file = sys.argv[1:]
if runtime == "openvino":
    import openvino

    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(file, "CPU", precise)
    shape = tuple(network.input(0).shape)

    def run(values):
        return network(values)[0]

else:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    shape = wanted.shape

    def run(values):
        return session.run(None, {wanted.name: values})[0]


while image := sys.stdin.buffer.read(4 * math.prod(shape)):
    output = run(numpy.frombuffer(image, "<f4").reshape(shape)).astype("<f4")
    sys.stdout.buffer.write(struct.pack("<Q", output.size) + output.tobytes())

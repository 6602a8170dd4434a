"""The four detectors in PyTorch, ONNX Runtime and OpenVINO, for `cargo xtask bench detectors`.

Reads networks that segad fitted (safetensors and JSON), checks that they give segad's maps, and then times one pass for
each line of standard input: `ENGINE MODEL` with engine torch, torch-nhwc, onnxruntime or openvino, or `train MODEL`.
Answers with seconds and seconds of processor time. Written for torch 2.13, onnx 1.2x, onnxruntime 1.31, openvino 2026.4.

usage: detectors.py FOLDER THREADS
"""

import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

SIZE = 256


def read(path):
    """A safetensors file of f32 tensors."""
    with open(path, "rb") as f:
        data = f.read()
    n = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + n])
    head.pop("__metadata__", None)
    tensors = {}
    for name, t in head.items():
        a, b = t["data_offsets"]
        assert t["dtype"] == "F32", (name, t["dtype"])
        values = np.frombuffer(data[8 + n + a : 8 + n + b], np.float32).reshape(t["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


class Net(torch.nn.Module):
    """Parameters by their published names."""

    def __init__(self, tensors):
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "__"), value)

    def __call__(self, *args):
        return super().__call__(*args)

    def get(self, name):
        return getattr(self, name.replace(".", "__"))

    def has(self, name):
        return hasattr(self, name.replace(".", "__"))

    def conv(self, x, name, stride=1, padding=0):
        bias = self.get(name + ".bias") if self.has(name + ".bias") else None
        return F.conv2d(x, self.get(name + ".weight"), bias, stride, padding)

    def norm(self, x, name):
        mean, var = self.get(name + ".running_mean"), self.get(name + ".running_var")
        weight, bias = self.get(name + ".weight"), self.get(name + ".bias")
        return F.batch_norm(x, mean, var, weight, bias, self.training, 0.1, 1e-5)

    def bottleneck(self, x, name, stride=1):
        y = F.relu(self.norm(self.conv(x, name + ".conv1"), name + ".bn1"))
        if self.has(name + ".upsample.0.weight"):
            y = F.conv_transpose2d(y, self.get(name + ".conv2.weight"), None, 2)
            x = F.conv_transpose2d(x, self.get(name + ".upsample.0.weight"), None, 2)
            x = self.norm(x, name + ".upsample.1")
        else:
            y = self.conv(y, name + ".conv2", stride, 1)
        y = F.relu(self.norm(y, name + ".bn2"))
        y = self.norm(self.conv(y, name + ".conv3"), name + ".bn3")
        if self.has(name + ".downsample.0.weight"):
            x = self.norm(self.conv(x, name + ".downsample.0", stride), name + ".downsample.1")
        return F.relu(x + y)


class Backbone(Net):
    """WideResNet-50-2 up to layer3."""

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x, "conv1", 2, 3), "bn1"))
        x = F.max_pool2d(x, 3, 2, 1)
        out = []
        for layer, blocks in ((1, 3), (2, 4), (3, 6)):
            for block in range(blocks):
                x = self.bottleneck(x, f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1)
            out.append(x)
        return out


def gaussian(x):
    """sigma 4, 33 taps, mirrored without the edge."""
    taps = torch.exp(-(torch.arange(-16, 17, dtype=torch.float32) ** 2) / 32)
    taps = taps / taps.sum()
    x = F.pad(x, (16, 16, 16, 16), mode="reflect")
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 33, 1)), taps.view(1, 1, 1, 33))


class PatchCore(torch.nn.Module):
    def __init__(self, backbone, tensors, _):
        super().__init__()
        self.backbone = Backbone(backbone).eval()
        self.register_buffer("bank", tensors["memory_bank"])
        self.register_buffer("square", tensors["memory_bank"].square().sum(1))
        self.register_buffer("bank_t", tensors["memory_bank"].t().contiguous())

    def forward(self, x):
        _, a, b = self.backbone(x)
        a, b = F.avg_pool2d(a, 3, 1, 1), F.avg_pool2d(b, 3, 1, 1)
        b = F.interpolate(b, size=a.shape[2:], mode="bilinear", align_corners=False)
        q = torch.cat([a, b], 1).permute(0, 2, 3, 1).reshape(-1, 1536)
        d = q.square().sum(1, keepdim=True) - 2 * (q @ self.bank_t) + self.square
        d = d.min(1).values.clamp_min(0).sqrt().view(x.shape[0], 1, 32, 32)
        return gaussian(F.interpolate(d, size=(SIZE, SIZE), mode="nearest"))


class Flows(Net):
    def forward(self, features):
        out = []
        for s, x in enumerate(features):
            x = F.layer_norm(x, x.shape[1:], self.get(f"norms.{s}.weight"), self.get(f"norms.{s}.bias"))
            logs = []
            half = x.shape[1] // 2
            for i in range(8):
                name = f"fast_flow_blocks.{s}.module_list.{i}"
                k = 0 if i % 2 else 1
                a, b = x[:, :half], x[:, half:]
                h = F.relu(self.conv(a, name + ".subnet.0", 1, k))
                h = 0.1 * self.conv(h, name + ".subnet.2", 1, k)
                scale = 2 * torch.tanh(h[:, :half])
                y = torch.cat([a, b * torch.exp(scale) + h[:, half:]], 1)
                gain = 0.2 * torch.log1p(torch.exp(0.5 * self.get(name + ".global_scale")))
                x = (y * gain + self.get(name + ".global_offset"))[:, self.get(name + ".order").long()]
                places = x.shape[2] * x.shape[3]
                logs.append(scale.sum((1, 2, 3)) + places * torch.log(gain).sum())
            out.append((x, sum(logs)))
        return out


class FastFlow(torch.nn.Module):
    def __init__(self, backbone, tensors, _):
        super().__init__()
        self.backbone = Backbone(backbone).eval()
        self.flows = Flows(tensors)

    def forward(self, x):
        maps = []
        for z, _ in self.flows(self.backbone(x)):
            p = -torch.exp(-0.5 * z.square().mean(1, keepdim=True))
            maps.append(F.interpolate(p, size=(SIZE, SIZE), mode="bilinear", align_corners=False))
        return (maps[0] + maps[1] + maps[2]) / 3

    def trained(self):
        return self.flows

    def loss(self, features):
        return sum((0.5 * z.square().sum((1, 2, 3)) - log).mean() for z, log in self.flows(features))


class Student(Net):
    def forward(self, f1, f2, f3):
        def step(x, n):
            name = "bottleneck."
            return F.relu(self.norm(self.conv(x, f"{name}conv{n}", 2, 1), f"{name}bn{n}"))

        x = torch.cat([step(step(f1, 1), 2), step(f2, 3), f3], 1)
        for block in range(3):
            x = self.bottleneck(x, f"bottleneck.bn_layer.{block}", 2 if block == 0 else 1)
        out = []
        for layer, blocks in ((1, 3), (2, 4), (3, 6)):
            for block in range(blocks):
                x = self.bottleneck(x, f"decoder.layer{layer}.{block}")
            out.append(x)
        return out[::-1]


class Rd4ad(torch.nn.Module):
    def __init__(self, backbone, tensors, _):
        super().__init__()
        self.backbone = Backbone(backbone).eval()
        self.student = Student(tensors).eval()

    def forward(self, x):
        features = self.backbone(x)
        total = 0
        for f, d in zip(features, self.student(*features)):
            m = 1 - F.cosine_similarity(f, d, dim=1).unsqueeze(1)
            total = total + F.interpolate(m, size=(SIZE, SIZE), mode="bilinear", align_corners=True)
        return gaussian(total)

    def trained(self):
        return self.student

    def loss(self, features):
        self.student.train()
        pairs = zip(features, self.student(*features))
        return sum((1 - F.cosine_similarity(f.flatten(1), d.flatten(1))).mean() for f, d in pairs)


class Pdn(Net):
    def __init__(self, tensors, name):
        own = {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(name + ".")}
        super().__init__(own)
        self.medium = "12.weight" in own

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.conv(x, "0", 1, 3)), 2, 2, 1)
        x = F.avg_pool2d(F.relu(self.conv(x, "3", 1, 3)), 2, 2, 1)
        if self.medium:
            x = F.relu(self.conv(F.relu(self.conv(x, "6")), "8", 1, 1))
            return self.conv(F.relu(self.conv(x, "10")), "12")
        return self.conv(F.relu(self.conv(x, "6", 1, 1)), "8")


class Autoencoder(Net):
    def __init__(self, tensors):
        name = "autoencoder."
        super().__init__({k[len(name) :]: v for k, v in tensors.items() if k.startswith(name)})

    def forward(self, x):
        for i in (0, 2, 4, 6, 8):
            x = F.relu(self.conv(x, str(i), 2, 1))
        x = self.conv(x, "10")
        for i, side in zip((12, 16, 20, 24, 28, 32), (3, 8, 15, 32, 63, 127)):
            x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
            x = F.relu(self.conv(x, str(i), 1, 2))
            x = F.dropout(x, 0.2, self.training)
        x = F.interpolate(x, size=(64, 64), mode="bilinear", align_corners=False)
        return self.conv(F.relu(self.conv(x, "36", 1, 1)), "38", 1, 1)


class EfficientAd(torch.nn.Module):
    def __init__(self, _, tensors, header):
        super().__init__()
        self.teacher, self.student = Pdn(tensors, "teacher"), Pdn(tensors, "student")
        self.autoencoder = Autoencoder(tensors).eval()
        self.register_buffer("mean", tensors["teacher_mean"])
        self.register_buffer("deviation", tensors["teacher_deviation"])
        self.scales = header["scales"]

    def forward(self, x):
        t = (self.teacher(x) - self.mean) / self.deviation
        s, a = self.student(x), self.autoencoder(x)
        total = 0
        for d, name in (((t - s[:, :384]), "student"), ((a - s[:, 384:]), "autoencoder")):
            scale = self.scales[name]
            m = d.square().mean(1, keepdim=True)
            total = total + 0.5 * 0.1 * (m - scale["low"]) / (scale["high"] - scale["low"])
        return F.interpolate(total, size=(SIZE, SIZE), mode="bilinear", align_corners=False)

    def trained(self):
        return torch.nn.ModuleList([self.student, self.autoencoder])

    def loss(self, sample):
        x, t = sample
        self.autoencoder.train()
        s, a = self.student(x), self.autoencoder(x)
        d = (t - s[:, :384]).square()
        hard = d[d >= torch.quantile(d.detach(), 0.999)].mean()
        return hard + (t - a).square().mean() + (a - s[:, 384:]).square().mean()


MODELS = {
    "patchcore": PatchCore,
    "fastflow": FastFlow,
    "rd4ad": Rd4ad,
    "efficientad-s": EfficientAd,
    "efficientad-m": EfficientAd,
}


class Bench:
    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads
        self.backbone = read(os.path.join(folder, "backbone.safetensors"))
        self.networks, self.sessions, self.trainings = {}, {}, {}

    def at(self, name):
        return os.path.join(self.folder, name)

    def network(self, model):
        if model not in self.networks:
            with open(self.at(model + ".json")) as f:
                header = json.load(f)["parameters"]
            # As a whole: exporting puts every part back into the mode of the whole.
            network = MODELS[model](self.backbone, read(self.at(model + ".safetensors")), header).eval()
            inputs = read(self.at(model + ".input.safetensors"))
            self.networks[model] = (network, inputs["images"], inputs["maps"])
        return self.networks[model]

    def session(self, engine, model):
        """A function that does one pass."""
        if (engine, model) in self.sessions:
            return self.sessions[engine, model]
        network, x, maps = self.network(model)
        if engine.startswith("torch"):
            if engine == "torch-nhwc":
                import copy

                network = copy.deepcopy(network).to(memory_format=torch.channels_last)
                x = x.contiguous(memory_format=torch.channels_last)

            def run():
                with torch.inference_mode():
                    return network(x)

        else:
            path = self.at(model + ".onnx")
            if not os.path.exists(path):
                with torch.inference_mode():
                    torch.onnx.export(network, (x,), path, dynamo=False, opset_version=17)
            if engine == "onnxruntime":
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self.threads
                options.inter_op_num_threads = 1
                session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                name = session.get_inputs()[0].name

                def run():
                    return torch.from_numpy(session.run(None, {name: x.numpy()})[0])

            else:
                import openvino

                settings = {
                    "INFERENCE_NUM_THREADS": self.threads,
                    "INFERENCE_PRECISION_HINT": "f32",
                    "PERFORMANCE_HINT": "LATENCY",
                }
                compiled = openvino.Core().compile_model(path, "CPU", settings)

                def run():
                    return torch.from_numpy(np.array(compiled([x.numpy()])[0]))

        found = run().flatten()
        apart = float((found - maps.flatten()).abs().max() / maps.abs().max())
        if not apart < 1e-3:
            raise ValueError(f"{engine} gives other maps of {model}: {apart:.1e} of the largest value apart")
        print(f"{engine} {model}: maps differ by {apart:.1e} of the largest value", file=sys.stderr)
        self.sessions[engine, model] = run
        return run

    def training(self, model):
        """A function that does one training step, from cached outputs of the frozen network."""
        if model in self.trainings:
            return self.trainings[model]
        network, x, _ = self.network(model)
        with torch.inference_mode():
            if model.startswith("efficientad"):
                x = x[:1]
                sample = (x.clone(), ((network.teacher(x) - network.mean) / network.deviation).clone())
            else:
                sample = [f.clone() for f in network.backbone(x)]
        import copy

        network = copy.deepcopy(network)
        sample = [s.clone() for s in sample]
        parameters = []
        for module in network.trained().modules():
            for name, value in list(module.named_buffers(recurse=False)):
                if "running" in name or name.endswith("order"):
                    continue
                del module._buffers[name]
                parameter = torch.nn.Parameter(value.clone())
                module.register_parameter(name, parameter)
                parameters.append(parameter)
        optimiser = torch.optim.Adam(parameters, lr=1e-4)

        def run():
            optimiser.zero_grad()
            network.loss(sample).backward()
            optimiser.step()

        run()
        self.trainings[model] = run
        return run


def main():
    folder, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    bench = Bench(folder, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        engine, model = line.split()
        try:
            run = bench.training(model) if engine == "train" else bench.session(engine, model)
            start, used = time.perf_counter(), time.process_time()
            run()
            print(time.perf_counter() - start, time.process_time() - used, flush=True)
        except Exception as e:  # One engine that cannot run a model must not end the others.
            print("failed: " + " ".join(str(e).split())[:300], flush=True)


if __name__ == "__main__":
    main()

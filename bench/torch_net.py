"""The network of a Darknet .cfg as a PyTorch module, and its .weights. What cannot be the same ends the program."""
import struct

import torch
from torch import nn

KEYS = {  # what each section may say; None: anything, because nothing else in it changes what is computed here
    "net": None, "sat": None, "reject": None, "cost": None,
    "convolutional": {"batch_normalize", "filters", "size", "stride", "pad", "padding", "groups", "activation"},
    "connected": {"batch_normalize", "output", "activation"}, "maxpool": {"size", "stride", "padding"},
    "avgpool": set(), "dropout": {"probability"}, "shortcut": {"from", "activation"}, "route": {"layers"},
    "activation": {"activation"}, "softmax": {"groups"},
}
COSTS = ("softmax", "sat", "reject", "cost")
ACTIVATIONS = {  # in place or not -> module
    "linear": lambda _: None, "relu": nn.ReLU, "leaky": lambda inplace: nn.LeakyReLU(0.1, inplace),
    "elu": lambda inplace: nn.ELU(1, inplace), "logistic": lambda _: nn.Sigmoid(), "tanh": lambda _: nn.Tanh(),
}


class Section:
    def __init__(self, name, where):
        self.name, self.where, self.options = name, where, {}

    def error(self, text):
        return SystemExit(f"error: {self.where}: [{self.name}]: {text}")

    def add(self, key, value):
        if KEYS[self.name] is not None and key not in KEYS[self.name]:
            raise self.error(f"key '{key}' is not known here")
        self.options[key] = value

    def number(self, key, default, kind=int):
        try:
            return kind(self.options.get(key, default))
        except ValueError:
            raise self.error(f"{key}={self.options[key]} is not a number") from None

    def activation(self, default, inplace):
        """A module, or None for linear."""
        name = self.options.get("activation", default)
        if name not in ACTIVATIONS:
            raise self.error(f"activation={name} is none of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[name](inplace)

    def references(self, key, index):
        """Numbers of the layers that a key of layer `index` names; negative ones count back from it."""
        try:
            numbers = [int(n) for n in self.options[key].split(",")]
        except (KeyError, ValueError):
            raise self.error(f"expected {key}= and numbers of layers") from None
        numbers = [n + index if n < 0 else n for n in numbers]
        if not all(0 <= n < index for n in numbers):
            raise self.error(f"{key}={self.options[key]} is not the number of an earlier layer")
        return numbers


def read_cfg(path):
    """The sections of the file, [net] first."""
    sections = []
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            line = "".join(line.split())
            if not line or line[0] in "#;":
                continue
            name, (key, equals, value) = line[1:-1], line.partition("=")
            if line[0] == "[":
                if name not in KEYS:
                    raise SystemExit(f"error: {path}:{number}: {line} is none of {', '.join(KEYS)}")
                sections.append(Section(name, f"{path}:{number}"))
            elif not sections or not equals:
                raise SystemExit(f"error: {path}:{number}: expected [section] or key=value, got '{line}'")
            else:
                sections[-1].add(key, value)
    if len(sections) < 2 or sections[0].name != "net":
        raise SystemExit(f"error: {path}: expected [net] and a layer")
    return sections


class Weighted(nn.Module):
    """Convolution or matrix, batch normalisation, activation; in place, as no gradient reads what that overwrites."""

    def __init__(self, linear, norm, act):
        super().__init__()
        self.linear, self.norm, self.act = linear, norm, act

    def forward(self, x):
        x = self.linear(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)

    def fuse(self):
        fusion = nn.utils.fusion
        fuse = fusion.fuse_conv_bn_eval if isinstance(self.linear, nn.Conv2d) else fusion.fuse_linear_bn_eval
        if self.norm is not None:
            self.linear, self.norm = fuse(self.linear, self.norm), None


class Shortcut(nn.Module):
    """Adds `other` to x as Darknet's shortcut_cpu does: common channels, every stride-th point of a larger map."""

    def __init__(self, shape, other, act, owned):
        super().__init__()
        self.act, self.owned, self.equal = act, owned, shape == other
        self.channels, self.height, self.width = (min(a, b) for a, b in zip(shape, other))
        self.stride, self.sample = max(1, other[2] // shape[2]), max(1, shape[2] // other[2])

    def forward(self, x, other):
        if self.equal:
            x = x.add_(other) if self.owned else x + other
        else:
            x = x if self.owned else x.clone()
            here = x[:, :self.channels, ::self.sample, ::self.sample][:, :, :self.height, :self.width]
            here += other[:, :self.channels, ::self.stride, ::self.stride][:, :, :self.height, :self.width]
        return x if self.act is None else self.act(x)


def image_shape(s, shape):
    if len(shape) != 3:
        raise s.error("expects an image, gets the values of a [connected]")
    return shape


# Each takes a section and the shape of its input, (channels, height, width) or (values,) after [connected], and gives a
# module and the shape of its output.


def make_convolutional(s, shape):
    c, h, w = image_shape(s, shape)
    filters, size, stride, groups = (s.number(key, 1) for key in ("filters", "size", "stride", "groups"))
    pad = size // 2 if s.number("pad", 0) else s.number("padding", 0)
    norm = nn.BatchNorm2d(filters) if s.number("batch_normalize", 0) else None
    conv = nn.Conv2d(c, filters, size, stride, pad, groups=groups, bias=norm is None)
    shape = (filters, (h + 2 * pad - size) // stride + 1, (w + 2 * pad - size) // stride + 1)
    return Weighted(conv, norm, s.activation("logistic", True)), shape


def make_connected(s, shape):
    outputs = s.number("output", 1)
    norm = nn.BatchNorm1d(outputs) if s.number("batch_normalize", 0) else None
    linear = nn.Linear(torch.Size(shape).numel(), outputs, bias=norm is None)
    return nn.Sequential(nn.Flatten(), Weighted(linear, norm, s.activation("logistic", True))), (outputs,)


def make_maxpool(s, shape):
    """Darknet pads padding/2 before and what the last window needs behind: PyTorch's own where that is the same."""
    c, h, w = image_shape(s, shape)
    stride = s.number("stride", 1)
    size = s.number("size", stride)
    pad = s.number("padding", size - 1)
    before, out = pad // 2, tuple((n + pad - size) // stride + 1 for n in (h, w))
    for ceil in (False, True) if before <= size // 2 else ():
        pool = nn.MaxPool2d(size, stride, before, ceil_mode=ceil)
        if pool(torch.zeros(1, 1, h, w)).shape[2:] == out:
            return pool, (c, *out)
    down, right = (max(0, (o - 1) * stride + size - n - before) for o, n in zip(out, (h, w)))
    padding = nn.ConstantPad2d((before, right, before, down), float("-inf"))
    return nn.Sequential(padding, nn.MaxPool2d(size, stride)), (c, *out)


def make_avgpool(s, shape):
    return nn.AdaptiveAvgPool2d(1), (image_shape(s, shape)[0], 1, 1)


def make_dropout(s, shape):
    return nn.Dropout(s.number("probability", 0.5, float)), shape


def make_activation(s, shape):
    return s.activation("linear", False) or nn.Identity(), shape


def make_cost(s, shape):
    if s.number("groups", 1) != 1:
        raise s.error("groups other than 1 are not known here")
    return nn.Identity(), shape


MAKERS = {"convolutional": make_convolutional, "connected": make_connected, "maxpool": make_maxpool,
          "avgpool": make_avgpool, "dropout": make_dropout, "activation": make_activation}


def make_shortcut(s, shape, other, owned):
    shape, other = image_shape(s, shape), image_shape(s, other)
    if other[1] // shape[1] != other[2] // shape[2] or shape[1] // other[1] != shape[2] // other[2]:
        raise s.error(f"cannot add {other} to {shape}")
    return Shortcut(shape, other, s.activation("linear", True), owned), shape


def route_shape(s, shapes):
    if len({shape[1:] for shape in shapes}) != 1:
        raise s.error(f"cannot join {shapes}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


class Network(nn.Module):
    """forward: images (batch, channels, height, width) to logits (batch, classes)."""

    def __init__(self, sections, height, width):
        super().__init__()
        shapes, shape = [], (sections[0].number("channels", 0), height, width)
        keys = {"shortcut": "from", "route": "layers"}
        named = [s.references(keys[s.name], i) if s.name in keys else [] for i, s in enumerate(sections[1:])]
        self.named, self.kept = named, {n for numbers in named for n in numbers}
        self.names, self.layers = [s.name for s in sections[1:]], nn.ModuleList()
        for i, s in enumerate(sections[1:]):
            if s.name not in COSTS and i and self.names[i - 1] in COSTS:
                raise s.error("layers after the cost are not known here")
            if s.name == "route":
                module, shape = nn.Identity(), route_shape(s, [shapes[n] for n in named[i]])
            elif s.name == "shortcut":
                before = self.layers[-1]
                # A linear layer's output that nobody else reads may be added to in place: no gradient needs it.
                owned = isinstance(before, (Weighted, Shortcut)) and before.act is None and i - 1 not in self.kept
                module, shape = make_shortcut(s, shape, shapes[named[i][0]], owned)
            else:
                module, shape = MAKERS.get(s.name, make_cost)(s, shape)
            if min(shape) < 1:
                raise s.error(f"has no output: {shape}")
            self.layers.append(module)
            shapes.append(shape)
        self.classes = torch.Size(shape).numel()

    def forward(self, x):
        kept = {}
        for i, (module, name, named) in enumerate(zip(self.layers, self.names, self.named)):
            if name == "route":
                x = torch.cat([kept[n] for n in named], 1) if len(named) > 1 else kept[named[0]]
            elif name == "shortcut":
                x = module(x, kept[named[0]])
            else:
                x = module(x)
            if i in self.kept:
                kept[i] = x
        return x.flatten(1)

    def weighted(self):
        return [module for module in self.modules() if isinstance(module, Weighted)]


def weights_order(layer):
    """The tensors of a Weighted in the order of the .weights file."""
    linear, norm = layer.linear, layer.norm
    rest = [norm.weight, norm.running_mean, norm.running_var] if norm else []
    matrix_first = [linear.weight, *rest] if isinstance(linear, nn.Linear) else [*rest, linear.weight]
    return [norm.bias if norm else linear.bias, *matrix_first]


@torch.no_grad()
def load_weights(network, path):
    """Darknet's file: int32 major, minor, revision, 64-bit seen (32-bit before 0.2), then float32 arrays by layer."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    tensors = [tensor for layer in network.weighted() for tensor in weights_order(layer)]
    major, minor = struct.unpack_from("<2i", data.ljust(8, b"\0"))
    header = 20 if major * 10 + minor >= 2 else 16
    expected = header + 4 * sum(tensor.numel() for tensor in tensors)
    if len(data) != expected:
        raise SystemExit(f"error: {path}: expected {expected} bytes, got {len(data)}")
    values = torch.frombuffer(data, dtype=torch.float32, offset=header).split([tensor.numel() for tensor in tensors])
    for tensor, value in zip(tensors, values):
        tensor.copy_(value.view_as(tensor))
    for norm in (layer.norm for layer in network.weighted() if layer.norm):
        # So that PyTorch's sqrt(variance + eps) is Darknet's sqrt(variance) + 1e-6.
        norm.eps = 1e-12
        norm.running_var += 2e-6 * norm.running_var.sqrt()

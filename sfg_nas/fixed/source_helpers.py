"""Layers that an exported `.py` file brings along, as source: they are not in `torch.nn`."""

from __future__ import annotations

from collections.abc import Mapping

CONSTANT = '''
class Constant(nn.Module):
    """Filters that read nothing: their bias at every position."""

    def __init__(self, shape, axis, trained):
        super().__init__()
        self.shape, self.axis = shape, axis
        zeros = torch.zeros(shape[axis - 1])
        if trained:
            self.bias = nn.Parameter(zeros)
        else:
            self.register_buffer("bias", zeros, persistent=False)

    def forward(self, x):
        view = [1] * (len(self.shape) + 1)
        view[self.axis] = -1
        return self.bias.view(view).expand(x.shape[0], *self.shape)
'''

SELECT = '''
class Select(nn.Module):
    """Channels by their positions along an axis; -1 stands for zeros."""

    def __init__(self, positions, axis):
        super().__init__()
        self.axis, self.zeros = axis, min(positions) < 0
        positions = torch.tensor(positions)
        self.register_buffer("positions", positions.clamp_min(0), persistent=False)
        self.register_buffer("kept", positions >= 0, persistent=False)

    def forward(self, x):
        chosen = x.index_select(self.axis, self.positions)
        if not self.zeros:
            return chosen
        view = [1] * x.dim()
        view[self.axis] = -1
        return chosen * self.kept.to(chosen.dtype).view(view)
'''

READ_NORM = '''
class ReadNorm(nn.Module):
    """Layer, group or root mean square norm of some channels by the statistics of all read with them."""

    def __init__(
        self, segments, count, places, axis, over, eps, weight=None, bias=None, view=None, centred=True
    ):
        super().__init__()
        self.axis, self.over, self.eps, self.view, self.centred = axis, over, eps, view, centred
        segments = torch.tensor(segments)
        sizes = torch.bincount(segments, minlength=count).clamp_min(1).float()
        self.register_buffer("segments", segments, persistent=False)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.weight = None if weight is None else nn.Parameter(torch.ones(weight))
        self.bias = None if bias is None else nn.Parameter(torch.zeros(bias))

    def forward(self, read):
        values = read - self.pooled(read) if self.centred else read
        variance = self.pooled(values.square()).index_select(self.axis, self.places)
        eps = self.eps
        if eps is None:
            eps = min(torch.finfo(read.dtype).eps, torch.finfo(torch.float).eps)
        y = values.index_select(self.axis, self.places) * (variance + eps).rsqrt()
        if self.weight is not None:
            y = y * (self.weight if self.view is None else self.weight.view(self.view))
        if self.bias is not None:
            y = y + (self.bias if self.view is None else self.bias.view(self.view))
        return y

    def pooled(self, x):
        values = x.mean(dim=self.over, keepdim=True) if self.over else x
        shape = list(values.shape)
        shape[self.axis] = len(self.sizes)
        sums = values.new_zeros(shape).index_add(self.axis, self.segments, values)
        view = [1] * x.dim()
        view[self.axis] = -1
        means = sums / self.sizes.to(sums.dtype).view(view)
        return means.index_select(self.axis, self.segments)
'''

HELD_NORM = '''
class HeldNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm that stays in evaluation mode when its network is trained."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.training = False

    def train(self, mode=True):
        return super().train(False)

    def _check_input_dim(self, x):
        pass
'''

KEPT = '''
def kept(layer):
    """Make a buffer of a layer's weight, which is not trained."""
    weight = layer.weight.detach()
    del layer.weight
    layer.register_buffer("weight", weight)
    return layer
'''

HELPERS: Mapping[str, str] = {
    "Constant": CONSTANT,
    "Select": SELECT,
    "ReadNorm": READ_NORM,
    "HeldNorm": HELD_NORM,
    "kept": KEPT,
}

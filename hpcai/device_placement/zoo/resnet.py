"""ResNet-50 on ImageNet; He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

The stride of a stage is at its 3 x 3 convolution, as in torchvision and most trainings since ("v1.5").
"""

from __future__ import annotations

from typing import Final

from hpcai.device_placement.zoo._layers import Layers, Tensor

_STAGES: Final = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # inner channels, blocks, stride
_EXPANSION: Final = 4


def resnet50(layers: Layers, *, batch: int = 32, image: int = 224, classes: int = 1000) -> None:
    """Add ResNet-50: 25.6 million parameters, 4.1 billion multiply-adds an image of 224 x 224."""
    x = layers.input("images", (batch, 3, image, image))
    x = layers.conv_norm_relu(x, 64, 7, "stem", stride=2, padding=3)
    x = layers.pool(x, 3, "stem/pool", stride=2, padding=1)
    for stage, (channels, blocks, stride) in enumerate(_STAGES, 1):
        for block in range(blocks):
            x = _bottleneck(layers, x, channels, f"stage{stage}/block{block}", stride if block == 0 else 1)
    layers.loss(layers.linear(layers.average(x, "pool"), classes, "classifier"), "loss")


def _bottleneck(layers: Layers, x: Tensor, channels: int, name: str, stride: int) -> Tensor:
    wide = channels * _EXPANSION
    y = layers.conv_norm_relu(x, channels, 1, f"{name}/a")
    y = layers.conv_norm_relu(y, channels, 3, f"{name}/b", stride=stride, padding=1)
    y = layers.normalize(layers.conv(y, wide, 1, f"{name}/c/conv"), f"{name}/c/norm", axis=1)
    if x.shape[1] != wide:
        x = layers.conv(x, wide, 1, f"{name}/shortcut/conv", stride=stride)
        x = layers.normalize(x, f"{name}/shortcut/norm", axis=1)
    return layers.activate(layers.sum(y, x, f"{name}/sum"), f"{name}/relu")

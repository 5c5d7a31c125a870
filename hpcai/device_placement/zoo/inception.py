"""Inception-V3 on ImageNet; Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016.

Layers and channels are those of torchvision's ``inception_v3``, which took them from TensorFlow's.
"""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers, Tensor


def inception_v3(
    layers: Layers, *, batch: int = 32, image: int = 299, classes: int = 1000, auxiliary: bool = True
) -> None:
    """Add Inception-V3: 5.7 billion multiply-adds an image of 299 x 299.

    23.8 million parameters, and 27.2 with the ``auxiliary`` classifier, which is there in training.
    """
    x = _stem(layers, layers.input("images", (batch, 3, image, image)))
    for i, pooled in enumerate((32, 64, 64)):
        x = _block_a(layers, x, pooled, f"a{i}")
    x = _shrink_b(layers, x, "b")
    for i, inner in enumerate((128, 160, 160, 192)):
        x = _block_c(layers, x, inner, f"c{i}")
    if auxiliary:
        y = layers.conv_norm_relu(layers.pool(x, 5, "auxiliary/pool", stride=3), 128, 1, "auxiliary/a")
        y = layers.average(layers.conv_norm_relu(y, 768, 5, "auxiliary/b"), "auxiliary/average")
        layers.loss(layers.linear(y, classes, "auxiliary/classifier"), "auxiliary/loss")
    x = _shrink_d(layers, x, "d")
    for i in range(2):
        x = _block_e(layers, x, f"e{i}")
    layers.loss(layers.linear(layers.average(x, "pool"), classes, "classifier"), "loss")


def _stem(layers: Layers, x: Tensor) -> Tensor:
    x = layers.conv_norm_relu(x, 32, 3, "stem/a", stride=2)
    x = layers.conv_norm_relu(x, 32, 3, "stem/b")
    x = layers.conv_norm_relu(x, 64, 3, "stem/c", padding=1)
    x = layers.pool(x, 3, "stem/pool1", stride=2)
    x = layers.conv_norm_relu(x, 80, 1, "stem/d")
    x = layers.conv_norm_relu(x, 192, 3, "stem/e")
    return layers.pool(x, 3, "stem/pool2", stride=2)


def _block_a(layers: Layers, x: Tensor, pooled: int, name: str) -> Tensor:
    """35 x 35."""
    one = layers.conv_norm_relu(x, 64, 1, f"{name}/1x1")
    five = layers.conv_norm_relu(x, 48, 1, f"{name}/5x5/a")
    five = layers.conv_norm_relu(five, 64, 5, f"{name}/5x5/b", padding=2)
    three = layers.conv_norm_relu(x, 64, 1, f"{name}/3x3/a")
    three = layers.conv_norm_relu(three, 96, 3, f"{name}/3x3/b", padding=1)
    three = layers.conv_norm_relu(three, 96, 3, f"{name}/3x3/c", padding=1)
    pool = layers.conv_norm_relu(layers.pool(x, 3, f"{name}/pool", padding=1), pooled, 1, f"{name}/pooled")
    return layers.concat([one, five, three, pool], f"{name}/concat")


def _shrink_b(layers: Layers, x: Tensor, name: str) -> Tensor:
    """To 17 x 17."""
    three = layers.conv_norm_relu(x, 384, 3, f"{name}/3x3", stride=2)
    double = layers.conv_norm_relu(x, 64, 1, f"{name}/double/a")
    double = layers.conv_norm_relu(double, 96, 3, f"{name}/double/b", padding=1)
    double = layers.conv_norm_relu(double, 96, 3, f"{name}/double/c", stride=2)
    return layers.concat([three, double, layers.pool(x, 3, f"{name}/pool", stride=2)], f"{name}/concat")


def _block_c(layers: Layers, x: Tensor, inner: int, name: str) -> Tensor:
    """17 x 17, with convolutions of 1 x 7 and 7 x 1."""
    one = layers.conv_norm_relu(x, 192, 1, f"{name}/1x1")
    seven = layers.conv_norm_relu(x, inner, 1, f"{name}/7x7/a")
    seven = layers.conv_norm_relu(seven, inner, (1, 7), f"{name}/7x7/b", padding=(0, 3))
    seven = layers.conv_norm_relu(seven, 192, (7, 1), f"{name}/7x7/c", padding=(3, 0))
    double = layers.conv_norm_relu(x, inner, 1, f"{name}/double/a")
    for step, (kernel, padding) in zip("bcd", (((7, 1), (3, 0)), ((1, 7), (0, 3)), ((7, 1), (3, 0))), strict=True):
        double = layers.conv_norm_relu(double, inner, kernel, f"{name}/double/{step}", padding=padding)
    double = layers.conv_norm_relu(double, 192, (1, 7), f"{name}/double/e", padding=(0, 3))
    pool = layers.conv_norm_relu(layers.pool(x, 3, f"{name}/pool", padding=1), 192, 1, f"{name}/pooled")
    return layers.concat([one, seven, double, pool], f"{name}/concat")


def _shrink_d(layers: Layers, x: Tensor, name: str) -> Tensor:
    """To 8 x 8."""
    three = layers.conv_norm_relu(x, 192, 1, f"{name}/3x3/a")
    three = layers.conv_norm_relu(three, 320, 3, f"{name}/3x3/b", stride=2)
    seven = layers.conv_norm_relu(x, 192, 1, f"{name}/7x7/a")
    seven = layers.conv_norm_relu(seven, 192, (1, 7), f"{name}/7x7/b", padding=(0, 3))
    seven = layers.conv_norm_relu(seven, 192, (7, 1), f"{name}/7x7/c", padding=(3, 0))
    seven = layers.conv_norm_relu(seven, 192, 3, f"{name}/7x7/d", stride=2)
    return layers.concat([three, seven, layers.pool(x, 3, f"{name}/pool", stride=2)], f"{name}/concat")


def _block_e(layers: Layers, x: Tensor, name: str) -> Tensor:
    """8 x 8, with convolutions of 1 x 3 and 3 x 1 side by side."""
    one = layers.conv_norm_relu(x, 320, 1, f"{name}/1x1")
    three = layers.conv_norm_relu(x, 384, 1, f"{name}/3x3/a")
    double = layers.conv_norm_relu(x, 448, 1, f"{name}/double/a")
    double = layers.conv_norm_relu(double, 384, 3, f"{name}/double/b", padding=1)
    pool = layers.conv_norm_relu(layers.pool(x, 3, f"{name}/pool", padding=1), 192, 1, f"{name}/pooled")
    three, double = _both_ways(layers, three, f"{name}/3x3"), _both_ways(layers, double, f"{name}/double")
    return layers.concat([one, three, double, pool], f"{name}/concat")


def _both_ways(layers: Layers, x: Tensor, name: str) -> Tensor:
    across = layers.conv_norm_relu(x, 384, (1, 3), f"{name}/1x3", padding=(0, 1))
    down = layers.conv_norm_relu(x, 384, (3, 1), f"{name}/3x1", padding=(1, 0))
    return layers.concat([across, down], f"{name}/both")

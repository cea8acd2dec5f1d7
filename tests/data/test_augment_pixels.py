"""What changes the look of pixels."""

from __future__ import annotations

import numpy as np
import torch

from sfg_nas.data.augment_pixels import Blur, Brightness, Colour, Contrast, Erase, Noise


def test_brightness_and_contrast_by_hand() -> None:
    images = torch.tensor([[[[100, 200]]], [[[100, 200]]]], dtype=torch.uint8)
    draws = torch.tensor([[250], [-250]])
    assert Brightness().apply(images, draws).flatten().tolist() == [125, 250, 75, 150]
    assert Contrast().apply(images, draws).flatten().tolist() == [88, 212, 112, 188]
    bright = torch.tensor([[[[250.0]]]])
    assert Brightness().apply(bright.byte(), draws[:1]).item() == 255
    assert Brightness().apply(bright, draws[:1]).item() == 312.5


def test_colour_changes_saturation_and_each_channel() -> None:
    image = torch.tensor([60.0, 90, 120, 7]).view(1, 4, 1, 1)
    plain = Colour().apply(image, torch.tensor([[200, 0, 0, 0]])).flatten().tolist()
    assert plain == [54, 90, 126, 7]
    tinted = Colour().apply(image, torch.tensor([[0, 100, 0, -100]])).flatten().tolist()
    np.testing.assert_allclose(tinted, [66, 90, 108, 7], rtol=1e-5)


def test_blur_averages_neighbours_and_keeps_constant_images() -> None:
    image = torch.zeros(2, 1, 5, 5)
    image[:, :, 2, 2] = 16
    found = Blur().apply(image, torch.tensor([[1], [0]]))
    assert found[0, 0, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert torch.equal(found[1], image[1])
    same = torch.full((1, 3, 4, 6), 77, dtype=torch.uint8)
    assert torch.equal(Blur().apply(same, torch.tensor([[1]])), same)


def test_noise_is_a_tenth_of_the_spread() -> None:
    images = torch.randn(4, 3, 32, 32) * 5 + 40
    draws = torch.tensor([[1], [2], [1], [3]])
    noise = Noise().apply(images, draws) - images
    assert 0.45 < noise.std().item() < 0.55
    torch.testing.assert_close(noise[0] / images[0].std(), noise[2] / images[2].std())
    state = torch.random.get_rng_state()
    Noise().apply(images, draws)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_erased_is_a_rectangle_of_the_mean_colour() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((50, 3, 16, 24)).astype(np.float32))
    draws = Erase().draw(rng, 50, (16, 24))
    found = Erase().apply(images, torch.from_numpy(draws))
    for image, changed, (top, height, left, width) in zip(images, found, draws, strict=True):
        assert 4 <= height <= 8
        assert 6 <= width <= 12
        wanted = image.clone()
        wanted[:, top : top + height, left : left + width] = image.mean((1, 2), keepdim=True)
        torch.testing.assert_close(changed, wanted)

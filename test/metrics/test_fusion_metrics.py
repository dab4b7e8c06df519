"""The twelve metrics against plain direct forms, known values, and images that break careless code."""

from __future__ import annotations

import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from plain_definitions import profile as plain_profile
from plain_definitions import textbook

from fusion_ros.errors import InputError
from fusion_ros.metrics import METRICS, PROFILES, FusionScorer, fusion_metrics, fusion_metrics_batch


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def smooth(shape, seed=0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = np.sin(rows / 7 + phase[0]) + np.sin(columns / 11 + phase[1]) + np.sin((rows + columns) / 23 + phase[2])
    return np.clip(127 + 55 * waves, 0, 255).round().astype(np.uint8)


def saturated(shape):
    image = np.full(shape, 255, np.uint8)
    image[shape[0] // 4 : shape[0] // 2, shape[1] // 3 :] = 3
    return image


def checkerboard(shape):
    return (np.indices(shape).sum(axis=0) % 2 * 255).astype(np.uint8)


TRIPLES = {
    "noise": (noise((64, 80)), noise((64, 80), 1), noise((64, 80), 2)),
    "smooth, odd size": (smooth((93, 71)), smooth((93, 71), 1), smooth((93, 71), 2)),
    "maximum": (smooth((72, 90)), smooth((72, 90), 1), np.maximum(smooth((72, 90)), smooth((72, 90), 1))),
    "average": (smooth((72, 90)), noise((72, 90)), (smooth((72, 90)) // 2 + noise((72, 90)) // 2)),
    "saturated": (saturated((60, 70)), smooth((60, 70)), np.maximum(saturated((60, 70)), smooth((60, 70)))),
    "black and white": (checkerboard((66, 64)), saturated((66, 64)), smooth((66, 64))),
}


@pytest.mark.parametrize("name", TRIPLES)
def test_textbook_agrees_with_the_plain_definitions(name):
    ours, plain = fusion_metrics(*TRIPLES[name]), textbook(*TRIPLES[name])
    assert list(ours) == list(METRICS)
    for metric in METRICS:
        assert ours[metric] == pytest.approx(plain[metric], rel=1e-4, abs=1e-7), metric


def drawn(kind, shape, seed):
    """A random 8-bit image of a kind."""
    rng = np.random.default_rng([seed, *shape])
    if kind == "noise":
        return noise(shape, seed)
    if kind == "smooth":
        return smooth(shape, seed)
    if kind == "saturated":
        return np.clip(smooth(shape, seed).astype(int) * 3 - 200, 0, 255).astype(np.uint8)
    if kind == "two levels":
        return np.where(rng.random(shape) < 0.1, 255, 250).astype(np.uint8)
    image = np.full(shape, int(rng.integers(0, 256)), np.uint8)
    if kind == "one pixel":
        image[tuple(int(rng.integers(0, side)) for side in shape)] ^= 1
    return image


KINDS = ("noise", "smooth", "saturated", "two levels", "one pixel", "constant")


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("profile", PROFILES)
def test_random_images_agree_with_the_plain_definitions(profile, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(17, 60, 2))
    kinds = [KINDS[int(kind)] for kind in rng.integers(0, 6, 3)]
    if profile == "tang2022":
        # Clipped products let the variance of one pixel drown in rounding, whoever computes it.
        kinds = ["two levels" if kind == "one pixel" else kind for kind in kinds]
    triple = [drawn(kind, shape, seed + offset) for offset, kind in enumerate(kinds)]
    ours, expected = fusion_metrics(*triple, profile=profile), plain_profile(profile, *triple)
    for metric in METRICS:
        assert ours[metric] == pytest.approx(expected[metric], rel=1e-5, abs=1e-8), metric


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("shape", [(16, 16), (11, 25), (12, 30)])
def test_images_that_no_window_of_vif_fits_into_have_its_documented_value(profile, shape):
    triple = [noise(shape, seed) for seed in range(3)]
    ours, expected = fusion_metrics(*triple, profile=profile), plain_profile(profile, *triple, vif=lambda *_, **__: 1.0)
    for metric in METRICS:
        assert ours[metric] == pytest.approx(expected[metric], rel=1e-5, abs=1e-8), metric


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (10, 11)])
def test_images_smaller_than_ssims_window_are_compared_as_one_window_of_equal_weights(shape):
    visible, infrared, fused = (noise(shape, seed).astype(float) for seed in range(3))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def by_hand(x, y):
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        value = (2 * x.mean() * y.mean() + c1) * (2 * covariance + c2)
        return value / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2))

    value = fusion_metrics(*(noise(shape, seed) for seed in range(3)))["SSIM"]
    assert value == pytest.approx((by_hand(infrared, fused) + by_hand(visible, fused)) / 2)


def test_identity_has_the_known_values():
    image = smooth((80, 96))
    values = fusion_metrics(image, image, image)
    # I(X; X) is the entropy of X; VIFp, SSIM and r of identical images are 1.
    assert values["MI"] == pytest.approx(2 * values["EN"])
    assert values["VIF"] == pytest.approx(2.0)
    assert values["SSIM"] == pytest.approx(1.0)
    assert values["CC"] == pytest.approx(1.0)
    # Xydeas and Petrovic's constants at G = 1 and A = 1.
    best = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))
    assert values["Qabf"] == pytest.approx(best, rel=1e-6)
    assert (values["MSE"], values["PSNR"]) == (0.0, 100.0)


def test_profiles_differ_by_the_factors_that_separate_the_lineages():
    triple = TRIPLES["maximum"]
    values = {name: fusion_metrics(*triple, profile=name) for name in PROFILES}
    text = values["textbook"]
    assert values["cddfuse"]["MI"] == pytest.approx(text["MI"] * math.log(2))
    assert values["tang2023"]["PSNR"] == pytest.approx(text["PSNR"] + 48.1308, abs=1e-4)
    assert values["tang2023"]["MSE"] == pytest.approx(text["MSE"] / 255**2)
    assert values["tang2022"]["SF"] == pytest.approx(text["SF"] / 255)
    height, width = triple[0].shape
    assert values["tang2023"]["AG"] == pytest.approx(text["AG"] * height * width / (height - 1) / (width - 1))
    peak = float(triple[2].max())
    assert values["cddfuse"]["PSNR"] == pytest.approx(10 * math.log10(peak**2 / text["MSE"]))


def test_tang2022_standard_deviation_saturates_like_8_bit_integers():
    fused = np.array([[0, 100, 110, 250]], np.uint8)
    # Mean 115: below it clipped to 0, above it 135, whose square clips at 255. Root of 255 / 4.
    value = fusion_metrics(fused, fused, fused, profile="tang2022")["SD"]
    assert value == pytest.approx(math.sqrt(255 / 4))


def test_tang2022_vif_differs_only_at_the_finest_scale_of_bright_images():
    dark = tuple((image // 17).astype(np.uint8) for image in TRIPLES["maximum"])  # products stay at or below 225
    assert fusion_metrics(*dark, profile="tang2022")["VIF"] == pytest.approx(fusion_metrics(*dark)["VIF"])
    bright = TRIPLES["maximum"]
    assert fusion_metrics(*bright, profile="tang2022")["VIF"] != pytest.approx(fusion_metrics(*bright)["VIF"], rel=1e-3)


def test_cddfuse_ssim_is_the_uniform_window_with_sample_covariance():
    # One 7x7 window: the formula by hand.
    x, y = noise((7, 7)).astype(float), noise((7, 7), 1).astype(float)
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    cov = np.cov(x.ravel(), y.ravel())
    by_hand = (2 * x.mean() * y.mean() + c1) * (2 * cov[0, 1] + c2)
    by_hand /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)
    value = fusion_metrics(y.astype(np.uint8), y.astype(np.uint8), x.astype(np.uint8), profile="cddfuse")["SSIM"]
    assert value == pytest.approx(2 * by_hand)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "image",
    [
        np.full((48, 64), 0, np.uint8),
        np.full((48, 64), 255, np.uint8),
        np.full((1, 1), 7, np.uint8),
        noise((1, 40)),
        noise((40, 1)),
        noise((5, 6)),
        noise((12, 18)),
        noise((17, 17)),
    ],
    ids=lambda image: f"{image.shape}",
)
def test_constant_and_tiny_images_give_finite_values_without_a_warning(image, profile):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for fused in (image, np.zeros_like(image), noise(image.shape, 3)):
            values = fusion_metrics(image, noise(image.shape, 5), fused, profile=profile)
            assert all(math.isfinite(value) for value in values.values()), values


def test_constant_sources_give_the_documented_values():
    flat, fused = np.full((40, 40), 9, np.uint8), smooth((40, 40))
    values = fusion_metrics(flat, flat, fused)
    assert values["CC"] == 0.0
    assert values["VIF"] == 2.0
    # The frame around the image is black: a flat image of 9 has edges at its rim alone, a flat fused one keeps them.
    # 0.9748 = 0.9994 / (1 + exp(-15 * (1 - .5))) * 0.9879 / (1 + exp(-22 * (1 - .8))): the field's two curves at 1.
    assert fusion_metrics(flat, flat, flat)["Qabf"] == pytest.approx(0.9748, abs=1e-3)
    assert values["Qabf"] < 0.9
    assert fusion_metrics(flat * 0, flat * 0, flat * 0)["Qabf"] == 0.0


def test_a_scorer_gives_the_same_for_every_mode_of_one_pair():
    visible, infrared, fused = TRIPLES["maximum"]
    scorer = FusionScorer(visible, infrared)
    assert scorer.score(visible) == fusion_metrics(visible, infrared, visible)
    assert scorer.score(fused) == fusion_metrics(visible, infrared, fused)


@pytest.mark.parametrize("profile", PROFILES)
def test_scoring_all_modes_of_a_pair_at_once_gives_the_same_to_the_last_digit(profile):
    visible, infrared, fused = TRIPLES["maximum"]
    modes = [fused, visible, infrared, 255 - fused, fused // 2, np.zeros_like(fused)]
    scorer = FusionScorer(visible, infrared, profile)
    assert scorer.score_all(modes) == [scorer.score(mode) for mode in modes]
    assert scorer.score_all([]) == []


def test_scores_do_not_depend_on_threads_or_on_what_was_scored_before():
    visible, infrared, fused = (smooth((203, 301), seed) for seed in range(3))
    expected = fusion_metrics(visible, infrared, fused)
    fusion_metrics(*(noise((40, 700), seed) for seed in range(3)))
    scorer = FusionScorer(visible, infrared)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(scorer.score, [fused] * 6)) == [expected] * 6


def test_batch_takes_images_of_different_sizes():
    triples = [TRIPLES["noise"], TRIPLES["maximum"]]
    batch = fusion_metrics_batch(*zip(*triples, strict=True))
    assert batch["VIF"].shape == (2,)
    assert batch["VIF"][1] == fusion_metrics(*triples[1])["VIF"]


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    triple = TRIPLES["noise"]
    assert fusion_metrics(*(torch.from_numpy(image) for image in triple)) == fusion_metrics(*triple)


@pytest.mark.parametrize(
    ("images", "profile", "said"),
    [
        ((noise((8, 8)), noise((8, 8)), noise((8, 9))), "textbook", "fused: size (8, 9)"),
        ((noise((8, 8)), noise((9, 8)), noise((8, 8))), "textbook", "infrared: size (9, 8)"),
        ((noise((8, 8)), noise((8, 8)), noise((8, 8)) / 255.0), "textbook", "fused: float64"),
        ((noise((8, 8, 3)), noise((8, 8)), noise((8, 8))), "textbook", "visible: uint8 of shape (8, 8, 3)"),
        ((noise((0, 8)), noise((0, 8)), noise((0, 8))), "textbook", "visible: uint8 of shape (0, 8)"),
        ((noise((8, 8)), noise((8, 8)), noise((8, 8))), "tang", "profile: 'tang' is not known (textbook"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(images, profile, said):
    with pytest.raises(InputError) as refusal:
        fusion_metrics(*images, profile=profile)
    assert said in str(refusal.value)


def test_a_batch_of_unequal_counts_is_refused():
    with pytest.raises(InputError, match="2 visible, 1 infrared"):
        fusion_metrics_batch([noise((8, 8))] * 2, [noise((8, 8))], [noise((8, 8))] * 2)

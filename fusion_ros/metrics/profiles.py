"""What distinguishes the published variants of one and the same metric.

Four lineages of code produced almost every number in the literature on infrared and visible fusion. They differ in
scale, in sum or mean over the two sources, and in a few slips that have become convention. A profile names one of
them; a table that does not name its profile cannot be compared with anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

METRICS = ("EN", "MI", "VIF", "Qabf", "SSIM", "SF", "SD", "AG", "CC", "SCD", "PSNR", "MSE")
LOWER_IS_BETTER = frozenset({"MSE"})

# Reported where F equals both sources, so that a mean over images stays finite: no 8-bit pair of images that differs
# in a single pixel of a 480x640 frame gets there.
PSNR_OF_IDENTITY_DB = 100.0


@dataclass(frozen=True)
class SsimVariant:
    """How SSIM is computed.

    Attributes:
        window: `gaussian` (11x11, sigma 1.5) or `uniform` (7x7 with the sample covariance).
        data_range: L of the stabilising constants (K1 L)^2 and (K2 L)^2, in grey levels.
        mean: True for the mean over the two sources, False for the sum.
    """

    window: str = "gaussian"
    data_range: float = 255.0
    mean: bool = True


@dataclass(frozen=True)
class Profile:
    """One lineage's variants.

    Attributes:
        description: whose numbers it reproduces.
        mi_in_nats: mutual information in nats instead of bits. Always the sum over the sources.
        unit_scale_sf: SF of the image scaled to [0, 1] instead of 0..255.
        unit_scale_mse: MSE of images scaled to [0, 1] instead of 0..255.
        psnr: `textbook` 10 log10(255^2 / MSE), `offset` the same plus 20 log10(255), `peak` 10 log10(max(F)^2 / MSE).
        ag_interior: AG's sum divided by (H-1)(W-1) instead of HW.
        saturating_sd: SD as integer arithmetic gives it that clips at 0 and 255.
        saturating_vif: the finest scale of VIF from products clipped at 255.
        qabf_equal_strength: G where both edge strengths are equal: None for 1 (the definition), otherwise the strength
            of the fused edge divided by this number.
        ssim: the variant of SSIM.
    """

    description: str
    mi_in_nats: bool = False
    unit_scale_sf: bool = False
    unit_scale_mse: bool = False
    psnr: str = "textbook"
    ag_interior: bool = False
    saturating_sd: bool = False
    saturating_vif: bool = False
    qabf_equal_strength: float | None = None
    ssim: SsimVariant = field(default_factory=SsimVariant)

    def header(self, metric: str) -> str:
        """What a table's column should say beside the metric's name: unit, scale, sum or mean."""
        if metric == "MI":
            return "nats, sum" if self.mi_in_nats else "bits, sum"
        if metric == "SSIM":
            return "mean" if self.ssim.mean else "sum"
        if metric == "MSE":
            return "mean, 0..1" if self.unit_scale_mse else "mean, 0..255"
        if metric == "SF":
            return "0..1" if self.unit_scale_sf else "0..255"
        if metric == "PSNR":
            return {"textbook": "dB", "offset": "dB, +48.13", "peak": "dB, peak max(F)"}[self.psnr]
        return {
            "EN": "bits",
            "VIF": "sum",
            "Qabf": "0..1",
            "SD": "0..255, clipped" if self.saturating_sd else "0..255",
            "AG": "0..255",
            "CC": "mean",
            "SCD": "sum",
        }[metric]


# The un-stabilised SSIM of two lineages is the proper formula with constants that are too small: images multiplied by
# 255 under a data range of 255 are images under a data range of 1.
PROFILES = MappingProxyType(
    {
        "textbook": Profile("the definitions, images as 0..255"),
        "tang2023": Profile(
            "Tang's toolkit from March 2023 on and its Python port; EPOFusion's tables",
            unit_scale_mse=True,
            psnr="offset",
            ag_interior=True,
            qabf_equal_strength=1.0,
            ssim=SsimVariant(data_range=1.0),
        ),
        "tang2022": Profile(
            "Tang's toolkit before March 2023, 8-bit arithmetic included; DFVO's tables",
            unit_scale_sf=True,
            unit_scale_mse=True,
            psnr="offset",
            ag_interior=True,
            saturating_sd=True,
            saturating_vif=True,
            qabf_equal_strength=255.0,
        ),
        "cddfuse": Profile(
            "CDDFuse's evaluator, also behind EMMA's and TDFusion's tables",
            mi_in_nats=True,
            psnr="peak",
            qabf_equal_strength=1.0,
            ssim=SsimVariant(window="uniform", data_range=2.0, mean=False),
        ),
    }
)

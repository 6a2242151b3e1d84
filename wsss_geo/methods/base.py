"""What every weakly supervised method is: a network, losses as a function of batch and step, a schedule."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.nn.losses import balanced_cross_entropy, class_balanced_cross_entropy
from wsss_geo.nn.network import Network
from wsss_geo.nn.par import PAR
from wsss_geo.nn.pseudo_labels import (
    label_by_margin,
    label_from_cam,
    refine_labels,
    refine_labels_none,
    softmax_over_present,
)
from wsss_geo.nn.schedule import learning_rate_factor
from wsss_geo.nn.tensors import resize
from wsss_geo.tileset.photometry import STRONG, Jitter


@dataclass(frozen=True)
class Batch:
    """B training views. All but ``second`` share one geometry, drawn once; they differ in colours only.

    ``image``, ``clean`` (no jitter), ``local`` (its own jitter) and ``second`` (its own geometry) are [B,N,H,W] in
    0..1; the last two are there for methods that need them. ``tags`` [B,K] are 0/1; ``valid`` bool [B,H,W] marks
    pixels that are data; ``masks`` int64 [B,H,W] are channel positions, for methods that need them.
    """

    image: Tensor
    clean: Tensor
    tags: Tensor
    valid: Tensor
    local: Tensor | None = None
    second: Tensor | None = None
    masks: Tensor | None = None
    cells: Tensor | None = None
    """Tags of the single tiles of a mosaic [B,K,g,g], where views are mosaics."""
    generator: torch.Generator | None = None
    """Source of everything random in a method's step; on the device of the images, alike in all processes."""
    scenes: Tensor | None = None
    """Numbers of the parent scenes, int64 [B]."""
    places: range | None = None
    """Where several processes train together: the places of these views in the joint batch, which ends at ``stop``."""


@dataclass(frozen=True)
class Settings:
    """Settings that all methods share; shares are of the whole run, so a schedule fits any number of steps."""

    lr: float = 6e-5
    head_lr: float = 10.0
    """Factor on ``lr`` for everything but the encoder."""
    weight_decay: float = 0.01
    warmup: float = 0.075
    """Share of the run in which the learning rate rises: 1500 of 20 000 steps in the published family."""
    clip: float = 1.0
    """Largest gradient norm; 0 does not clip."""
    middle: float = 10 / 12
    """Depth of the block that feeds the auxiliary branch, as a share of the encoder's."""
    decoder_width: int = 512
    dilation: int = 5
    decoder_stride: int = 0
    """Side in pixels of the decoder's answers, finer than a token, from a decoder that sees the image as well; 0: one
    answer a token, from LargeFOV."""
    balance: float = 1.0
    """Policy none: weight of a class in the segmentation loss, by its pixels to the power -``balance``: 1 gives every
    class the same say, 0 every pixel."""
    scale: tuple[float, float] = (0.75, 1.25)
    """Scale of the views, relative to the view's side; above 1 crops."""
    turns: bool = True
    """Whether views are turned by quarters and mirrored; if not they are only mirrored, left to right, as published for
    photographs."""
    rare: float = 0.0
    """Classes in fewer than this share of the tiles are shown more often (repeat factor sampling); 0: all alike."""
    pure: float = 0.0
    """Least share of tiles of one class in what is shown."""


@dataclass(frozen=True)
class ScratchSettings(Settings):
    """Values for training land cover from scratch; lower ``lr`` for pre-trained backbones."""

    lr: float = 5e-4
    head_lr: float = 1.0
    weight_decay: float = 0.05
    middle: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)
    rare: float = 0.2
    balance: float = 0.5
    warmup: float = 0.05
    top: float = 0.3
    """Share of a view's tokens whose mean evidence answers for a tag."""


class Method(nn.Module):
    """Base of the methods. ``losses`` returns weighted terms; their sum is what training minimises."""

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]] = Settings
    terms: ClassVar[tuple[str, ...]] = ()
    """Names of the loss terms."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Views the method reads beside ``image`` and ``clean``: of ``local``, ``second``, ``masks``."""
    colours: ClassVar[Mapping[str, Jitter]] = {"image": STRONG}
    """Colour changes by view; a view not named keeps its colours."""
    cam_from: ClassVar[str] = "final"
    """Tokens, final or middle, whose activation maps prediction shows."""
    class_tokens: ClassVar[bool] = False
    """Whether the network carries a token for every class."""
    freezes_position: ClassVar[bool] = True
    """Whether the position embedding of a backbone with weights stays as it is."""

    def __init__(self, network: Network, scheme: ClassScheme, settings: Settings, steps: int) -> None:
        super().__init__()
        self.network = network
        self.scheme = scheme
        self.settings = settings
        self.steps = steps

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted loss terms of ``step`` (from 0)."""

    def learning_rate_factor(self, step: int) -> float:
        """Factor on all learning rates at ``step``: warm-up, then polynomial decay."""
        return learning_rate_factor(step, self.steps, max(1, round(self.settings.warmup * self.steps)))

    def meet_tiles(self, tag_counts: Tensor) -> None:
        """Take note, before the first step, of how many training tiles carry each taggable class: int64 [K]."""

    def after_step(self, step: int) -> None:
        """Update what no gradient reaches, such as moving averages."""

    @property
    def product(self) -> Network:
        """The network that is validated, saved and used for prediction."""
        return self.network

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimiser: the encoder at ``lr``, all else at ``lr * head_lr``."""
        encoder = [p for p in self.network.encoder.parameters() if p.requires_grad]
        own = {id(p) for p in encoder}
        heads = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        lr = self.settings.lr
        return [{"params": encoder, "lr": lr}, {"params": heads, "lr": lr * self.settings.head_lr}]


class Labeller(nn.Module):
    """Pseudo labels and segmentation loss under a background policy.

    With a cold class (explicit or surrogate background) labels are 0 for it and 1..K for the taggable classes;
    without, 0..K-1. Decoder logits are put in the same order before they meet labels.
    """

    def __init__(
        self,
        scheme: ClassScheme,
        high: float,
        low: float,
        confidence: float,
        margin: float,
        refine: bool = True,
        balance: float = 1.0,
    ) -> None:
        super().__init__()
        self.high, self.low, self.confidence, self.margin = high, low, confidence, margin
        self.par = PAR() if refine else None
        self.balance = balance
        cold = scheme.background_name
        self.has_cold = cold is not None
        names = scheme.names
        self.order = [names.index(n) for n in ((cold, *scheme.taggable) if cold is not None else names)]

    def grid_labels(self, cam: Tensor, tags: Tensor, size: tuple[int, int], valid: Tensor) -> Tensor:
        """Labels of ``cam`` [B,K,H,W] in 0..1 on a token grid, not refined: int64 [B,*size]."""
        cam = resize(cam, size)
        usable = resize(valid[:, None].float(), size)[:, 0] > 0.5
        if self.has_cold:
            return label_from_cam(cam, tags, self.high, self.low, valid=usable)
        return label_by_margin(softmax_over_present(cam, tags > 0.5), tags, self.confidence, self.margin, valid=usable)

    def pixel_labels(self, image: Tensor, cam: Tensor, tags: Tensor, valid: Tensor) -> Tensor:
        """Labels refined by image colours: int64 [B,H,W]."""
        if self.par is None:
            return self.grid_labels(cam, tags, (image.shape[-2], image.shape[-1]), valid)
        if self.has_cold:
            return refine_labels(self.par, image, cam, tags, self.high, self.low, valid=valid)
        return refine_labels_none(self.par, image, cam, tags, self.confidence, self.margin, valid=valid)

    def ordered(self, logits: Tensor) -> Tensor:
        """Decoder logits [B,C,h,w] in the order of the labels."""
        return logits[:, self.order]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Segmentation loss of ordered logits: background and foreground halves, or balanced over classes."""
        if self.has_cold:
            return balanced_cross_entropy(logits, labels)
        return class_balanced_cross_entropy(logits, labels, self.balance)


S = TypeVar("S")


def settings_from(kind: type[S], given: Mapping[str, Any]) -> S:
    """Build settings, a dataclass, from the values a user gave. Raises UsageError that names the setting."""
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"setting {name!r} is unknown", f"this method knows {', '.join(sorted(known))}")
        default = known[name].default
        try:
            values[name] = _as_type_of(default, value)
        except (TypeError, ValueError):
            raise UsageError(f"setting {name}: {value!r} is not like {default!r}", "see the method's page") from None
    return kind(**values)


def _as_type_of(default: Any, value: Any) -> Any:
    if isinstance(default, bool):
        if str(value).lower() in ("true", "1", "yes", "on"):
            return True
        if str(value).lower() in ("false", "0", "no", "off"):
            return False
        raise ValueError(value)
    if isinstance(default, tuple):
        items = value.split(",") if isinstance(value, str) else value
        return tuple(type(default[0])(i) for i in items)
    if isinstance(default, int) and float(value) != int(float(value)):
        raise ValueError(value)
    return type(default)(float(value)) if isinstance(default, (int, float)) else type(default)(value)

"""Losses against literal loops, and the cases with nothing to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from wsss_geo.nn import losses


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_labels(seed: int, classes: int, *shape: int, ignored: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, shape, generator=generator)
    return labels.masked_fill(torch.rand(shape, generator=generator) < ignored, 255)


def test_multilabel_soft_margin_equals_the_written_formula() -> None:
    logits, tags = draw(0, 4, 3), (draw(1, 4, 3) > 0)
    total = 0.0
    for z, y in zip(logits.flatten().tolist(), tags.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        total -= math.log(p if y else 1 - p)
    assert losses.multilabel_soft_margin(logits, tags).item() == pytest.approx(total / 12)


# ---- patch token contrast


def literal_patch_contrast(tokens: torch.Tensor, labels: torch.Tensor) -> float:
    same = different = 0.0
    n_same = n_different = 0
    for b in range(len(tokens)):
        flat, label = tokens[b].flatten(1).T, labels[b].flatten().tolist()
        for i in range(len(label)):
            for j in range(len(label)):
                if i == j or 255 in (label[i], label[j]):
                    continue
                c = abs(float(flat[i] @ flat[j] / flat[i].norm() / flat[j].norm()))
                if label[i] == label[j]:
                    same, n_same = same + c, n_same + 1
                else:
                    different, n_different = different + c, n_different + 1
    return 0.5 * (1 - same / (n_same + 1)) + 0.5 * different / (n_different + 1)


@pytest.mark.parametrize("seed", range(4))
def test_patch_contrast_equals_the_literal_loop(seed: int) -> None:
    tokens, labels = draw(seed, 2, 5, 3, 4), draw_labels(seed, 3, 2, 3, 4)
    expected = literal_patch_contrast(tokens, labels)
    assert losses.patch_token_contrast(tokens, labels).item() == pytest.approx(expected, abs=1e-10)
    assert losses.patch_token_contrast(tokens.float(), labels.byte()).item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0, 1))
def test_patch_contrast_lies_in_0_1_and_spares_ignored_tokens(seed: int, classes: int, ignored: float) -> None:
    tokens = draw(seed, 2, 4, 3, 3).requires_grad_()
    labels = draw_labels(seed, classes, 2, 3, 3, ignored=ignored)
    loss = losses.patch_token_contrast(tokens, labels)
    loss.backward()
    assert 0 <= loss.item() <= 1
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()
    assert (tokens.grad.permute(0, 2, 3, 1)[labels == 255] == 0).all()


def test_patch_contrast_without_pairs_is_a_half_and_finite() -> None:
    tokens = draw(0, 1, 4, 2, 2).requires_grad_()
    one_label = torch.zeros(1, 2, 2, dtype=torch.long)
    for labels in (one_label, one_label + 255, torch.arange(4).view(1, 2, 2)):
        loss = losses.patch_token_contrast(tokens, labels)
        assert torch.isfinite(torch.autograd.grad(loss, tokens)[0]).all()
        assert loss.item() == pytest.approx(literal_patch_contrast(tokens.detach(), labels))
    assert losses.patch_token_contrast(tokens, one_label + 255).item() == 0.5
    zero = torch.zeros(1, 4, 2, 2, requires_grad=True)
    losses.patch_token_contrast(zero, one_label).backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_patch_contrast_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match="token grid"):
        losses.patch_token_contrast(torch.rand(1, 4, 2, 2), torch.zeros(1, 4, 4, dtype=torch.long))


# ---- class token contrast


def literal_class_contrast(
    student: torch.Tensor, teacher: torch.Tensor, positive: torch.Tensor, temperature: float, extra: bool
) -> float:
    total = 0.0
    for s, t, flags in zip(student, teacher, positive.tolist(), strict=True):
        image = 0.0
        for g in range(len(t)):
            e = [math.exp(float(t[g] @ s[m]) / temperature) for m in range(len(s))]
            negatives = sum(e[m] for m in range(len(s)) if not flags[m]) + 1e-4
            for m in range(len(s)):
                if flags[m]:
                    image -= math.log(e[m] / (e[m] + negatives))
            if extra:
                image -= math.log(1 / (1 + negatives))
        total += image / len(t) / sum(flags)
    return total / len(student)


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_class_contrast_equals_the_literal_loop(seed: int, temperature: float, extra: bool) -> None:
    student, teacher = draw(seed, 3, 10, 6), draw(seed + 9, 3, 2, 6)
    positive = draw(seed + 5, 3, 10) > 0
    positive[:, :2] = True
    expected = literal_class_contrast(student, teacher, positive, temperature, extra)
    loss = losses.class_token_contrast(student, teacher, positive, temperature, extra)
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    single = losses.class_token_contrast(student.float(), teacher.float(), positive, temperature, extra)
    assert single.item() == pytest.approx(expected, rel=1e-5)


def test_class_contrast_without_negatives_beats_only_the_floor() -> None:
    student, teacher = draw(0, 2, 4, 3), draw(1, 2, 2, 3)
    loss = losses.class_token_contrast(student, teacher, torch.ones(2, 4, dtype=torch.bool), 0.5)
    logits = torch.einsum("bge,bme->bgm", teacher, student) / 0.5
    torch.testing.assert_close(loss, F.softplus(math.log(1e-4) - logits).mean())


def test_class_contrast_survives_huge_logits_and_missing_positives() -> None:
    student = (1e3 * torch.randn(2, 5, 8)).requires_grad_()
    teacher = torch.randn(2, 2, 8, requires_grad=True)
    for positive in (torch.zeros(2, 5, dtype=torch.bool), torch.tensor([[1, 1, 0, 0, 0]] * 2).bool()):
        for extra in (False, True):
            loss = losses.class_token_contrast(student, teacher, positive, 0.5, extra)
            (gradient,) = torch.autograd.grad(loss, student)
            assert loss.isfinite()
            assert gradient.isfinite().all()
    assert losses.class_token_contrast(student, teacher, torch.zeros(2, 5, dtype=torch.bool), 0.5).item() == 0
    losses.class_token_contrast(student, teacher, torch.ones(2, 5, dtype=torch.bool), 0.5).backward()
    assert teacher.grad is None


# ---- segmentation


def literal_means(logits: torch.Tensor, labels: torch.Tensor, groups: list[set[int]]) -> list[float | None]:
    """Mean cross-entropy over the pixels of each group of labels; None for an empty group."""
    found: list[list[float]] = [[] for _ in groups]
    for b in range(labels.shape[0]):
        for r in range(labels.shape[1]):
            for c in range(labels.shape[2]):
                label = int(labels[b, r, c])
                for values, group in zip(found, groups, strict=True):
                    if label in group:
                        z = logits[b, :, r, c].tolist()
                        values.append(math.log(sum(map(math.exp, z))) - z[label])
    return [sum(v) / len(v) if v else None for v in found]


def test_balanced_cross_entropy_equals_the_literal_loop() -> None:
    logits, labels = draw(0, 2, 4, 5, 6), draw_labels(1, 4, 2, 5, 6)
    background, foreground = literal_means(logits, labels, [{0}, {1, 2, 3}])
    assert background is not None
    assert foreground is not None
    loss = losses.balanced_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx(0.5 * background + 0.5 * foreground)


def test_balanced_equals_plain_when_both_halves_are_equal() -> None:
    logits = draw(0, 1, 3, 4, 4)
    labels = torch.tensor([0, 0, 1, 2]).repeat(4).view(1, 4, 4)
    torch.testing.assert_close(losses.balanced_cross_entropy(logits, labels), F.cross_entropy(logits, labels))


def test_class_balanced_equals_the_literal_loop() -> None:
    logits, labels = draw(0, 2, 5, 4, 6), draw_labels(1, 3, 2, 4, 6)
    means = [m for m in literal_means(logits, labels, [{c} for c in range(5)]) if m is not None]
    assert len(means) == 3
    loss = losses.class_balanced_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx(sum(means) / 3)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_class_weighs_its_pixels_to_a_power(balance: float) -> None:
    logits, labels = draw(0, 2, 5, 4, 6), draw_labels(1, 3, 2, 4, 6)
    weight = torch.stack([(labels == c).sum() for c in range(5)]).clamp(min=1).double() ** -balance
    literal = F.cross_entropy(logits, labels, weight=weight.to(logits), ignore_index=255)
    torch.testing.assert_close(losses.class_balanced_cross_entropy(logits, labels, balance), literal)


def test_joint_loss_equals_the_product_of_probabilities() -> None:
    f, d, labels = draw(0, 2, 4, 5, 5), draw(1, 2, 4, 5, 5), draw_labels(2, 4, 2, 5, 5)
    product = f.softmax(1) * d.sigmoid()
    product = product / product.sum(1, keepdim=True)
    picked = product.gather(1, labels.masked_fill(labels == 255, 0)[:, None])[:, 0].log()[labels != 255]
    loss = losses.joint_loss(f, d, labels)
    torch.testing.assert_close(loss, -picked.mean())
    torch.testing.assert_close(loss, F.cross_entropy(f + F.logsigmoid(d), labels, ignore_index=255))


SEGMENTATION: list[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = [
    losses.balanced_cross_entropy,
    losses.class_balanced_cross_entropy,
    lambda z, y: losses.joint_loss(z, 2 * z, y),
]


@pytest.mark.parametrize("loss", SEGMENTATION)
def test_all_ignored_is_exactly_zero_with_zero_gradient(loss: Callable[..., torch.Tensor]) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", SEGMENTATION)
@pytest.mark.parametrize("only", [0, 2])
def test_an_empty_half_is_finite(loss: Callable[..., torch.Tensor], only: int) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels = torch.full((1, 4, 4), only)
    labels[0, 0] = 255
    value = loss(logits, labels)
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, :, 0] == 0).all()
    assert logits.grad.abs().max() > 0


@pytest.mark.parametrize("loss", SEGMENTATION)
def test_logits_are_resized_to_the_labels(loss: Callable[..., torch.Tensor]) -> None:
    logits, labels = torch.randn(1, 3, 2, 3), draw_labels(0, 3, 1, 8, 9)
    full = F.interpolate(logits, size=(8, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(loss(logits, labels.byte()), loss(full, labels))


def test_losses_are_float32_under_autocast() -> None:
    logits, tokens = torch.randn(1, 3, 4, 4), torch.randn(1, 8, 4, 4)
    labels = draw_labels(3, 3, 1, 4, 4)
    student, teacher, positive = torch.randn(1, 4, 8), torch.randn(1, 2, 8), torch.tensor([[1, 1, 0, 0]]).bool()

    def all_losses() -> list[torch.Tensor]:
        return [
            losses.multilabel_soft_margin(logits[..., 0, 0], torch.tensor([[1.0, 0, 1]])),
            losses.patch_token_contrast(tokens, labels),
            losses.class_token_contrast(student, teacher, positive, 0.5),
            *(loss(logits, labels) for loss in SEGMENTATION),
        ]

    plain = all_losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = all_losses()
        assert losses.patch_token_contrast(tokens.bfloat16(), labels).dtype == torch.float32
    for a, b in zip(plain, inside, strict=True):
        assert torch.equal(a, b)

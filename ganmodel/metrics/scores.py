"""What a trained classifier makes of the digits: how sure, how varied, and do they show what was asked.

Shape suffixes: N examples, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.floating[Any]]
    Labels = NDArray[np.integer[Any]]


def classifier_score(logits_NK: Vectors, weights_N: Vectors | None = None) -> float:
    """Return exp(E[KL(p(y|x) || p(y))]), from 1 to K: sure of each digit, and all classes among them.

    Args:
        logits_NK: [N, K].
        weights_N: [N], how much each example counts; None counts all alike.

    Source:
        Salimans et al. 2016, arXiv:1606.03498, sec. 4 (Inception score), with an MNIST classifier as in TF-GAN.
    """
    logits_NK = np.asarray(logits_NK, np.float64)
    log_p_NK = logits_NK - np.logaddexp.reduce(logits_NK, axis=1, keepdims=True)
    p_NK = np.exp(log_p_NK)
    mean_K = np.average(p_NK, axis=0, weights=weights_N)
    # A class of no probability at all adds nothing: p log p is 0 there.
    log_mean_K = np.log(mean_K, out=np.zeros_like(mean_K), where=mean_K > 0)
    divergence_N = (p_NK * (log_p_NK - log_mean_K)).sum(axis=1)
    return float(np.exp(np.average(divergence_N, weights=weights_N)))


def confusion_counts(asked_N: Labels, judged_N: Labels, num_classes: int = 10) -> NDArray[np.int64]:
    """Return how often each asked label was judged each label, [K, K] int64: rows asked, columns judged."""
    pairs_N = np.asarray(asked_N, np.int64) * num_classes + judged_N
    return np.bincount(pairs_N, minlength=num_classes**2).reshape(num_classes, num_classes)


def label_agreement(confusion_KK: NDArray[np.int64]) -> tuple[float, tuple[float, ...]]:
    """Return the share of digits judged as asked, and the share of each label; 0 for a label not asked for.

    Args:
        confusion_KK: [K, K] counts, see `confusion_counts`; at least one.
    """
    right_K, asked_K = np.diag(confusion_KK), confusion_KK.sum(axis=1)
    shares = right_K / np.maximum(asked_K, 1)
    return float(right_K.sum() / confusion_KK.sum()), tuple(shares.tolist())


def total_variation(shares_K: Vectors, other_K: Vectors) -> float:
    """Return half the summed gaps of two histograms, 0 to 1: the share of digits that would have to move.

    Args:
        shares_K: [K], summing to 1.
        other_K: [K], summing to 1.
    """
    return float(np.abs(np.asarray(shares_K, np.float64) - other_K).sum() / 2)

"""Segmentation metrics, each for one image at the ground truth's own size."""

from pranet.metrics.boundary import boundary_f, hd95
from pranet.metrics.classes import class_scores
from pranet.metrics.lesion import LesionCounts, count_lesions
from pranet.metrics.overlap import THRESHOLDS, dice_at, overlap_curves
from pranet.metrics.structure import structure_scores

__all__ = [
    "THRESHOLDS",
    "LesionCounts",
    "boundary_f",
    "class_scores",
    "count_lesions",
    "dice_at",
    "hd95",
    "overlap_curves",
    "structure_scores",
]

"""Documented recipes for fine-tuning a pretrained network, one library a module; hyper-parameters are the documents'.

What all of them share is in `base`; `views` and `lighting` change photos.
"""

from benchmarks.transfer.recipes import fastai, timm, torchvision, ultralytics
from benchmarks.transfer.recipes.base import Recipe

RECIPES: tuple[Recipe, ...] = (
    torchvision.FEATURES,
    torchvision.ALL,
    fastai.FINE_TUNE,
    timm.FINE_TUNE,
    ultralytics.TRAIN,
)

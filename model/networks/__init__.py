"""The networks: from pictures to features and logits, one module for each family.

Every network takes float32 `[N, 3, H, W]` RGB in 0..1, normalises inside, and returns logits `[N, classes]`: `embed`
returns the features, which the last layer `fc` turns into logits. `H` and `W` may differ from `NetworkConfig.size`:
all networks pool adaptively.

May import `whisker.model.errors` and `whisker.model.onnx.config`, and nothing else of Whisker.
"""

"""The engine of onnx-asr: CTC models that take a window in one call."""

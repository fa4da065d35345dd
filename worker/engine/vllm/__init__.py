"""Engine over vLLM, which computes the logits; our sampling draws every token from them."""
